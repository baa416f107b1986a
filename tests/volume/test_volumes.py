"""Making, renaming and deleting volumes; sessions keep a volume from being deleted."""

from __future__ import annotations

import fcntl
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.volume.shortcuts import head_snapshot
from volfs.errors import (
    AlreadyExistsError,
    InvalidNameError,
    NotFoundError,
    UserError,
    VolumeInUseError,
)
from volfs.sessions.facts import SessionFacts, encode_facts
from volfs.sessions.info import list_sessions, list_volume_sessions
from volfs.sessions.places import sessions_directory
from volfs.store.contract.refs import VolumeRecord
from volfs.store.contract.store import Store
from volfs.volume.leases import keep_version, new_lease
from volfs.volume.volumes import create_volume, delete_volume, rename_volume


def test_a_new_volume_is_empty_and_at_version_0(store: Store) -> None:
    record = create_volume(store, "new", profile=1, auto_commit=2.5)
    assert store.refs.get_volume("new") == record
    assert re.fullmatch(r"vo-[0-9A-Za-z]{22}", record.id)
    assert (record.profile, record.auto_commit, record.chunk_bits) == (1, 2.5, 20)
    assert store.refs.get_head(record.id).version == 0
    assert head_snapshot(store, record).totals[:3] == (0, 0, 0)


@pytest.mark.parametrize("name", [".", ".."])
def test_names_of_earlier_releases_can_be_changed_and_deleted(store: Store, name: str) -> None:
    made = create_volume(store, "new")
    store.refs.rename_volume("new", name)  # as an earlier release did
    rename_volume(store, name, "proper")
    assert store.refs.get_volume("proper").id == made.id
    store.refs.rename_volume("proper", name)
    delete_volume(store, name)
    assert store.refs.list_volumes() == []


def test_names_are_unique_and_of_allowed_characters(store: Store) -> None:
    create_volume(store, "a")
    with pytest.raises(AlreadyExistsError):
        create_volume(store, "a")
    for name in ("", ".", "..", "a/b", "a b", "ä", "a\n", "x" * 65):
        with pytest.raises(InvalidNameError):
            create_volume(store, name)
        with pytest.raises(InvalidNameError):
            rename_volume(store, "a", name)


def test_options_that_make_no_sense_are_refused(store: Store) -> None:
    with pytest.raises(UserError, match="1 or 2"):
        create_volume(store, "a", profile=3)
    for interval in (0, -1, float("nan"), float("inf")):
        with pytest.raises(UserError, match="auto-commit"):
            create_volume(store, "a", auto_commit=interval)
    assert store.refs.list_volumes() == []


def test_renaming_keeps_the_id(store: Store, volume: VolumeRecord) -> None:
    rename_volume(store, "data", "other")
    assert store.refs.get_volume("other").id == volume.id
    with pytest.raises(NotFoundError):
        rename_volume(store, "data", "x")


def test_deleting(store: Store, volume: VolumeRecord) -> None:
    delete_volume(store, "data")
    with pytest.raises(NotFoundError):
        delete_volume(store, "data")
    assert store.refs.list_volumes() == []


@contextmanager
def session(
    store: Store, volume_id: str, *, alive: bool, read_only: bool = False
) -> Iterator[Path]:
    path = sessions_directory(store) / "data-0"
    path.mkdir(parents=True)
    facts = {
        "volume_id": volume_id,
        "volume": "data",
        "mountpoint": "/mnt/data",
        "pid": 42,
        "base_version": 3,
        "created_ns": 17,
        "read_only": read_only,
    }
    (path / "session.json").write_bytes(encode_facts(SessionFacts(**facts)))
    with (path / "lock").open("wb") as lock:
        if alive:
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield path


def test_a_mounted_volume_is_not_deleted(store: Store, volume: VolumeRecord) -> None:
    with session(store, volume.id, alive=True):
        with pytest.raises(VolumeInUseError, match="mounted at /mnt/data"):
            delete_volume(store, "data")
        (only,) = list_volume_sessions(store, volume)
        assert (only.alive, only.pid, only.base_version, only.name) == (True, 42, 3, "data-0")
    assert store.refs.get_volume("data") == volume


def test_nor_is_one_with_changes_left_behind(store: Store, volume: VolumeRecord) -> None:
    with session(store, volume.id, alive=False), pytest.raises(VolumeInUseError, match="data-0"):
        delete_volume(store, "data")


def test_what_a_dead_reader_left_is_no_hindrance(store: Store, volume: VolumeRecord) -> None:
    with session(store, volume.id, alive=False, read_only=True):
        delete_volume(store, "data")


def test_a_mount_that_begins_keeps_its_volume(store: Store, volume: VolumeRecord) -> None:
    path = sessions_directory(store) / "data-0"
    path.mkdir(parents=True)
    with (path / "lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        keep_version(
            store.leases,
            new_lease(store.leases, "data-0", volume.id),
            lambda: store.refs.get_head(volume.id),
        )
        with pytest.raises(VolumeInUseError, match="data-0 is beginning"):
            delete_volume(store, "data")
    assert store.refs.get_volume("data") == volume


def test_sessions_of_others_are_no_hindrance(store: Store, volume: VolumeRecord) -> None:
    with session(store, "vo-other", alive=True):
        delete_volume(store, "data")


def test_sessions_without_facts_are_listed_all_the_same(tmp_path: Path) -> None:
    assert list_sessions(tmp_path / "none") == []
    (tmp_path / "odd").mkdir()
    (tmp_path / "worse").mkdir()
    (tmp_path / "worse" / "session.json").write_text("{")
    (tmp_path / "file").touch()
    found = list_sessions(tmp_path)
    assert [(s.name, s.volume_id, s.alive) for s in found] == [
        ("odd", "", False),
        ("worse", "", False),
    ]
