"""Where every object is, and how far every pack is durable: rows in LMDB of this machine.

An engine adds how rows come to be there. Rows: docs/format.md, "The index".
"""

from __future__ import annotations

from collections.abc import Iterator

from volfs.errors import DamagedObjectError, MissingObjectError
from volfs.model.objects import Kind, Oid
from volfs.store.checked_lmdb.environment import LmdbEnvironment, Table, Transaction
from volfs.store.packs.rows import (
    KEY_SIZE,
    IndexEntry,
    PackRow,
    Row,
    decode_entry,
    decode_pack,
    encode_entry,
    encode_pack,
    pack_key,
    unpack_key,
)

ROWS_AT_ONCE = 1 << 12
"""Rows that one transaction changes, where nothing says that more belong together."""
_BATCH = 1024
"""Rows read in one transaction: one held for long makes the index grow."""


class LocalIndex:
    """Thread-safe. Looks into LMDB each time: another process may change it at any moment."""

    def __init__(self, environment: LmdbEnvironment) -> None:
        self.environment = environment
        # The record's header says the same again, with a checksum of its own.
        self._objects: Table = environment.open_table(b"objects", has_checksums=False)
        self._packs: Table = environment.open_table(b"packs")

    # --- objects ---------------------------------------------------------

    def find_entry(self, oid: Oid) -> IndexEntry | None:
        """Where to read it."""
        with self.environment.read() as txn:
            row = txn.get(oid, db=self._objects)
        return None if row is None else decode_entry(oid, row)

    def contains(self, oid: Oid) -> bool:
        """Whether it is indexed. What is condemned is not."""
        with self.environment.read() as txn:
            return txn.get(oid, db=self._objects) is not None

    def iter_rows(self) -> Iterator[Row]:
        """Every object id and its undecoded entry, by id, in short transactions."""
        start = b"\0"
        while rows := self._read_rows(start):
            yield from rows
            start = rows[-1][0] + b"\0"

    def _read_rows(self, start: bytes) -> list[Row]:
        with self.environment.read() as txn, txn.cursor(self._objects) as cursor:
            if not cursor.set_range(start):
                return []
            # Bounded by range(): zip must not pull one more row than it keeps.
            return [(Oid(key), row) for _, (key, row) in zip(range(_BATCH), cursor, strict=False)]

    def find_manifests(self, txn: Transaction, prefix: bytes) -> list[Oid]:
        """The manifests whose ids begin so."""
        found = []
        with txn.cursor(self._objects) as cursor:
            cursor.set_range(prefix)
            for key, row in cursor:
                if not key.startswith(prefix):
                    break
                if decode_entry(Oid(key), row).kind == Kind.MANIFEST:
                    found.append(Oid(key))
        return found

    def find_row(self, txn: Transaction, oid: Oid) -> bytes | None:
        return txn.get(oid, db=self._objects)

    def has_row(self, oid: Oid, row: bytes) -> bool:
        """Whether the object's undecoded entry is still this one."""
        with self.environment.read() as txn:
            return self.find_row(txn, oid) == row

    def read_rows(self, packs: set[int]) -> dict[int, list[Row]]:
        """The index entries of these packs, by pack and offset. DamagedObjectError."""
        found: dict[int, list[Row]] = {pack: [] for pack in packs}
        for oid, row in self.iter_rows():
            pack = decode_entry(oid, row).pack
            if pack in packs:
                found[pack].append((oid, row))
        for rows in found.values():
            rows.sort(key=lambda item: decode_entry(*item).offset)
        return found

    def replace_entry(
        self, txn: Transaction, oid: Oid, old: bytes | None, new: IndexEntry | None
    ) -> bool:
        """Whether the row still was ``old``, and now is ``new``; None: no row."""
        if txn.get(oid, db=self._objects) != old:
            return False
        if new is None:
            return bool(txn.delete(oid, db=self._objects))
        return bool(txn.put(oid, encode_entry(new), db=self._objects))

    # --- packs -----------------------------------------------------------

    def find_pack(self, pack: int) -> PackRow | None:
        with self.environment.read() as txn:
            row = txn.get(pack_key(pack), db=self._packs)
        return None if row is None else decode_pack(pack, row)

    def list_packs(self) -> list[PackRow]:
        with self.environment.read() as txn:
            return [decode_pack(unpack_key(key), row) for key, row in txn.list_all(self._packs)]

    def list_readable_packs(self) -> list[PackRow]:
        """As ``list_packs``, without rows that are damaged."""
        with self.environment.read() as txn:
            rows = (self.find_readable_pack(txn, pack) for pack in self.list_pack_ids(txn))
            return [row for row in rows if row is not None]

    def list_pack_ids(self, txn: Transaction) -> list[int]:
        """Those whose rows are damaged, too."""
        with txn.cursor(self._packs) as cursor:
            return [unpack_key(key) for key in cursor.iter_keys() if len(key) == KEY_SIZE]

    def find_readable_pack(self, txn: Transaction, pack: int) -> PackRow | None:
        """None if its row is damaged, or not there."""
        try:
            row = txn.get(pack_key(pack), db=self._packs)
            return None if row is None else decode_pack(pack, row)
        except DamagedObjectError:
            return None

    def put_pack(self, txn: Transaction, row: PackRow) -> None:
        txn.put(pack_key(row.pack), encode_pack(row), db=self._packs)

    def adopt_pack(self, txn: Transaction, row: PackRow) -> None:
        """Know a pack that was found."""
        self.put_pack(txn, row)

    def remove_pack(self, txn: Transaction, pack: int) -> None:
        txn.delete(pack_key(pack), db=self._packs)

    def extend(self, txn: Transaction, pack: int, durable: int) -> None:
        """The pack is durable at least up to there."""
        key = pack_key(pack)
        row = txn.get(key, db=self._packs)
        if row is None:
            raise MissingObjectError(
                f"pack {pack} was removed from the store while this change was being "
                "written; nothing was published: try again"
            )
        old = decode_pack(pack, row)
        txn.put(key, encode_pack(old._replace(durable=max(old.durable, durable))), db=self._packs)
