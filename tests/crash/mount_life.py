"""The life of one mount without a kernel, as long as it lasts, and what must be left of it."""

from __future__ import annotations

import itertools
import random
from pathlib import Path
from typing import Any

from tests.crash.children import Say
from tests.harness.rig import Rig, list_tree, list_version
from tests.volume.shortcuts import publish_files
from volfs.errors import FileSystemError
from volfs.model.names import Path as VolumePath
from volfs.store.contract.refs import VolumeRecord
from volfs.store.contract.store import Store
from volfs.store.registry import open_store
from volfs.volume.check import check_store
from volfs.volume.volumes import create_volume

OTHERS = b"others"
"""Where another mount commits to; this one never writes there."""
NAMES = (b"a", b"b", b"c", b"d")
SIZES = (0, 10, 1024, 5000, 20_000)
Shown = dict[VolumePath, tuple[object, ...]]
Place = Path | str
"""The directory of a store, or its address."""


class MountLife:
    """A store with the volume ``data`` and one session, which outlive every process."""

    def __init__(self, directory: Path, place: Place = "") -> None:
        self.store_path = place or directory / "store"
        self.session = directory / "session"
        self.kept: Shown = {}
        """What was there, durably, when the last process died."""
        self.others = 0
        with opened(self.store_path, create=True) as store:
            volume = create_volume(store, "data", chunk_bits=12)
            publish_files(store, volume, {"others/0": b"0"})
            self.kept = self.committed = own(list_version(store, volume))

    def mount(self, store: Store, seed: int) -> Rig:
        clock = itertools.count(seed * 1_000_000_000)
        rig = Rig(store, store.refs.get_volume("data"), self.session, lambda: next(clock))
        rig.strict = False
        groups = itertools.count(seed << 20)
        rig.state.random = lambda: next(groups)  # no two processes give out the same
        return rig

    # --- in the child ------------------------------------------------------

    def live(self, say: Say, seed: int, steps: int) -> None:
        """Change things, and now and then make them durable; say so before and after."""
        rng = random.Random(seed)
        with opened(self.store_path) as store:
            rig = self.mount(store, seed)
            volume = store.refs.get_volume("data")
            for step in range(steps):
                change(rig, rng)
                what = rng.choice(["flush", "flush", "commit", "others", "reload", "", "", ""])
                if what == "others":
                    publish_files(store, volume, {f"others/{seed}-{step}": b"x" * step})
                    say("others", f"{seed}-{step}".encode())
                elif what:
                    say("begin", what, own(list_tree(rig)))
                    say("done", what, self.make_durable(rig, what))
                    rig.forget()
            rig.close()

    def make_durable(self, rig: Rig, what: str) -> int:
        if what == "commit":
            return rig.commit().head.version
        if what == "reload":
            rig.reload()
        rig.flush()
        return 0

    # --- in the parent -----------------------------------------------------

    def judge(self, said: list[tuple[Any, ...]], seed: int) -> None:
        """After a death: everything acknowledged is there, and nothing is half there."""
        before, now = self.kept, self.kept
        with opened(self.store_path) as store:
            volume = store.refs.get_volume("data")
            for what, *facts in said:
                if what == "begin":
                    now = facts[1]
                elif what == "done":
                    before = now
                    if facts[0] == "commit":
                        check_version(store, volume, facts[1], now)
                elif what == "others":
                    assert (OTHERS, facts[0]) in list_version(store, volume)
            self.committed = own(list_version(store, volume))
            rig = self.mount(store, seed)
            self.kept = own(list_tree(rig))
            rig.close()
        assert self.kept in (before, now), differ(self.kept, before, now)

    def judge_without_disk(self, said: list[tuple[Any, ...]]) -> None:
        """After a death with the loss of all that the machine had: what was committed is there, and
        a new mount begins with it. The commit that was under way may be there."""
        now = self.kept
        with opened(self.store_path) as store:
            volume = store.refs.get_volume("data")
            wanted = [self.committed]
            for what, *facts in said:
                if what == "begin":
                    now = facts[1]
                    wanted += [now] if facts[0] == "commit" else []
                elif what == "done" and facts[0] == "commit":
                    check_version(store, volume, facts[1], now)
                    wanted = [now]
                elif what == "others":
                    assert (OTHERS, facts[0]) in list_version(store, volume)
            self.kept = self.committed = own(list_version(store, volume))
        assert self.kept in wanted, differ(self.kept, *wanted)

    def settle(self, seed: int) -> None:
        """Commit what is left: the newest version is what was there; the store is whole."""
        with opened(self.store_path) as store:
            volume = store.refs.get_volume("data")
            rig = self.mount(store, seed)
            rig.commit()
            assert own(list_version(store, volume)) == self.kept
            self.committed = self.kept
            rig.close()
            report = check_store(store)
            assert report.is_clean, report


class opened:  # noqa: N801 - reads as a verb
    """A store that is open in a block."""

    def __init__(self, path: Place, *, create: bool = False) -> None:
        self.store = open_store(str(path), create=create)

    def __enter__(self) -> Store:
        return self.store

    def __exit__(self, *_: object) -> None:
        self.store.close()


def own(tree: Shown) -> Shown:
    return {path: facts for path, facts in tree.items() if path[:1] != (OTHERS,)}


def check_version(store: Store, volume: VolumeRecord, version: int, shown: Shown) -> None:
    """A commit that was acknowledged: it is in the history, and is what was sealed."""
    manifest = store.refs.find_version(volume.id, version)
    assert manifest is not None, f"version {version} was acknowledged"
    assert own(list_version(store, volume, manifest)) == shown


def change(rig: Rig, rng: random.Random) -> None:
    """A few random operations; those that cannot be done are left."""
    for _ in range(rng.randrange(1, 5)):
        paths = [path for path in list_paths(rig) if path[:1] != (OTHERS,)]
        path = rng.choice([path for path in paths if path] or [(NAMES[0],)])
        new = (*rng.choice(paths)[:2], rng.choice(NAMES))
        try:
            _operate(rig, rng, path, new)
        except FileSystemError:
            continue


def _operate(rig: Rig, rng: random.Random, path: VolumePath, new: VolumePath) -> None:
    kind = rng.choice(["write", "write", "write", "mkdir", "rename", "remove", "link", "truncate"])
    if kind == "write" or rig.find(path) is None:
        byte = rng.randrange(1, 256)
        rig.write(new, bytes((byte,)) * rng.choice(SIZES), rng.choice(SIZES))
    elif kind == "mkdir":
        rig.mkdir(new)
    elif kind == "rename":
        rig.rename(path, new)
    elif kind == "remove":
        rig.unlink(path)
    elif kind == "link":
        rig.link(path, new)
    else:
        rig.set(path, size=rng.choice(SIZES))


def list_paths(rig: Rig) -> list[VolumePath]:
    return sorted(list_tree(rig))


def differ(found: Shown, *wanted: Shown) -> str:
    """What differs from each of those that it should have been, in few words."""
    lines = []
    for shown in wanted:
        paths = sorted(p for p in found.keys() | shown.keys() if found.get(p) != shown.get(p))
        lines.append(
            "; ".join(f"{p}: {found.get(p)!r:.200} not {shown.get(p)!r:.200}" for p in paths[:5])
        )
    return "\n or \n".join(lines)
