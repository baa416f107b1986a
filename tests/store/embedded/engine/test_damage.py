"""Damage of packs and of the index is found, and never returned as data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.store.embedded.published import VOLUME, add, data_pack, forget, list_damage, noise, packs
from volfs.errors import (
    DamagedObjectError,
    DataError,
    MissingObjectError,
)
from volfs.model.objects import Buffer, Kind, Oid, compute_oid
from volfs.model.pack import PACK_HEADER_SIZE
from volfs.store.embedded.engine import EmbeddedStore, open_embedded
from volfs.store.packs.rows import encode_entry


@pytest.mark.parametrize("which", [0, 1])
def test_a_changed_byte_is_found_and_never_returned(
    store: EmbeddedStore, path: Path, which: int
) -> None:
    objects = {
        Kind.CHUNK: [noise(900), b"compressible " * 100, b""],
        Kind.TREE: [noise(700, 1), b"a tree " * 80],
    }
    for kind, datas in objects.items():
        add(store, *datas, kind=kind)
    store.close()
    pack = packs(path)[which]
    sound = pack.read_bytes()
    for at in {*range(0, len(sound), 37), 0, 8, 15, 16, 20, len(sound) - 1}:
        pack.write_bytes(sound[:at] + bytes([sound[at] ^ 0x10]) + sound[at + 1 :])
        damaged = open_embedded(str(path), create=False)
        for kind, datas in objects.items():
            for data in datas:
                expect_right_or_error(damaged, compute_oid(kind, data), data)
        found = list_damage(damaged)
        assert found, at
        assert "pack" in found[0].where
        damaged.close()
    pack.write_bytes(sound)


def expect_right_or_error(store: EmbeddedStore, oid: Oid, data: bytes) -> None:
    half = len(data) // 2
    reads: list[tuple[Callable[[], Buffer | None], bytes]] = [
        (
            lambda: store.objects_of(VOLUME.id).read_object_ready(oid, half, half),
            data[half : 2 * half],
        ),
        (lambda: store.objects_of(VOLUME.id).read_object(oid, 0, half), data[:half]),
        (lambda: store.objects_of(VOLUME.id).load_object(oid), data),
    ]
    for read, expected in reads:
        found: Buffer | None
        try:
            found = read()
        except DataError as error:
            found, said = None, str(error)
        else:
            said = f"{oid.hex()} in pack"
        assert found is None or found == expected
        assert f"{oid.hex()} in pack" in said


def test_long_decoding_is_no_ready_answer(store: EmbeddedStore) -> None:
    """It is left to whoever may wait, and is ready once it has been done."""
    short, long = add(store, b"text " * 1000, b"text " * 100_000)
    objects = store.objects_of(VOLUME.id)
    if objects.read_object_ready(short, 0, 5) is None:
        pytest.skip("this file system has no reads that refuse to wait")
    assert objects.read_object_ready(long, 0, 400_000) is None
    assert objects.read_object_ready(long, 0, 5) == b"text "
    assert objects.read_object(long, 5, 400_000) == b"text " * 80_000
    assert objects.read_object_ready(long, 10, 300_000) == b"text " * 60_000


@pytest.mark.parametrize("keep", [0, PACK_HEADER_SIZE, 40, 500])
def test_a_truncated_pack(store: EmbeddedStore, path: Path, keep: int) -> None:
    (oid,) = add(store, noise(1000))
    store.close()
    data_pack(path).write_bytes(data_pack(path).read_bytes()[:keep] if keep else b"VOLFSPK1\1")
    cut = open_embedded(str(path), create=False)
    with pytest.raises(DamagedObjectError, match=rf"{oid.hex()} in pack 2 at 80"):
        cut.objects_of(VOLUME.id).load_object(oid)
    assert {item.oid for item in list_damage(cut)} >= {None, oid}
    cut.close()


def test_a_missing_pack(store: EmbeddedStore, path: Path) -> None:
    (oid,) = add(store, noise(1000))
    store.close()
    data_pack(path).unlink()
    cut = open_embedded(str(path), create=False)
    with pytest.raises(MissingObjectError, match=rf"{oid.hex()} in pack 2 at 80.*missing"):
        cut.objects_of(VOLUME.id).load_object(oid)
    assert {item.oid for item in list_damage(cut)} == {None, oid}
    cut.close()


def test_packs_of_equal_size_that_were_swapped(store: EmbeddedStore, path: Path) -> None:
    """Checksums are right everywhere, and yet nothing is where the index says."""
    engine = store._engine
    one, two = add(store, noise(1000, 1), noise(1000, 2))
    entries = [engine.index.find_entry(oid) for oid in (one, two)]
    assert all(entries)
    with engine.environment.write() as txn:
        for oid, entry in zip((two, one), entries, strict=True):
            txn.put(oid, encode_entry(entry), db=engine.index._objects)  # type: ignore[arg-type]
    for oid in (one, two):
        with pytest.raises(DamagedObjectError, match="another object"):
            store.objects_of(VOLUME.id).load_object(oid)
    assert {item.oid for item in list_damage(store)} == {one, two}


def test_a_lost_manifest_is_damage(store: EmbeddedStore) -> None:
    manifest = store.refs.get_head(VOLUME.id).manifest
    forget(store, manifest)
    lost, unnamed = list_damage(store)
    assert lost.oid == manifest
    assert unnamed.where == "names.log", "it alone tells now what the volume is called"
