"""Mounts without a kernel and the files that each should show, beside what is in the store."""

from __future__ import annotations

import itertools
import os
import random
import shutil
from pathlib import Path

from tests.crash.store_operations import Files, History, patch
from tests.harness.rig import Rig, list_tree
from tests.volume.shortcuts import head_snapshot
from volfs.model.entry import FileKind
from volfs.model.names import join_path, parse_path
from volfs.store.contract.store import Store

_clock = itertools.count(1_000_000_000)
_groups = itertools.count(1 << 40)


class RigSession:
    """One session. ``base`` is what it stands on, ``changes`` what nobody else sees yet."""

    def __init__(self, store: Store, volume: str, history: History, directory: Path) -> None:
        self.volume = volume
        self.directory = directory
        self.base: Files = history.versions[history.head]
        self.changes: dict[str, bytes | None] = {}
        self.begin(store)

    @property
    def files(self) -> Files:
        return patch(self.base, self.changes)

    def begin(self, store: Store) -> None:
        self.store = store
        volume = store.refs.get_volume(self.volume)
        self.rig = Rig(store, volume, self.directory, lambda: next(_clock))
        self.rig.strict = False
        self.rig.state.random = lambda: next(_groups)

    def check(self) -> None:
        shown = list_tree(self.rig)
        found = {
            join_path(path).decode(): facts[-1]
            for path, facts in shown.items()
            if facts[0] == FileKind.FILE.name
        }
        assert found == self.files
        self.rig.forget()

    # --- steps -----------------------------------------------------------

    def write(self, name: str, data: bytes) -> None:
        """The whole file, made where it is missing."""
        path = parse_path(name)
        if self.rig.find(path) is not None:
            self.rig.set(path, size=0)
        self.rig.write(path, data)
        self.changes[name] = data

    def overwrite(self, name: str, offset: int, piece: bytes) -> None:
        old = self.files[name]
        offset %= len(old)
        self.rig.write(parse_path(name), piece, offset)
        self.changes[name] = old[:offset] + piece + old[offset + len(piece) :]

    def remove(self, name: str) -> None:
        self.rig.unlink(parse_path(name))
        self.changes[name] = None
        self._forget_void()

    def _forget_void(self) -> None:
        """What is removed, and is not in what it stands on, is no change."""
        for name, data in list(self.changes.items()):
            if data is None and name not in self.base:
                del self.changes[name]

    def commit(self, history: History) -> None:
        before = history.versions[history.head]
        shown = head_snapshot(self.store, self.store.refs.get_volume(self.volume))
        published = self.rig.commit()
        merged = patch(before, self.changes)
        if published.changed:
            assert published.head.version == history.head + 1
            # Where nothing is left of its changes it is equal, down to times, to the one before.
            history.add(before if published.snapshot == shown else merged)
        assert history.versions[history.head] == merged
        self.base, self.changes = self.files, {}

    def reload(self, history: History) -> None:
        self.rig.reload()
        self.base = history.versions[history.head]
        self._forget_void()

    def die(self) -> None:
        """What was flushed is there when it begins again."""
        self.rig.flush()
        self.is_clean = self.rig.state.overlay.is_clean
        self.rig.close()

    def begin_again(self, store: Store, history: History) -> None:
        self.begin(store)
        if self.is_clean:
            assert not self.changes
            self.base = history.versions[history.head]

    def end(self) -> None:
        """After a commit: its lease is stale from now on."""
        self.rig.close()
        shutil.rmtree(self.directory)


def step_of(rng: random.Random, session: RigSession, names: tuple[str, ...], size: int) -> None:
    """Change a file."""
    there = sorted(session.files)
    match rng.choice(["write", "write", "overwrite", "remove"]):
        case "write":
            session.write(rng.choice(names), rng.randbytes(size))
        case "overwrite":
            session.overwrite(rng.choice(there), rng.randrange(1 << 20), rng.randbytes(size))
        case "remove":
            removable = [name for name in there if name in names]
            if removable:
                session.remove(rng.choice(removable))


MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
