"""Reading versions: paths, ranges, and what is damaged is said, never given."""

from __future__ import annotations

import pytest

from tests.volume.shortcuts import head_snapshot, noise, publish_files
from volfs.errors import DamagedObjectError, NoEntryError, NotADirectoryInVolumeError
from volfs.model.entry import Extent, replace
from volfs.model.objects import Oid
from volfs.store.contract.refs import VolumeRecord
from volfs.store.contract.store import Store
from volfs.volume.version_reader import DecodedCache, Reader, iter_content_bytes, read_range


@pytest.fixture
def data() -> bytes:
    return noise(100_000) + bytes(200_000) + noise(50_000, seed=1)


def test_ranges_are_those_of_the_bytes(store: Store, volume: VolumeRecord, data: bytes) -> None:
    publish_files(store, volume, {"f": data, "small": b"small"})
    reader = Reader(store.objects_of(volume.id).load_object)
    entry = reader.get_path(head_snapshot(store, volume), (b"f",))
    for offset in (0, 1, 65_535, 65_536, 99_999, 150_000, 299_990, 349_999, 350_000, 10**9):
        for length in (0, 1, 4096, 70_000, 10**9):
            got = bytes(read_range(reader, store.objects_of(volume.id), entry, offset, length))
            assert got == data[offset : offset + length]
    assert (
        b"".join(map(bytes, iter_content_bytes(reader, store.objects_of(volume.id), entry))) == data
    )
    small = reader.get_path(head_snapshot(store, volume), (b"small",))
    assert read_range(reader, store.objects_of(volume.id), small, 2, 9) == b"all"


def test_paths_lead_to_entries_or_to_errors_that_name_them(
    store: Store, volume: VolumeRecord
) -> None:
    publish_files(store, volume, {"d/f": b""})
    reader = Reader(store.objects_of(volume.id).load_object)
    snapshot = head_snapshot(store, volume)
    assert reader.get_path(snapshot, ()).is_directory
    assert reader.find_path(snapshot, (b"d", b"g")) is None
    assert reader.find_path(snapshot, (b"x", b"y")) is None
    with pytest.raises(NoEntryError, match="d/g"):
        reader.get_path(snapshot, (b"d", b"g"))
    with pytest.raises(NotADirectoryInVolumeError, match="d/f"):
        reader.find_path(snapshot, (b"d", b"f", b"below"))


def test_an_extent_that_lies_is_damage(store: Store, volume: VolumeRecord) -> None:
    publish_files(store, volume, {"f": noise(5000)})
    reader = Reader(store.objects_of(volume.id).load_object)
    entry = reader.get_path(head_snapshot(store, volume), (b"f",))
    extent = Extent(6000, entry.extents[0].oid, 0)
    with pytest.raises(DamagedObjectError):
        read_range(
            reader,
            store.objects_of(volume.id),
            replace(entry, size=6000, extents=(extent,)),
            0,
            6000,
        )
    with pytest.raises(DamagedObjectError):
        read_range(reader, store.objects_of(volume.id), replace(entry, size=6000), 5500, 10)


def test_a_cache_keeps_the_recent_and_names_what_is_damaged() -> None:
    def decode(data: object) -> str:
        if data == b"bad":
            raise DamagedObjectError("no tree")
        return str(data)

    loaded: list[bytes] = []

    def load(oid: Oid) -> bytes:
        loaded.append(oid)
        return oid

    cache = DecodedCache(load, decode, limit=2)
    for name in (b"a", b"b", b"a", b"c", b"a", b"b"):
        cache.get(Oid(name))
    assert loaded == [b"a", b"b", b"c", b"b"]
    with pytest.raises(DamagedObjectError, match=b"bad".hex()):
        cache.get(Oid(b"bad"))
