"""What every engine promises of objects, uploads and its care (volfs/store/contract)."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import pytest

from tests.store.contract import (
    add,
    list_damage,
    noise,
    publish_next,
    run_threads,
    store,
    text,
    url,
    volume,
)
from volfs.errors import DamagedObjectError, MissingObjectError
from volfs.model.objects import Kind, compute_oid
from volfs.model.progress import Progress
from volfs.store.contract.refs import Head
from volfs.store.contract.store import Store
from volfs.store.registry import open_store

__all__ = ["store", "url", "volume"]

# --- objects ----------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 100, 4096, 70_000, 1 << 20])
@pytest.mark.parametrize("make", [noise, text])
def test_objects_come_back(
    store: Store, volume: str, size: int, make: Callable[[int], bytes]
) -> None:
    data = make(size)
    (oid,) = add(store, volume, data)
    assert oid == compute_oid(Kind.CHUNK, data)
    assert store.objects_of(volume).contains(oid)
    assert store.objects_of(volume).load_object(oid) == data
    for offset, length in ((0, size), (size // 3, size // 2), (size, 0), (max(0, size - 1), 0)):
        for _ in range(2):
            assert (
                store.objects_of(volume).read_object(oid, offset, length)
                == data[offset : offset + length]
            )


@pytest.mark.parametrize("make", [noise, text])
def test_ready_reads_give_the_same_or_nothing(
    store: Store, volume: str, make: Callable[[int], bytes]
) -> None:
    data = make(300_000)
    (oid,) = add(store, volume, data)
    store.objects_of(volume).prefetch(oid)
    for offset, length in ((0, 300_000), (7, 100_000), (299_999, 1)):
        found = store.objects_of(volume).read_object_ready(oid, offset, length)
        assert found is None or found == data[offset : offset + length]
    assert store.objects_of(volume).load_object_ready(oid) in (None, data)


@pytest.mark.parametrize(("offset", "length"), [(-1, 2), (0, 11), (10, 1), (11, 0), (3, -1)])
@pytest.mark.parametrize("data", [b"0123456789"])
def test_a_range_outside_the_object_is_damage(
    store: Store, volume: str, data: bytes, offset: int, length: int
) -> None:
    (oid,) = add(store, volume, data)
    for read in (store.objects_of(volume).read_object, store.objects_of(volume).read_object_ready):
        with pytest.raises(DamagedObjectError, match=oid.hex()):
            read(oid, offset, length)


def test_what_is_asked_for_at_once_may_be_unknown(store: Store, volume: str) -> None:
    """To say that an object is missing may take a look elsewhere."""
    objects = store.objects_of(volume)
    oid = compute_oid(Kind.TREE, b"never put")
    reads: list[Callable[[], object]] = [
        lambda: objects.load_object_ready(oid),
        lambda: objects.read_object_ready(oid, 0, 1),
    ]
    for read in reads:
        with suppress(MissingObjectError):
            assert read() is None
    assert objects.ahead >= 0


def test_missing_object(store: Store, volume: str) -> None:
    oid = compute_oid(Kind.TREE, b"never put")
    objects = store.objects_of(volume)
    assert not objects.contains(oid)
    objects.prefetch(oid)
    calls: list[Callable[[], object]] = [
        lambda: objects.load_object(oid),
        lambda: objects.read_object(oid, 0, 1),
    ]
    for call in calls:
        with pytest.raises(MissingObjectError, match=oid.hex()):
            call()


def test_a_miss_is_not_remembered(store: Store, volume: str) -> None:
    oid = compute_oid(Kind.CHUNK, b"soon")
    with pytest.raises(MissingObjectError):
        store.objects_of(volume).load_object(oid)
    add(store, volume, b"soon")
    assert store.objects_of(volume).load_object(oid) == b"soon"


def test_the_kind_is_part_of_the_id(store: Store, volume: str) -> None:
    with store.open_upload(volume) as upload:
        oids = {upload.put_object(kind, b"same bytes") for kind in Kind}
        publish_next(store, volume, upload)
    assert len(oids) == len(Kind)
    assert all(store.objects_of(volume).load_object(oid) == b"same bytes" for oid in oids)


def test_any_buffer_may_be_put(store: Store, volume: str) -> None:
    data = noise(5000)
    with store.open_upload(volume) as upload:
        oids = {
            upload.put_object(Kind.CHUNK, data),
            upload.put_object(Kind.CHUNK, bytearray(data)),
            upload.put_object(Kind.CHUNK, memoryview(b"x" + data)[1:]),
        }
        publish_next(store, volume, upload)
    assert len(oids) == 1
    assert store.objects_of(volume).load_object(oids.pop()) == data


# --- uploads ----------------------------------------------------------------


def test_nothing_is_visible_before_publish(store: Store, volume: str) -> None:
    with store.open_upload(volume) as upload:
        oid = upload.put_object(Kind.CHUNK, b"draft")
        assert upload.load_object(oid) == b"draft"
        assert not store.objects_of(volume).contains(oid)
        with pytest.raises(MissingObjectError):
            store.objects_of(volume).load_object(oid)
        publish_next(store, volume, upload)
        assert upload.load_object(oid) == b"draft"
    assert store.objects_of(volume).load_object(oid) == b"draft"


def test_an_upload_sees_published_objects_too(store: Store, volume: str) -> None:
    (oid,) = add(store, volume, b"there")
    with store.open_upload(volume) as upload:
        assert upload.load_object(oid) == b"there"
        with pytest.raises(MissingObjectError):
            upload.load_object(compute_oid(Kind.CHUNK, b"not there"))


def test_leaving_without_publishing_forgets(store: Store, volume: str) -> None:
    with store.open_upload(volume) as upload:
        oid = upload.put_object(Kind.CHUNK, noise(1000))
    assert not store.objects_of(volume).contains(oid)
    assert list_damage(store) == []
    add(store, volume, noise(500), noise(1000))
    assert store.objects_of(volume).load_object(oid) == noise(1000)


def test_known_objects_are_not_written_again(store: Store, volume: str) -> None:
    add(store, volume, noise(1000), noise(2000))
    with store.open_upload(volume) as upload:
        for _ in range(2):
            upload.put_object(Kind.CHUNK, noise(1000))
            upload.put_object(Kind.CHUNK, noise(3000))
        assert (upload.new_objects, upload.new_bytes) == (1, 3000)


def test_an_upload_relies_on_what_is_there_only(store: Store, volume: str) -> None:
    (known,) = add(store, volume, b"known")
    unknown = compute_oid(Kind.CHUNK, b"unknown")
    with store.open_upload(volume) as upload:
        assert [upload.rely_on(oid) for oid in (known, unknown)] == [True, False]
        assert upload.put_object(Kind.CHUNK, b"unknown") == unknown
        assert upload.rely_on(unknown)
        assert upload.new_objects == 1
        publish_next(store, volume, upload)


def test_an_upload_of_a_manifest_alone(store: Store, volume: str) -> None:
    with store.open_upload(volume) as upload:
        head = publish_next(store, volume, upload)
    assert store.refs.get_head(volume) == head


def test_publishing_a_known_manifest(store: Store, volume: str) -> None:
    first = store.refs.get_head(volume)
    with store.open_upload(volume) as upload:
        store.refs.publish(upload, volume, first, Head(1, first.manifest))
    assert store.refs.get_head(volume) == Head(1, first.manifest)


def test_publishing_a_manifest_nobody_put(store: Store, volume: str) -> None:
    head = store.refs.get_head(volume)
    with store.open_upload(volume) as upload, pytest.raises(MissingObjectError):
        store.refs.publish(upload, volume, head, Head(1, compute_oid(Kind.MANIFEST, b"unput")))
    assert store.refs.get_head(volume) == head


def test_one_upload_publishes_again_and_again(store: Store, volume: str) -> None:
    with store.open_upload(volume) as upload:
        for number in range(5):
            upload.put_object(Kind.CHUNK, noise(100, number))
            assert publish_next(store, volume, upload).version == number + 1


def test_threads_put_at_once(store: Store, volume: str) -> None:
    chunks = [noise(20_000, seed) for seed in range(40)] + [text(20_000 + n) for n in range(10)]
    with store.open_upload(volume) as upload:

        def put_all(_: int) -> None:
            for chunk in chunks:
                upload.put_object(Kind.CHUNK, chunk)

        run_threads(4, put_all)
        assert upload.new_objects == len(chunks)
        publish_next(store, volume, upload)
    for chunk in chunks:
        assert store.objects_of(volume).load_object(compute_oid(Kind.CHUNK, chunk)) == chunk


def test_more_than_one_pack(store: Store, volume: str) -> None:
    base = noise(4 << 20)
    chunks = [bytes([number]) + base for number in range(36)]
    oids = add(store, volume, *chunks)
    for number in (0, 15, 16, 35):
        assert store.objects_of(volume).load_object(oids[number]) == chunks[number]


# --- care -------------------------------------------------------------------


def test_space_is_known_or_not(store: Store) -> None:
    space = store.care.find_space()
    assert space is None or 0 <= space.free <= space.total


def test_what_is_stored_is_measured(store: Store, volume: str) -> None:
    before = store.care.measure()
    assert (before.waiting_packs, before.waiting_bytes) == (0, 0)
    size = 9 << 20
    add(store, volume, noise(size))
    after = store.care.measure()
    assert after.packs > before.packs or after.bytes > before.bytes
    assert size <= after.bytes - before.bytes < size + (1 << 20)
    assert after.waiting_bytes == 0


def test_where_its_sessions_are_is_a_directory_here(store: Store) -> None:
    assert store.local.is_absolute()
    assert store.local.is_dir()


def test_check_ends_with_all_bytes_seen(store: Store, volume: str) -> None:
    base = noise(4 << 20)
    add(store, volume, *(bytes([number]) + base for number in range(10)))
    steps: list[Progress] = []
    assert list(store.care.iter_damage(report=steps.append)) == []
    assert len(steps) >= 3
    assert steps == sorted(steps)
    assert steps[-1].bytes == steps[-1].bytes_total > 40 << 20


def test_close_is_idempotent_and_final(url: str) -> None:
    store = open_store(url, create=True)
    store.close()
    store.close()
    again = open_store(url)
    assert again.refs.list_volumes() == []
    again.close()
