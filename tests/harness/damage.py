"""Damaging a store on purpose: the record of an object, a pack, a row of the index."""

from __future__ import annotations

from pathlib import Path

import lmdb

from volfs.model.objects import Oid
from volfs.model.pack import RECORD_HEADER_SIZE
from volfs.store.checked_lmdb.environment import LmdbEnvironment
from volfs.store.contract.refs import VolumeRecord
from volfs.store.contract.store import Store
from volfs.volume.history import load_manifest
from volfs.volume.version_reader import Reader

_MAGIC = b"vrec"
_ID_OFFSET = 24
"""Of the id within a record's header."""


def find_record(store_path: Path, oid: bytes) -> tuple[Path, int]:
    """The pack with an object's record, and where in it the stored bytes begin."""
    for pack in sorted((store_path / "packs").iterdir()):
        data = pack.read_bytes()
        at = data.find(oid)
        while at >= 0 and data[at - _ID_OFFSET : at - _ID_OFFSET + len(_MAGIC)] != _MAGIC:
            at = data.find(oid, at + 1)
        if at >= 0:
            return pack, at - _ID_OFFSET + RECORD_HEADER_SIZE
    raise AssertionError("no record of it")


def flip_byte(path: Path, offset: int) -> None:
    """Change one bit of a file, in place: whoever has it open sees it."""
    with path.open("r+b", buffering=0) as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 1]))


def damage_object(store_path: Path, oid: bytes) -> None:
    pack, start = find_record(store_path, oid)
    flip_byte(pack, start + 3)


def replace_index_row(
    store_path: Path, oid: bytes, row: bytes = b"", *, other: bytes = b""
) -> None:
    """Write ``row``, or that of another object, over the index entry of one.

    The store must not be open in this process.
    """
    with (
        lmdb.open(str(store_path / "index"), max_dbs=64, map_size=1 << 40) as environment,
        environment.begin(write=True) as transaction,
    ):
        table = environment.open_db(b"objects", transaction)
        assert transaction.get(oid, db=table) is not None
        transaction.put(oid, transaction.get(other, db=table) if other else row, db=table)


def find_tree(store: Store, volume: VolumeRecord, *names: bytes) -> Oid:
    """The tree of a directory of the newest version."""
    snapshot = load_manifest(
        store.objects_of(volume.id), store.refs.get_head(volume.id).manifest
    ).snapshot
    return Reader(store.objects_of(volume.id).load_object).get_path(snapshot, names).tree


def find_chunk(store: Store, volume: VolumeRecord, *names: bytes) -> Oid:
    """The first chunk of a file of the newest version."""
    snapshot = load_manifest(
        store.objects_of(volume.id), store.refs.get_head(volume.id).manifest
    ).snapshot
    return Oid(
        Reader(store.objects_of(volume.id).load_object).get_path(snapshot, names).extents[0].oid
    )


def spoil_rows(store: Store, table: bytes, at: int = -1) -> int:
    """Change one bit of every row of a table of the index; how many there were."""
    return spoil_rows_in(store._engine.environment, table, at)  # type: ignore[attr-defined]


def spoil_rows_in(environment: LmdbEnvironment, table: bytes, at: int = -1) -> int:
    raw = environment.open_table(table).raw
    with environment.write() as txn:
        rows = [(bytes(key), bytearray(row)) for key, row in txn.raw.cursor(raw)]
        for key, row in rows:
            row[at] ^= 1
            txn.raw.put(key, bytes(row), db=raw)
    return len(rows)
