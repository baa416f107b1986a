"""What every engine promises, for a whole store in a bucket: objects, refs, leases, holds, races.

Another handle is another machine: it has a directory of its own and shares nothing with the first
but the bucket.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from tests.store import (
    contract,
    test_holds_contract,
    test_leases_contract,
    test_objects_contract,
    test_races_contract,
    test_refs_contract,
)
from tests.store.contract import add, make_lease, make_record, noise
from tests.store.distributed.counted import CountedDoor
from tests.store.distributed.two_engines import BucketMachine
from tests.store.test_holds_contract import heads
from volfs.buckets.access import Bucket, iter_objects
from volfs.errors import NotFoundError
from volfs.model.logs.lease_log import LeaseChange
from volfs.model.objects import Kind, Oid
from volfs.store.contract.refs import Head
from volfs.store.contract.store import Store
from volfs.store.distributed.leases.session_log import KnownLease

__all__ = ["heads"]

SUITES = (
    test_objects_contract,
    test_refs_contract,
    test_races_contract,
    test_leases_contract,
    test_holds_contract,
)
LATER = {
    # These open the store by its address, in other processes: see test_bucket_processes.py.
    "test_what_another_process_published_is_seen",
    "test_a_process_that_died_before_publish_left_nothing",
    "test_a_hold_ends_with_its_process",
    # Holds are seen on the machine where they are, and the other handle is another machine.
    "test_a_hold_outlasts_the_handle",
}
PROMISES = {
    name: promise
    for suite in SUITES
    for name, promise in vars(suite).items()
    if name.startswith("test_") and name not in LATER
}
globals().update(PROMISES)


@pytest.fixture(params=["memory", "folder_of_seaweed"])
def bucket(request: pytest.FixtureRequest) -> Bucket:
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Bucket)
    return found


@pytest.fixture
def url(bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    numbers = itertools.count()

    def open_store(url: str, *, create: bool = False) -> Store:
        return BucketMachine(bucket, tmp_path / f"machine-{next(numbers)}")

    for suite in (contract, *SUITES):
        monkeypatch.setattr(suite, "open_store", open_store, raising=False)
    return "a bucket"


@pytest.fixture
def store(url: str, bucket: Bucket, tmp_path: Path) -> Iterator[Store]:
    store = BucketMachine(bucket, tmp_path / "here")
    yield store
    store.close()
    other = BucketMachine(bucket, tmp_path / "there")
    assert contract.list_damage(other) == []
    other.close()


@pytest.fixture
def volume(store: Store) -> str:
    record = make_record()
    store.refs.create_volume(record, b"manifest 0")
    return record.id


def test_every_promise_is_tried() -> None:
    assert len(PROMISES) > 70
    known = {name for suite in SUITES for name in vars(suite)}
    assert known >= LATER


def count_lines(bucket: Bucket, prefix: str) -> int:
    return sum(1 for _ in iter_objects(bucket, prefix))


def test_a_commit_of_a_session_writes_its_lease_once(
    bucket: Bucket, store: Store, url: str, volume: str, tmp_path: Path
) -> None:
    """What a later commit adds to the lease is in the commit's own line, and other machines read
    it there."""
    session = "data/\udcff" + "x" * 300
    lease = msgspec.structs.replace(make_lease(volume, 0), session=session)
    store.leases.put(lease)
    for version in range(1, 4):
        head = store.refs.guess_head(volume)
        over = b"stamp %d" % version
        lease = msgspec.structs.replace(lease, versions=(*lease.versions, version), over=over)
        with store.open_upload(volume) as upload:
            new = Head(version, upload.put_object(Kind.MANIFEST, b"m%d" % version))
            store.refs.publish(upload, volume, head, new, lease=lease)
        assert store.leases.find(lease.session) == lease
    assert count_lines(bucket, "leases/") == 1
    other = BucketMachine(bucket, tmp_path / "other")
    assert other.leases.list_all() == [lease]
    assert other.refs.remove_versions(volume, [0, 1, 2]) == []
    store.leases.drop(lease.session, lease)
    assert other.leases.list_all() == []
    assert other.refs.remove_versions(volume, [0, 1, 2]) == [0, 1, 2]
    store.leases.put(msgspec.structs.replace(lease, versions=(3,)))
    assert [each.versions for each in other.leases.list_all()] == [(3,)]
    other.close()


def test_a_lease_whose_version_goes_while_it_is_put(
    store: BucketMachine, volume: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The former lease counts again, with everything that was added to it."""
    add(store, volume, b"1")
    add(store, volume, b"2")
    former = make_lease(volume, 2)
    store.leases.put(former)
    log = store.engine.leases.sessions.open(former.session)
    append = log.append

    def expire_meanwhile(known: KnownLease, change: LeaseChange) -> KnownLease | None:
        monkeypatch.setattr(log, "append", append)
        assert store.refs.remove_versions(volume, [1]) == [1]
        return append(known, change)

    monkeypatch.setattr(log, "append", expire_meanwhile)
    with pytest.raises(NotFoundError, match="version 1"):
        store.leases.put(make_lease(volume, 1, 2))
    assert store.leases.find(former.session) == former


