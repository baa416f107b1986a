"""Where every object is, and how far every pack is durable. Rows: docs/format.md."""

from __future__ import annotations

import struct
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import NamedTuple

from volfs.errors import DamagedObjectError, MissingObjectError
from volfs.errors.faults import reached
from volfs.model.objects import Kind, Oid
from volfs.model.pack import (
    PACK_HEADER_SIZE,
    RECORD_HEADER_SIZE,
    Codec,
    PackKind,
    RecordHeader,
    find_length_problem,
)
from volfs.store.embedded.environment import RESERVE, Environment, Table, Transaction

_ENTRY = struct.Struct("<IQIIQBBH")
_PACK_ID = struct.Struct(">I")
_PACK_ROW = struct.Struct("<BQ")
_NEXT = b"next-pack"
_COUNTER = struct.Struct("<I")
_PAGE = 4096
_PAGES_RESERVED = 1 << 16
_BATCH = 1024
"""Rows read in one transaction: one held for long makes the index grow."""


class IndexEntry(NamedTuple):
    """Where an object's stored bytes are. ``offset`` is theirs, not the header's."""

    pack: int
    offset: int
    stored: int
    raw: int
    checksum: int
    codec: Codec
    kind: Kind

    def header(self, oid: Oid) -> RecordHeader:
        """What must stand in the pack before the stored bytes."""
        return RecordHeader(self.kind, self.codec, self.raw, self.stored, self.checksum, oid)

    def where(self, oid: Oid) -> str:
        return f"object {oid.hex()} in pack {self.pack} at {self.offset}"


class PackRow(NamedTuple):
    pack: int
    kind: PackKind
    durable: int


class Batch(NamedTuple):
    """All that publishing one upload changes in the index."""

    entries: Mapping[Oid, IndexEntry]
    replaced: Collection[Oid]
    """Those of ``entries`` whose indexed record was found unreadable."""
    known: Collection[Oid]
    """Objects the upload relies on and did not write."""
    packs: Iterable[tuple[int, int]]
    """Pack id and new durable length."""


def encode_entry(entry: IndexEntry) -> bytes:
    return _ENTRY.pack(*entry, 0)


def decode_entry(oid: Oid, row: bytes) -> IndexEntry:
    try:
        pack, offset, stored, raw, checksum, codec, kind, _ = _ENTRY.unpack(row)
        problem = find_length_problem(codec, raw, stored)
        if problem or offset < PACK_HEADER_SIZE + RECORD_HEADER_SIZE:
            raise ValueError(problem or f"offset {offset}")
        return IndexEntry(pack, offset, stored, raw, checksum, Codec(codec), Kind(kind))
    except (struct.error, ValueError) as error:
        raise DamagedObjectError(f"index entry of object {oid.hex()}: {error}") from error


class Index:
    """Thread-safe. Looks into LMDB each time: another process may publish at any moment."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        # The record's header says the same again, with a checksum of its own.
        self._objects: Table = environment.open_table(b"objects", has_checksums=False)
        self._packs: Table = environment.open_table(b"packs")
        self._counters: Table = environment.open_table(b"counters")

    # --- objects ---------------------------------------------------------

    def find_entry(self, oid: Oid) -> IndexEntry | None:
        with self._environment.read() as txn:
            row = txn.get(oid, db=self._objects)
        return None if row is None else decode_entry(oid, row)

    def contains(self, oid: Oid) -> bool:
        with self._environment.read() as txn:
            return txn.get(oid, db=self._objects) is not None

    def iter_rows(self) -> Iterator[tuple[Oid, bytes]]:
        """Every object id and its undecoded entry, by id, in short transactions."""
        start = b"\0"
        while rows := self._read_rows(start):
            yield from rows
            start = rows[-1][0] + b"\0"

    def _read_rows(self, start: bytes) -> list[tuple[Oid, bytes]]:
        with self._environment.read() as txn, txn.cursor(self._objects) as cursor:
            if not cursor.set_range(start):
                return []
            # Bounded by range(): zip must not pull one more row than it keeps.
            return [(Oid(key), row) for _, (key, row) in zip(range(_BATCH), cursor, strict=False)]

    # --- packs -----------------------------------------------------------

    def find_pack(self, pack: int) -> PackRow | None:
        with self._environment.read() as txn:
            row = txn.get(_PACK_ID.pack(pack), db=self._packs)
        return None if row is None else _decode_pack(pack, row)

    def list_packs(self) -> list[PackRow]:
        with self._environment.read() as txn, txn.cursor(self._packs) as cursor:
            return [_decode_pack(_PACK_ID.unpack(key)[0], row) for key, row in cursor]

    def allocate_pack(self, kind: PackKind) -> int:
        """A new id, never used before, with a row that says the pack is empty."""
        with self._environment.write() as txn:
            row = txn.get(_NEXT, db=self._counters)
            pack = 1 if row is None else int(_COUNTER.unpack(row)[0])
            txn.put(_NEXT, _COUNTER.pack(pack + 1), db=self._counters)
            txn.put(_PACK_ID.pack(pack), _PACK_ROW.pack(kind, 0), db=self._packs)
        return pack

    # --- publishing ------------------------------------------------------

    def publish(self, batch: Batch, move: Callable[[Transaction], Oid]) -> None:
        """One durable transaction: ``move`` the refs, prove, and index the batch.

        ``move`` checks what it expects and returns the manifest that it makes
        reachable. MissingObjectError if an object that the batch relies on is
        gone. If anything raises, nothing changed.
        """
        # Ids are random: each may dirty a page of its own.
        reserve = RESERVE + _PAGE * min(len(batch.entries), _PAGES_RESERVED)
        with self._environment.write(reserve) as txn:
            manifest = move(txn)
            for oid, entry in batch.entries.items():
                # Kept where it is if somebody was quicker: his readers know it there.
                row = encode_entry(entry)
                txn.put(oid, row, overwrite=oid in batch.replaced, db=self._objects)
            self._check_present(txn, (*batch.known, manifest))
            for pack, durable in batch.packs:
                self._extend(txn, pack, durable)
            reached("publish.unmoved")

    def _check_present(self, txn: Transaction, oids: Iterable[Oid]) -> None:
        for oid in oids:
            if txn.get(oid, db=self._objects) is None:
                raise MissingObjectError(
                    f"object {oid.hex()} was removed from the store while this change was "
                    "being written; nothing was published: try again"
                )

    def _extend(self, txn: Transaction, pack: int, durable: int) -> None:
        key = _PACK_ID.pack(pack)
        row = txn.get(key, db=self._packs)
        if row is None:
            raise MissingObjectError(
                f"pack {pack} was removed from the store while this change was being "
                "written; nothing was published: try again"
            )
        old = _decode_pack(pack, row)
        txn.put(key, _PACK_ROW.pack(old.kind, max(old.durable, durable)), db=self._packs)


def _decode_pack(pack: int, row: bytes) -> PackRow:
    try:
        kind, durable = _PACK_ROW.unpack(row)
        return PackRow(pack, PackKind(kind), durable)
    except (struct.error, ValueError) as error:
        raise DamagedObjectError(f"index row of pack {pack}: {error}") from error
