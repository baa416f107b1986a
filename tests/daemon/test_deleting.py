"""A dead mount keeps its volume from being deleted by uncommitted changes, and by nothing else."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.harness.mounted import Mounts
from tests.harness.rig import Rig
from tests.volume.shortcuts import publish_files
from volfs.daemon.sessions.delete import delete_with_overlays
from volfs.errors import VolumeInUseError
from volfs.model.names import parse_path
from volfs.sessions.facts import FACTS, LOCK, SessionFacts, encode_facts
from volfs.store.contract.refs import VolumeRecord
from volfs.store.contract.store import Store

FILE = parse_path("f")


class LeftSessions:
    """What mounts left: a session for each, which deleting the volume must not harm."""

    def __init__(self, store: Store, volume: VolumeRecord, directory: Path) -> None:
        self.store = store
        self.volume = volume
        self.directory = directory
        publish_files(store, volume, {"f": b"x" * 5000})

    def leave(self, change: Callable[[Rig], object], number: int = 0) -> Path:
        """A mount's session, with what ``change`` did recorded in it."""
        path = self.directory / f"data-{number}"
        ticks = itertools.count(1_700_000_000_000_000_000)
        rig = Rig(self.store, self.volume, path, lambda: next(ticks))
        facts = SessionFacts(self.volume.id, "data", str(path / "mnt"), 1, 1, 1)
        (path / FACTS).write_bytes(encode_facts(facts))
        (path / LOCK).touch()
        change(rig)
        rig.flush()
        rig.close()
        return path

    def refuse(self, match: str) -> None:
        left = sorted(self.directory.iterdir())
        with pytest.raises(VolumeInUseError, match=match):
            delete_with_overlays(self.store, "data")
        assert sorted(self.directory.iterdir()) == left, "nothing goes if the volume stays"
        assert self.store.refs.get_volume("data") == self.volume


@pytest.fixture
def left(store: Store, volume: VolumeRecord, tmp_path: Path) -> LeftSessions:
    return LeftSessions(store, volume, tmp_path / "sessions")


def commit(rig: Rig) -> None:
    rig.write(FILE, b"new")
    rig.commit()


def test_what_is_clean_goes_with_the_volume(left: LeftSessions) -> None:
    for number, change in enumerate((lambda rig: None, commit)):
        left.leave(change, number)
    delete_with_overlays(left.store, "data")
    assert left.store.refs.list_volumes() == left.store.leases.list_all() == []
    assert list(left.directory.iterdir()) == []


CHANGES: dict[str, Callable[[Rig], object]] = {
    "write": lambda rig: rig.write(FILE, b"y", 1),
    "remove": lambda rig: rig.unlink(FILE),
    "rename": lambda rig: rig.rename(FILE, parse_path("g")),
    "make": lambda rig: rig.mkdir(parse_path("d")),
}


@pytest.mark.parametrize("change", CHANGES)
def test_any_change_keeps_it(left: LeftSessions, change: str) -> None:
    name = left.leave(CHANGES[change])
    for verb in ("commit", "adopt", "discard"):
        left.refuse(f"volfs overlays {verb} {name}")


def test_one_with_changes_saves_the_others(left: LeftSessions) -> None:
    left.leave(commit)
    left.leave(CHANGES["make"], 1)
    left.refuse("left changes")


def noise(catalog: Path) -> None:
    catalog.write_bytes(b"\xa5" * catalog.stat().st_size)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "gone": Path.unlink,
    "empty": lambda catalog: os.truncate(catalog, 0),
    "cut off": lambda catalog: os.truncate(catalog, 4096),
    "noise": noise,
    "no facts": lambda catalog: (catalog.parents[1] / FACTS).unlink(),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_cannot_be_read_keeps_it(left: LeftSessions, damage: str) -> None:
    path = left.leave(commit)
    DAMAGES[damage](path / "catalog" / "data.mdb")
    left.refuse(str(path))


@pytest.mark.fuse
def test_with_its_mount(mounts: Mounts) -> None:
    """A daemon that was killed with nothing to commit; while it lives, it keeps the volume."""
    mounted = mounts.mount()
    with pytest.raises(VolumeInUseError, match="mounted at"):
        delete_with_overlays(mounts.store, "data")
    mounted.kill()
    delete_with_overlays(mounts.store, "data")
    assert (mounts.sessions, mounts.store.leases.list_all()) == ([], [])
    assert not mounted.is_mounted, "the dead mount was taken away, too"