def test_an_upload_belongs_to_one_volume(store: Store, volume: str) -> None:
    other = make_record(2)
    store.refs.create_volume(other, b"another")
    with store.open_upload(volume) as upload:
        manifest = upload.put_object(Kind.MANIFEST, b"m")
        with pytest.raises(ValueError, match="another volume"):
            store.refs.publish(upload, other.id, store.refs.get_head(other.id), Head(1, manifest))


def test_a_machine_has_one_id(bucket: Bucket, tmp_path: Path) -> None:
    here, again, there = (BucketMachine(bucket, tmp_path / each) for each in ("a", "a", "b"))
    assert here.leases.host == again.leases.host != there.leases.host
    assert here.leases.pause == 60.0
    for each in (here, again, there):
        each.close()


def test_processes_of_a_machine_see_its_holds(
    bucket: Bucket, store: Store, volume: str, tmp_path: Path
) -> None:
    add(store, volume, b"1")
    again = BucketMachine(bucket, tmp_path / "here")
    with again.leases.hold(volume, Head(0, Oid(store.refs.find_version(volume, 0) or b""))):
        assert store.leases.list_held(volume) == [0]
        assert store.refs.remove_versions(volume, [0]) == []
    again.close()
    assert store.refs.remove_versions(volume, [0]) == [0]


def test_large_objects_on_two_machines(
    bucket: Bucket, store: Store, volume: str, tmp_path: Path
) -> None:
    other = BucketMachine(bucket, tmp_path / "other")
    mine = add(store, volume, *(noise(200_000, number) for number in range(5)))
    theirs = add(other, volume, *(noise(200_000, number) for number in range(3, 8)))
    for machine in (store, other):
        for number, oid in enumerate([*mine, *theirs[2:]]):
            assert machine.objects_of(volume).load_object(oid) == noise(200_000, number)
    other.close()


def test_a_small_commit_is_one_request(tmp_path: Path) -> None:
    """Also that of a mount, whose lease it widens; nothing is asked before."""
    door = CountedDoor()
    machine = BucketMachine(Bucket(door), tmp_path)
    volume = make_record().id
    machine.refs.create_volume(make_record(), b"manifest 0")
    machine.leases.put(make_lease(volume, 0))
    for lease in (None, make_lease(volume, 0, 2)):
        with machine.open_upload(volume) as upload:
            head = machine.refs.guess_head(volume)
            upload.put_object(Kind.CHUNK, b"chunk %d" % head.version)
            manifest = upload.put_object(Kind.MANIFEST, b"after %d" % head.version)
            door.asked.clear()
            new = Head(head.version + 1, manifest)
            machine.refs.publish(upload, volume, head, new, lease=lease)
        assert [asked.verb for asked in door.asked] == ["PUT"]
    assert machine.leases.list_all() == [make_lease(volume, 0, 2)]
    machine.close()
