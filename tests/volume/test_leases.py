"""Leases of sessions that were removed, died, or live."""

from __future__ import annotations

import fcntl
from pathlib import Path

import msgspec
import pytest

from tests.volume.shortcuts import publish_files
from volfs.errors import NotFoundError, VolumeInUseError
from volfs.model.objects import Kind, compute_oid
from volfs.model.retention import KeepRules
from volfs.sessions.facts import SessionFacts, encode_facts
from volfs.sessions.info import list_store_sessions
from volfs.sessions.liveness import drop_stale_leases
from volfs.sessions.places import find_session_path, session_name, sessions_directory
from volfs.store.contract.lease import Lease, LeaseKind, Need
from volfs.store.contract.refs import Head, VolumeRecord
from volfs.store.contract.store import Store
from volfs.volume.check import check_store
from volfs.volume.expire import expire_versions
from volfs.volume.gc import collect_garbage
from volfs.volume.leases import keep_version, new_lease, snapshot_needs, widen
from volfs.volume.volumes import delete_volume

NEEDS = tuple(Need(Kind.TREE, compute_oid(Kind.TREE, bytes([n]))) for n in range(3))


def make_session(path: Path, *, read_only: bool = False) -> None:
    path.mkdir(parents=True)
    (path / "lock").touch()
    (path / "session.json").write_bytes(encode_facts(SessionFacts(read_only=read_only)))


def begin(store: Store, volume: VolumeRecord, path: Path) -> Lease:
    name = session_name(store, path)
    assert find_session_path(store, name) == path
    return keep_version(
        store.leases,
        new_lease(store.leases, name, volume.id),
        lambda: store.refs.get_head(volume.id),
    )[1]


@pytest.fixture(params=["inside", "outside"])
def directory(request: pytest.FixtureRequest, store: Store, tmp_path: Path) -> Path:
    return sessions_directory(store) if request.param == "inside" else tmp_path / "elsewhere"


def test_what_was_left_behind_stays(store: Store, volume: VolumeRecord, directory: Path) -> None:
    make_session(directory / "data-1")
    lease = begin(store, volume, directory / "data-1")
    assert drop_stale_leases(store) == [lease]
    assert store.leases.list_all() == [lease]


def test_what_was_removed_is_dropped(store: Store, volume: VolumeRecord, directory: Path) -> None:
    directory.mkdir()
    begin(store, volume, directory / "data-1")
    assert drop_stale_leases(store) == []
    assert store.leases.list_all() == []


def test_where_nothing_can_be_seen_nothing_is_dropped(
    store: Store, volume: VolumeRecord, directory: Path
) -> None:
    lease = begin(store, volume, directory / "data-1")
    assert drop_stale_leases(store) == [lease]


def test_a_read_only_session_has_it_for_its_life(
    store: Store, volume: VolumeRecord, directory: Path
) -> None:
    make_session(directory / "data-1", read_only=True)
    lease = begin(store, volume, directory / "data-1")
    with (directory / "data-1" / "lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert drop_stale_leases(store) == [lease]
    assert drop_stale_leases(store) == []


def test_the_lease_alone_may_say_that_nothing_is_left_behind(
    store: Store, volume: VolumeRecord
) -> None:
    path = sessions_directory(store) / "data-1"
    make_session(path)
    blank = new_lease(store.leases, "data-1", volume.id, kind=LeaseKind.RENEWED)
    _, lease = keep_version(store.leases, blank, lambda: store.refs.get_head(volume.id))
    with (path / "lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert drop_stale_leases(store) == [lease]
    assert drop_stale_leases(store) == []


@pytest.mark.parametrize("kind", list(LeaseKind))
@pytest.mark.parametrize("onward", [False, True])
def test_what_another_host_has_is_left_alone(
    store: Store, volume: VolumeRecord, kind: LeaseKind, onward: bool
) -> None:
    """Its session is not here, and nobody here can know whether it lives."""
    sessions_directory(store).mkdir()
    snapshot = publish_files(store, volume, {"f": b"1" * 70_000}).snapshot
    lease = msgspec.structs.replace(
        new_lease(store.leases, "data-1", volume.id, place="/mnt", kind=kind, onward=onward),
        versions=(1,),
        needs=snapshot_needs(snapshot),
        host="another-machine",
        host_name="box",
    )
    store.leases.put(lease)
    publish_files(store, volume, {"f": b"2" * 70_000})
    publish_files(store, volume, {"f": b"3" * 70_000})
    assert drop_stale_leases(store) == [lease]
    assert expire_versions(store, volume, KeepRules(last=1))[1] == ([] if onward else [2])
    collect_garbage(store, grace=0)
    assert store.leases.list_all() == [lease]
    assert list_store_sessions(store) == []
    with pytest.raises(VolumeInUseError, match=r"mounted on box at /mnt; .* forget data-1"):
        delete_volume(store, volume.name)
    assert check_store(store).is_clean


def test_names_outside_are_paths(store: Store, tmp_path: Path) -> None:
    assert session_name(store, sessions_directory(store) / "a-1") == "a-1"
    assert session_name(store, tmp_path / "a-1") == str(tmp_path / "a-1")


def test_a_version_that_goes_while_it_is_looked_for(store: Store, volume: VolumeRecord) -> None:
    heads = iter([Head(7, NEEDS[0].oid), store.refs.get_head(volume.id)])
    head, lease = keep_version(
        store.leases, new_lease(store.leases, "s", volume.id), lambda: next(heads)
    )
    assert head == store.refs.get_head(volume.id)
    assert store.leases.list_all() == [lease]
    assert lease.versions == (0,)


def test_a_version_that_is_found_and_not_there(store: Store, volume: VolumeRecord) -> None:
    with pytest.raises(NotFoundError):
        keep_version(
            store.leases, new_lease(store.leases, "s", volume.id), lambda: Head(7, NEEDS[0].oid)
        )
    assert store.leases.list_all() == []


def test_two_lives_have_different_leases(store: Store, volume: VolumeRecord) -> None:
    first, second = (begin(store, volume, sessions_directory(store) / "s") for _ in range(2))
    assert first != second
    assert store.leases.list_all() == [second]


def test_widening() -> None:
    lease = Lease("s", "vo", (1,), NEEDS[:1])
    assert widen(lease, 1, needs=NEEDS[:1]) is lease
    assert widen(lease, 1, 2, needs=NEEDS) == Lease("s", "vo", (1, 2), NEEDS)
