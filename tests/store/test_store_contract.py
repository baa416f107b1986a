"""What every engine promises (volfs/store/base.py). A new engine is one line in ENGINES."""

from __future__ import annotations

import random
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from volfs.errors import (
    AlreadyExistsError,
    DamagedObjectError,
    HeadMovedError,
    MissingObjectError,
    NotFoundError,
)
from volfs.model.objects import Kind, Oid, compute_oid
from volfs.store.base import (
    CheckProgress,
    Damage,
    Head,
    Lease,
    Need,
    Store,
    Upload,
    VolumeRecord,
)
from volfs.store.registry import open_store


def embedded(directory: Path) -> str:
    return str(directory / "store")


ENGINES: list[Callable[[Path], str]] = [
    embedded,
]
"""Each gives the address of a store that does not exist yet."""


@pytest.fixture(params=ENGINES, ids=lambda engine: engine.__name__)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(request.param(tmp_path))


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    store = open_store(url, create=True)
    yield store
    assert list_damage(store) == []
    store.close()


def list_damage(store: Store) -> list[Damage]:
    return [item for item in store.iter_damage() if isinstance(item, Damage)]


def make_record(number: int = 1, name: str | None = None) -> VolumeRecord:
    return VolumeRecord(f"vo-{number:022d}", name or f"volume-{number}", 2, 20, number, "me")


@pytest.fixture
def volume(store: Store) -> str:
    record = make_record()
    store.create_volume(record, b"manifest 0")
    return record.id


def publish_next(store: Store, volume: str, upload: Upload, note: str = "") -> Head:
    head = store.get_head(volume)
    manifest = f"{volume} {head.version + 1} {note}".encode()
    new = Head(head.version + 1, upload.put_object(Kind.MANIFEST, manifest))
    store.publish(upload, volume, head, new)
    return new


def add(store: Store, volume: str, *chunks: bytes) -> list[Oid]:
    with store.open_upload() as upload:
        oids = [upload.put_object(Kind.CHUNK, chunk) for chunk in chunks]
        publish_next(store, volume, upload)
    return oids


def noise(size: int, seed: int = 0) -> bytes:
    return random.Random(f"{seed} {size}").randbytes(size)


