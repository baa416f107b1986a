"""Rows of an embedded index, and the stored bytes of an object, to be damaged or dropped."""

from __future__ import annotations

import os
from pathlib import Path

from tests.volume.shortcuts import head_snapshot
from volfs.model.objects import Oid
from volfs.store.contract.refs import VolumeRecord
from volfs.store.contract.store import Store
from volfs.volume.version_reader import Reader


def rows(store: Store) -> tuple[object, dict[str, object]]:
    engine = store._engine  # type: ignore[attr-defined]
    tables = {
        name: engine.environment.open_table(name.encode(), has_checksums=name != "objects")
        for name in TABLES
    }
    return engine.environment, tables


TABLES = ("heads", "versions", "leases", "objects", "packs", "quarantine")


def flip(store: Store, oid: Oid) -> None:
    """Damage the stored bytes of an object."""
    entry = store._engine.index.find_entry(oid)  # type: ignore[attr-defined]
    path = Path(store.url) / "packs" / f"{entry.pack:08d}.pack"
    with path.open("r+b") as file:
        file.seek(entry.offset + entry.stored // 2)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 1]))


def forget(store: Store, oid: Oid) -> None:
    environment, tables = rows(store)
    with environment.write() as txn:  # type: ignore[attr-defined]
        assert txn.delete(oid, db=tables["objects"])


def find_chunk(store: Store, volume: VolumeRecord, path: bytes) -> Oid:
    reader = Reader(store.objects_of(volume.id).load_object)
    return Oid(reader.get_path(head_snapshot(store, volume), (path,)).extents[0].oid)


def spoil_counters(store: Store) -> None:
    environment, _ = rows(store)
    counters = environment.open_table(b"counters")  # type: ignore[attr-defined]
    with environment.write() as txn:  # type: ignore[attr-defined]
        txn.raw.put(b"next-pack", b"no row", db=counters.raw)
