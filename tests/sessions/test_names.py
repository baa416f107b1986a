"""Sessions of a store that several machines share are named after their machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.store.distributed.two_engines import BucketMachine
from volfs.buckets.access import open_memory_bucket
from volfs.daemon.sessions.open import take_session
from volfs.errors import NotFoundError
from volfs.sessions.facts import LOCK, SessionFacts, encode_facts
from volfs.sessions.info import get_session, list_inner_sessions, list_store_sessions
from volfs.sessions.liveness import drop_stale_leases
from volfs.sessions.places import find_session_path, session_name, sessions_directory
from volfs.store.contract.lease import Lease, LeaseKind
from volfs.volume.leases import keep_version, new_lease
from volfs.volume.volumes import create_volume


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[tuple[BucketMachine, BucketMachine]]:
    bucket = open_memory_bucket()
    here, there = BucketMachine(bucket, tmp_path / "a"), BucketMachine(bucket, tmp_path / "b")
    create_volume(here, "data")
    yield here, there
    for each in (here, there):
        each.close()
    bucket.close()


def begin(store: BucketMachine, name: str, *, kind: LeaseKind = LeaseKind.KEPT) -> Lease:
    path = sessions_directory(store) / name
    path.mkdir(parents=True)
    (path / LOCK).touch()
    (path / "session.json").write_bytes(encode_facts(SessionFacts()))
    volume = store.refs.get_volume("data")
    blank = new_lease(store.leases, session_name(store, path), volume.id, kind=kind)
    return keep_version(store.leases, blank, lambda: store.refs.get_head(volume.id))[1]


def test_one_directory_on_two_machines(machines: tuple[BucketMachine, BucketMachine]) -> None:
    """Neither takes the other's session for its own, whatever directories it has itself."""
    here, there = machines
    ours, theirs = (begin(each, "data-0", kind=LeaseKind.RENEWED) for each in machines)
    assert ours.session == f"{here.leases.host}.data-0"
    assert ours.session != theirs.session
    for machine, lease in ((here, ours), (there, theirs)):
        path = sessions_directory(machine) / "data-0"
        assert find_session_path(machine, lease.session) == path
        for listed in (list_inner_sessions(machine), list_store_sessions(machine)):
            assert [session.name for session in listed] == [lease.session]
        assert get_session(machine, "data-0") == get_session(machine, lease.session)
    assert not find_session_path(here, theirs.session).exists()
    with pytest.raises(NotFoundError):
        get_session(here, theirs.session)
    assert drop_stale_leases(here) == [theirs]
    assert there.leases.list_all() == [theirs]


def test_a_session_is_taken_by_either_name(machines: tuple[BucketMachine, BucketMachine]) -> None:
    here, _ = machines
    lease = begin(here, "data-0")
    for name in ("data-0", lease.session):
        session = take_session(here, name)
        assert session_name(here, session.path) == lease.session
        session.close()