def text(size: int) -> bytes:
    return (b"the same words over and over; " * (size // 30 + 1))[:size]


# --- volumes ----------------------------------------------------------------


def test_new_volume_is_at_version_0(store: Store) -> None:
    record = make_record()
    store.create_volume(record, b"empty")
    assert store.get_volume(record.name) == record
    assert store.find_volume_by_id(record.id) == record
    head = store.get_head(record.id)
    assert head == Head(0, compute_oid(Kind.MANIFEST, b"empty"))
    assert store.objects.load_object(head.manifest) == b"empty"
    assert store.find_version(record.id, 0) == head.manifest


def test_volumes_share_a_first_manifest(store: Store) -> None:
    for number in (1, 2):
        store.create_volume(make_record(number), b"the same")
    assert store.get_head(make_record(1).id) == store.get_head(make_record(2).id)


def test_volume_record_keeps_every_field(store: Store) -> None:
    record = VolumeRecord("vo-" + "z" * 22, "a.b-c_D", 1, 16, 1 << 60, "somebody", 2.5)
    store.create_volume(record, b"m")
    assert store.list_volumes() == [record]


def test_create_refuses_a_taken_name_and_changes_nothing(store: Store, volume: str) -> None:
    with pytest.raises(AlreadyExistsError):
        store.create_volume(make_record(2, name="volume-1"), b"other")
    assert store.find_volume_by_id(make_record(2).id) is None
    assert store.get_volume("volume-1").id == volume
    assert not store.objects.contains(compute_oid(Kind.MANIFEST, b"other"))


def test_list_is_newest_first(store: Store) -> None:
    for number in (2, 3, 1):
        store.create_volume(make_record(number), b"m")
    assert [record.created_ns for record in store.list_volumes()] == [3, 2, 1]


def test_rename_keeps_the_id(store: Store, volume: str) -> None:
    store.rename_volume("volume-1", "new")
    assert store.get_volume("new").id == volume
    with pytest.raises(NotFoundError):
        store.get_volume("volume-1")
    found = store.find_volume_by_id(volume)
    assert found is not None
    assert found.name == "new"


def test_rename_refuses(store: Store, volume: str) -> None:
    store.create_volume(make_record(2), b"m")
    with pytest.raises(AlreadyExistsError):
        store.rename_volume("volume-1", "volume-2")
    with pytest.raises(NotFoundError):
        store.rename_volume("none", "other")
    assert store.get_volume("volume-1").id == volume


def test_delete_removes_one_volume_and_its_versions(store: Store, volume: str) -> None:
    store.create_volume(make_record(2), b"m")
    for _ in range(3):
        add(store, volume, b"x")
    store.delete_volume("volume-1")
    with pytest.raises(NotFoundError):
        store.get_head(volume)
    assert store.find_version(volume, 1) is None
    assert list(store.iter_versions(volume)) == []
    assert [record.name for record in store.list_volumes()] == ["volume-2"]
    assert store.get_head(make_record(2).id).version == 0


@pytest.mark.parametrize("call", ["get_volume", "delete_volume"])
def test_absent_volume(store: Store, call: str) -> None:
    with pytest.raises(NotFoundError):
        getattr(store, call)("none")
    assert store.find_volume_by_id("vo-none") is None
    with pytest.raises(NotFoundError):
        store.get_head("vo-none")


# --- versions ---------------------------------------------------------------


def test_versions_newest_first_across_many(store: Store, volume: str) -> None:
    store.create_volume(make_record(0), b"m")
    store.create_volume(make_record(2), b"m")
    with store.open_upload() as upload:
        heads = [store.get_head(volume)] + [publish_next(store, volume, upload) for _ in range(600)]
    assert list(store.iter_versions(volume)) == heads[::-1]
    assert store.find_version(volume, 300) == heads[300].manifest
    assert store.find_version(volume, 601) is None
    assert store.find_version(volume, -1) is None
    assert [head.version for head in store.iter_versions(make_record(2).id)] == [0]


def list_versions(store: Store, volume: str) -> list[int]:
    return [head.version for head in store.iter_versions(volume)]


def test_removed_versions_are_gone_and_the_others_stay(store: Store, volume: str) -> None:
    store.create_volume(make_record(2), b"m")
    for _ in range(6):
        add(store, volume, b"x")
    assert store.remove_versions(volume, [4, 2, 2, 99, 0]) == [0, 2, 4]
    assert list_versions(store, volume) == [6, 5, 3, 1]
    assert store.find_version(volume, 4) is None
    assert store.remove_versions(volume, [4]) == []
    assert list_versions(store, make_record(2).id) == [0]
    add(store, volume, b"y")
    assert list_versions(store, volume) == [7, 6, 5, 3, 1]


def test_what_is_in_use_is_not_removed(store: Store, volume: str) -> None:
    """The head, what a tag names, what a lease has; those of other volumes do not count."""
    store.create_volume(make_record(2), b"m")
    for _ in range(4):
        add(store, volume, b"x")
        add(store, make_record(2).id, b"x")
    store.put_tag(volume, "release", 1)
    store.put_lease(make_lease(volume, 2))
    store.put_tag(make_record(2).id, "other", 3)
    store.put_lease(make_lease(make_record(2).id, 0, session="other"))
    assert store.remove_versions(volume, range(10)) == [0, 3]
    assert list_versions(store, volume) == [4, 2, 1]


def test_removing_from_a_deleted_volume(store: Store, volume: str) -> None:
    store.delete_volume("volume-1")
    with pytest.raises(NotFoundError):
        store.remove_versions(volume, [0])


# --- tags -------------------------------------------------------------------


def test_tags_name_versions(store: Store, url: str, volume: str) -> None:
    add(store, volume, b"x")
    for tag, version in (("b", 1), ("a", 0), ("B.-_9", 1)):
        store.put_tag(volume, tag, version)
    other = open_store(url)
    assert other.list_tags(volume) == [("B.-_9", 1), ("a", 0), ("b", 1)]
    assert other.find_tag(volume, "a") == 0
    assert other.find_tag(volume, "c") is None
    other.close()


def test_a_tag_moves_only_if_it_may(store: Store, volume: str) -> None:
    add(store, volume, b"x")
    store.put_tag(volume, "a", 0)
    store.put_tag(volume, "a", 0)
    with pytest.raises(AlreadyExistsError, match="version 0"):
        store.put_tag(volume, "a", 1)
    assert store.find_tag(volume, "a") == 0
    store.put_tag(volume, "a", 1, move=True)
    assert store.list_tags(volume) == [("a", 1)]


def test_a_tag_on_a_version_that_is_not_there(store: Store, volume: str) -> None:
    for call in (volume, 1), ("vo-none", 0):
        with pytest.raises(NotFoundError):
            store.put_tag(call[0], "a", call[1])
    assert store.list_tags(volume) == []


def test_tags_belong_to_one_volume(store: Store, volume: str) -> None:
    store.create_volume(make_record(2), b"m")
    for record in (make_record(1), make_record(2)):
        store.put_tag(record.id, "a", 0)
        store.put_tag(record.id, "z", 0)
    store.delete_tag(volume, "a")
    assert store.list_tags(volume) == [("z", 0)]
    assert len(store.list_tags(make_record(2).id)) == 2
    with pytest.raises(NotFoundError, match="no tag a"):
        store.delete_tag(volume, "a")


def test_deleting_a_volume_deletes_its_tags(store: Store, volume: str) -> None:
    store.create_volume(make_record(2), b"m")
    for record in (make_record(1), make_record(2)):
        store.put_tag(record.id, "a", 0)
    store.delete_volume("volume-1")
    assert store.list_tags(volume) == []
    assert store.list_tags(make_record(2).id) == [("a", 0)]


# --- forks ------------------------------------------------------------------


def test_a_fork_is_a_volume_with_two_versions(store: Store, volume: str) -> None:
    add(store, volume, b"x")
    fork = make_record(2)
    store.fork_volume(fork, (b"empty", b"with x"), volume, 1)
    assert store.get_volume("volume-2") == fork
    assert store.get_head(fork.id) == (1, compute_oid(Kind.MANIFEST, b"with x"))
    assert store.find_version(fork.id, 0) == compute_oid(Kind.MANIFEST, b"empty")
    assert list_versions(store, fork.id) == [1, 0]
    assert store.objects.load_object(store.get_head(fork.id).manifest) == b"with x"


def test_a_fork_that_is_refused_changes_nothing(store: Store, volume: str) -> None:
    add(store, volume, b"x")
    store.remove_versions(volume, [0])
    with pytest.raises(NotFoundError, match="version 0 "):
        store.fork_volume(make_record(2), (b"a", b"b"), volume, 0)
    with pytest.raises(AlreadyExistsError):
        store.fork_volume(make_record(2, "volume-1"), (b"a", b"b"), volume, 1)
    assert len(store.list_volumes()) == 1
    assert not store.objects.contains(compute_oid(Kind.MANIFEST, b"b"))


# --- objects ----------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 100, 4096, 70_000, 1 << 20])
@pytest.mark.parametrize("make", [noise, text])
def test_objects_come_back(
    store: Store, volume: str, size: int, make: Callable[[int], bytes]
) -> None:
    data = make(size)
    (oid,) = add(store, volume, data)
    assert oid == compute_oid(Kind.CHUNK, data)
    assert store.objects.contains(oid)
    assert store.objects.load_object(oid) == data
    for offset, length in ((0, size), (size // 3, size // 2), (size, 0), (max(0, size - 1), 0)):
        for _ in range(2):
            assert store.objects.read_object(oid, offset, length) == data[offset : offset + length]


@pytest.mark.parametrize("make", [noise, text])
def test_ready_reads_give_the_same_or_nothing(
    store: Store, volume: str, make: Callable[[int], bytes]
) -> None:
    data = make(300_000)
    (oid,) = add(store, volume, data)
    store.objects.prefetch(oid)
    for offset, length in ((0, 300_000), (7, 100_000), (299_999, 1)):
        found = store.objects.read_object_ready(oid, offset, length)
        assert found is None or found == data[offset : offset + length]
    assert store.objects.load_object_ready(oid) in (None, data)


@pytest.mark.parametrize(("offset", "length"), [(-1, 2), (0, 11), (10, 1), (11, 0), (3, -1)])
@pytest.mark.parametrize("data", [b"0123456789"])
def test_a_range_outside_the_object_is_damage(
    store: Store, volume: str, data: bytes, offset: int, length: int
) -> None:
    (oid,) = add(store, volume, data)
    for read in (store.objects.read_object, store.objects.read_object_ready):
        with pytest.raises(DamagedObjectError, match=oid.hex()):
            read(oid, offset, length)


def test_missing_object(store: Store) -> None:
    oid = compute_oid(Kind.TREE, b"never put")
    assert not store.objects.contains(oid)
    store.objects.prefetch(oid)
    calls: list[Callable[[], object]] = [
        lambda: store.objects.load_object(oid),
        lambda: store.objects.load_object_ready(oid),
        lambda: store.objects.read_object(oid, 0, 1),
        lambda: store.objects.read_object_ready(oid, 0, 1),
    ]
    for call in calls:
        with pytest.raises(MissingObjectError, match=oid.hex()):
            call()


def test_a_miss_is_not_remembered(store: Store, volume: str) -> None:
    oid = compute_oid(Kind.CHUNK, b"soon")
    with pytest.raises(MissingObjectError):
        store.objects.load_object(oid)
    add(store, volume, b"soon")
    assert store.objects.load_object(oid) == b"soon"


def test_the_kind_is_part_of_the_id(store: Store, volume: str) -> None:
    with store.open_upload() as upload:
        oids = {upload.put_object(kind, b"same bytes") for kind in Kind}
        publish_next(store, volume, upload)
    assert len(oids) == len(Kind)
    assert all(store.objects.load_object(oid) == b"same bytes" for oid in oids)


def test_any_buffer_may_be_put(store: Store, volume: str) -> None:
    data = noise(5000)
    with store.open_upload() as upload:
        oids = {
            upload.put_object(Kind.CHUNK, data),
            upload.put_object(Kind.CHUNK, bytearray(data)),
            upload.put_object(Kind.CHUNK, memoryview(b"x" + data)[1:]),
        }
        publish_next(store, volume, upload)
    assert len(oids) == 1
    assert store.objects.load_object(oids.pop()) == data


# --- uploads ----------------------------------------------------------------


def test_nothing_is_visible_before_publish(store: Store, volume: str) -> None:
    with store.open_upload() as upload:
        oid = upload.put_object(Kind.CHUNK, b"draft")
        assert upload.load_object(oid) == b"draft"
        assert not store.objects.contains(oid)
        with pytest.raises(MissingObjectError):
            store.objects.load_object(oid)
        publish_next(store, volume, upload)
        assert upload.load_object(oid) == b"draft"
    assert store.objects.load_object(oid) == b"draft"


def test_an_upload_sees_published_objects_too(store: Store, volume: str) -> None:
    (oid,) = add(store, volume, b"there")
    with store.open_upload() as upload:
        assert upload.load_object(oid) == b"there"
        with pytest.raises(MissingObjectError):
            upload.load_object(compute_oid(Kind.CHUNK, b"not there"))


def test_leaving_without_publishing_forgets(store: Store, volume: str) -> None:
    with store.open_upload() as upload:
        oid = upload.put_object(Kind.CHUNK, noise(1000))
    assert not store.objects.contains(oid)
    assert list_damage(store) == []
    add(store, volume, noise(500), noise(1000))
    assert store.objects.load_object(oid) == noise(1000)


def test_known_objects_are_not_written_again(store: Store, volume: str) -> None:
    add(store, volume, noise(1000), noise(2000))
    with store.open_upload() as upload:
        for _ in range(2):
            upload.put_object(Kind.CHUNK, noise(1000))
            upload.put_object(Kind.CHUNK, noise(3000))
        assert (upload.new_objects, upload.new_bytes) == (1, 3000)


def test_an_upload_of_a_manifest_alone(store: Store, volume: str) -> None:
    with store.open_upload() as upload:
        head = publish_next(store, volume, upload)
    assert store.get_head(volume) == head


def test_publishing_a_known_manifest(store: Store, volume: str) -> None:
    first = store.get_head(volume)
    with store.open_upload() as upload:
        store.publish(upload, volume, first, Head(1, first.manifest))
    assert store.get_head(volume) == Head(1, first.manifest)


def test_publishing_a_manifest_nobody_put(store: Store, volume: str) -> None:
    head = store.get_head(volume)
    with store.open_upload() as upload, pytest.raises(MissingObjectError):
        store.publish(upload, volume, head, Head(1, compute_oid(Kind.MANIFEST, b"unput")))
    assert store.get_head(volume) == head


def test_one_upload_publishes_again_and_again(store: Store, volume: str) -> None:
    with store.open_upload() as upload:
        for number in range(5):
            upload.put_object(Kind.CHUNK, noise(100, number))
            assert publish_next(store, volume, upload).version == number + 1


def test_threads_put_at_once(store: Store, volume: str) -> None:
    chunks = [noise(20_000, seed) for seed in range(40)] + [text(20_000 + n) for n in range(10)]
    with store.open_upload() as upload:

        def put_all(_: int) -> None:
            for chunk in chunks:
                upload.put_object(Kind.CHUNK, chunk)

        run_threads(4, put_all)
        assert upload.new_objects == len(chunks)
        publish_next(store, volume, upload)
    for chunk in chunks:
        assert store.objects.load_object(compute_oid(Kind.CHUNK, chunk)) == chunk


def test_more_than_one_pack(store: Store, volume: str) -> None:
    base = noise(4 << 20)
    chunks = [bytes([number]) + base for number in range(36)]
    oids = add(store, volume, *chunks)
    for number in (0, 15, 16, 35):
        assert store.objects.load_object(oids[number]) == chunks[number]


# --- leases -----------------------------------------------------------------


def make_lease(
    volume: str, *versions: int, session: str = "data-1", began_ns: int = 1 << 60
) -> Lease:
    needs = tuple(Need(kind, compute_oid(kind, session.encode())) for kind in Kind)
    return Lease(session, volume, versions, needs, began_ns)


def test_a_lease_keeps_every_field(store: Store, url: str, volume: str) -> None:
    add(store, volume, b"x")
    for session in ("data-1", "/somewhere/" + "long/" * 500 + "ö"):
        lease = make_lease(volume, 0, 1, session=session)
        store.put_lease(lease)
        assert store.find_lease(session) == lease
    other = open_store(url)
    assert other.list_leases() == store.list_leases()
    assert isinstance(other.list_leases()[0].needs[0].kind, Kind)
    other.close()


def test_a_session_has_one_lease(store: Store, volume: str) -> None:
    for versions in ((0,), ()):
        store.put_lease(make_lease(volume, *versions))
    store.put_lease(make_lease(volume, 0, session="data-0"))
    assert [(lease.session, lease.versions) for lease in store.list_leases()] == [
        ("data-0", (0,)),
        ("data-1", ()),
    ]


def test_a_lease_onward_keeps_what_comes_after_it(store: Store, volume: str) -> None:
    for number in range(4):
        add(store, volume, b"%d" % number)
    lease = msgspec.structs.replace(make_lease(volume, 2), onward=True)
    store.put_lease(lease)
    assert store.list_leases() == [lease]
    assert store.remove_versions(volume, [0, 1, 2, 3, 4]) == [0, 1]
    store.put_lease(make_lease(volume, 2))
    assert store.remove_versions(volume, [2, 3, 4]) == [3]


def test_the_head_without_waiting(store: Store, volume: str) -> None:
    add(store, volume, b"x")
    assert store.find_head_ready(volume) in (store.get_head(volume), None)
    with pytest.raises(NotFoundError):
        store.find_head_ready("vo-none") or store.get_head("vo-none")


def test_a_lease_on_a_version_that_is_not_there(store: Store, volume: str) -> None:
    store.put_lease(make_lease(volume, 0))
    for lease in (make_lease(volume, 0, 1), make_lease("vo-none", 0)):
        with pytest.raises(NotFoundError):
            store.put_lease(lease)
    assert store.list_leases() == [make_lease(volume, 0)]


def test_dropping_a_lease(store: Store, volume: str) -> None:
    store.put_lease(make_lease(volume, 0))
    for _ in range(2):
        store.drop_lease("data-1")
        assert store.find_lease("data-1") is None
    assert store.list_leases() == []


def test_a_lease_that_was_replaced_is_not_dropped_by_mistake(store: Store, volume: str) -> None:
    old, new = (make_lease(volume, 0, began_ns=began_ns) for began_ns in (1, 2))
    store.put_lease(old)
    store.put_lease(new)
    store.drop_lease(old.session, old)
    assert store.list_leases() == [new]
    store.drop_lease(new.session, new)
    assert store.list_leases() == []


def test_a_lease_outlives_its_volume(store: Store, volume: str) -> None:
    lease = make_lease(volume, 0)
    store.put_lease(lease)
    store.delete_volume("volume-1")
    assert store.list_leases() == [lease]


def test_publishing_puts_the_lease(store: Store, volume: str) -> None:
    head = store.get_head(volume)
    lease = make_lease(volume, 0, 1)
    with store.open_upload() as upload:
        new = Head(1, upload.put_object(Kind.MANIFEST, b"m"))
        store.publish(upload, volume, head, new, lease=lease)
    assert store.list_leases() == [lease]


def test_a_lost_swap_puts_no_lease(store: Store, volume: str) -> None:
    head = store.get_head(volume)
    add(store, volume, b"theirs")
    with store.open_upload() as upload:
        new = Head(1, upload.put_object(Kind.MANIFEST, b"m"))
        with pytest.raises(HeadMovedError):
            store.publish(upload, volume, head, new, lease=make_lease(volume, 0))
    assert store.list_leases() == []


def test_a_lease_that_is_refused_keeps_the_head(store: Store, volume: str) -> None:
    head = store.get_head(volume)
    with store.open_upload() as upload:
        new = Head(1, upload.put_object(Kind.MANIFEST, b"m"))
        with pytest.raises(NotFoundError):
            store.publish(upload, volume, head, new, lease=make_lease(volume, 2))
        assert store.get_head(volume) == head
        store.publish(upload, volume, head, new, lease=make_lease(volume, 1))
    assert store.get_head(volume) == new


def test_publishing_what_shares_a_version(store: Store, volume: str) -> None:
    head = store.get_head(volume)
    with store.open_upload() as upload:
        new = Head(1, upload.put_object(Kind.MANIFEST, b"m"))
        with pytest.raises(NotFoundError, match="version 1 "):
            store.publish(upload, volume, head, new, shares=(0, 1))
        assert store.get_head(volume) == head
        store.publish(upload, volume, head, new, shares=(0,))
    assert store.get_head(volume) == new


# --- races ------------------------------------------------------------------


def test_interloper_between_read_and_swap(store: Store, url: str, volume: str) -> None:
    head = store.get_head(volume)
    other = open_store(url)
    with store.open_upload() as upload:
        oid = upload.put_object(Kind.CHUNK, b"mine")
        mine = upload.put_object(Kind.MANIFEST, b"mine on 0")
        add(other, volume, b"theirs")
        with pytest.raises(HeadMovedError):
            store.publish(upload, volume, head, Head(1, mine))
        assert not store.objects.contains(oid)
        assert not store.objects.contains(mine)
        assert upload.load_object(oid) == b"mine"
        assert publish_next(store, volume, upload).version == 2
    assert store.objects.load_object(oid) == b"mine"
    other.close()


def test_same_version_other_manifest_has_moved(store: Store, volume: str) -> None:
    head = Head(0, compute_oid(Kind.MANIFEST, b"another"))
    with store.open_upload() as upload:
        oid = upload.put_object(Kind.MANIFEST, b"m")
        with pytest.raises(HeadMovedError):
            store.publish(upload, volume, head, Head(1, oid))


def test_publish_to_a_deleted_volume(store: Store, volume: str) -> None:
    head = store.get_head(volume)
    with store.open_upload() as upload:
        oid = upload.put_object(Kind.MANIFEST, b"m")
        store.delete_volume("volume-1")
        with pytest.raises(NotFoundError):
            store.publish(upload, volume, head, Head(1, oid))


def test_two_uploads_of_the_same_object(store: Store, volume: str) -> None:
    data = noise(10_000)
    with store.open_upload() as one, store.open_upload() as two:
        oid = one.put_object(Kind.CHUNK, data)
        assert two.put_object(Kind.CHUNK, data) == oid
        publish_next(store, volume, one)
        assert store.objects.load_object(oid) == data
        publish_next(store, volume, two)
    assert store.objects.load_object(oid) == data


def test_an_abandoned_upload_takes_nothing_of_a_live_one(store: Store, volume: str) -> None:
    with store.open_upload() as live:
        before = live.put_object(Kind.CHUNK, noise(5000, 1))
        with store.open_upload() as dead:
            dead.put_object(Kind.CHUNK, noise(9000, 2))
        after = live.put_object(Kind.CHUNK, noise(5000, 3))
        add(store, volume, noise(100, 4))
        publish_next(store, volume, live)
    assert store.objects.load_object(before) == noise(5000, 1)
    assert store.objects.load_object(after) == noise(5000, 3)


def test_threads_publish_a_linear_history(store: Store, volume: str) -> None:
    def work(thread: int) -> None:
        for number in range(10):
            with store.open_upload() as upload:
                upload.put_object(Kind.CHUNK, noise(3000, thread * 100 + number))
                publish_until_won(store, volume, upload, f"{thread} {number}")

    run_threads(4, work)
    assert [head.version for head in store.iter_versions(volume)] == list(range(40, -1, -1))


def publish_until_won(store: Store, volume: str, upload: Upload, note: str) -> None:
    while True:
        try:
            publish_next(store, volume, upload, note)
        except HeadMovedError:
            continue
        return


def run_threads(count: int, work: Callable[[int], None]) -> None:
    """Run ``work`` in threads and raise what the first failing one raised."""
    errors: list[BaseException] = []

    def guarded(number: int) -> None:
        try:
            work(number)
        except BaseException as error:  # noqa: BLE001 - the main thread raises it
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


# --- other processes --------------------------------------------------------


def run_python(code: str, *arguments: str) -> str:
    """Run code in another process; what it printed."""
    command = [sys.executable, "-c", textwrap.dedent(code), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


PUBLISH = """
    import os, sys
    from volfs.model.objects import Kind
    from volfs.store.base import Head
    from volfs.store.registry import open_store
    url, volume, how = sys.argv[1:]
    store = open_store(url)
    head = store.get_head(volume)
    upload = store.open_upload()
    upload.put_object(Kind.CHUNK, b"from another process")
    new = Head(head.version + 1, upload.put_object(Kind.MANIFEST, b"theirs"))
    if how == "die":
        os._exit(0)
    store.publish(upload, volume, head, new)
    os._exit(0)
"""


def test_what_another_process_published_is_seen(store: Store, url: str, volume: str) -> None:
    oid = compute_oid(Kind.CHUNK, b"from another process")
    assert not store.objects.contains(oid)
    run_python(PUBLISH, url, volume, "publish")
    assert store.get_head(volume).version == 1
    assert store.objects.load_object(oid) == b"from another process"
    add(store, volume, b"and on")


def test_a_process_that_died_before_publish_left_nothing(
    store: Store, url: str, volume: str
) -> None:
    add(store, volume, noise(1000))
    run_python(PUBLISH, url, volume, "die")
    assert store.get_head(volume).version == 1
    assert not store.objects.contains(compute_oid(Kind.CHUNK, b"from another process"))
    add(store, volume, noise(2000))


def test_what_was_published_is_there_after_reopening(url: str) -> None:
    store = open_store(url, create=True)
    store.create_volume(make_record(), b"m")
    (oid,) = add(store, make_record().id, noise(7000))
    store.close()
    again = open_store(url)
    assert again.objects.load_object(oid) == noise(7000)
    assert again.get_head(make_record().id).version == 1
    again.close()


# --- care -------------------------------------------------------------------


def test_space_is_of_the_disk(store: Store) -> None:
    space = store.get_space()
    assert 0 < space.free <= space.total


def test_check_ends_with_all_bytes_seen(store: Store, volume: str) -> None:
    base = noise(4 << 20)
    add(store, volume, *(bytes([number]) + base for number in range(10)))
    steps = [item for item in store.iter_damage() if isinstance(item, CheckProgress)]
    assert len(steps) >= 3
    assert steps == sorted(steps)
    assert steps[-1].done == steps[-1].total > 40 << 20


def test_close_is_idempotent_and_final(url: str) -> None:
    store = open_store(url, create=True)
    store.close()
    store.close()
    again = open_store(url)
    assert again.list_volumes() == []
    again.close()
