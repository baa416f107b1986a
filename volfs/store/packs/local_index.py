"""Where every object is, and how far every pack is durable: rows in LMDB on this machine.

Each engine adds how rows are written. Rows: docs/format.md, "The index".
"""

from __future__ import annotations

from collections.abc import Iterator

from volfs.errors import DamagedObjectError, MissingObjectError
from volfs.model.objects import Kind, Oid
from volfs.store.checked_lmdb.environment import LmdbEnvironment, Table, Transaction
from volfs.store.packs.rows import (
    KEY_SIZE,
    IndexEntry,
    IndexRow,
    PackRow,
    decode_entry,
    decode_pack,
    encode_entry,
    encode_pack,
    pack_key,
    unpack_key,
)

ROWS_AT_ONCE = 1 << 12
"""How many rows one transaction changes, unless more of them belong together."""
_BATCH = 1024
"""How many rows one transaction reads. A transaction that is open for long makes the index
grow."""


class LocalIndex:
    """The index of objects and packs. Thread-safe. Each call looks into LMDB, because another
    process may change the index at any moment."""

    def __init__(self, environment: LmdbEnvironment) -> None:
        self.environment = environment
        # No checksum here: the header of each record says the same again, and has a checksum.
        self._objects: Table = environment.open_table(b"objects", has_checksums=False)
        self._packs: Table = environment.open_table(b"packs")

    # --- objects ---------------------------------------------------------

    def find_entry(self, oid: Oid) -> IndexEntry | None:
        """The place of an object, or None if it is not indexed."""
        row = self.environment.find_row(oid, self._objects)
        return None if row is None else decode_entry(oid, row)

    def contains(self, oid: Oid) -> bool:
        """Whether the object is indexed. A condemned object is not."""
        return self.environment.find_row(oid, self._objects) is not None

    def iter_rows(self) -> Iterator[IndexRow]:
        """Every object id and its undecoded entry, by id, in short transactions."""
        start = b"\0"
        while rows := self._read_rows(start):
            yield from rows
            start = rows[-1][0] + b"\0"

    def _read_rows(self, start: bytes) -> list[IndexRow]:
        with self.environment.read() as txn, txn.cursor(self._objects) as cursor:
            if not cursor.set_range(start):
                return []
            # The range comes first, so that zip does not read one row more than it keeps.
            return [(Oid(key), row) for _, (key, row) in zip(range(_BATCH), cursor, strict=False)]

    def find_manifests(self, txn: Transaction, prefix: bytes) -> list[Oid]:
        """The manifests whose ids begin with a prefix."""
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
        """Whether the object's undecoded entry is still ``row``."""
        with self.environment.read() as txn:
            return self.find_row(txn, oid) == row

    def read_rows(self, packs: set[int]) -> dict[int, list[IndexRow]]:
        """The index entries of these packs, by pack, in the order of their offsets.
        DamagedObjectError."""
        found: dict[int, list[IndexRow]] = {pack: [] for pack in packs}
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
        """Replace the row ``old`` by ``new``, and say whether that was done. None stands for no
        row.

        Nothing changes if the row is no longer ``old``.
        """
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
        """As ``list_packs``, without damaged rows."""
        with self.environment.read() as txn:
            rows = (self.find_readable_pack(txn, pack) for pack in self.list_pack_ids(txn))
            return [row for row in rows if row is not None]

    def list_pack_ids(self, txn: Transaction) -> list[int]:
        """The ids of all packs, also of those whose rows are damaged."""
        with txn.cursor(self._packs) as cursor:
            return [unpack_key(key) for key in cursor.iter_keys() if len(key) == KEY_SIZE]

    def find_readable_pack(self, txn: Transaction, pack: int) -> PackRow | None:
        """The row of a pack. None if the row is damaged or not there."""
        try:
            row = txn.get(pack_key(pack), db=self._packs)
            return None if row is None else decode_pack(pack, row)
        except DamagedObjectError:
            return None

    def put_pack(self, txn: Transaction, row: PackRow) -> None:
        txn.put(pack_key(row.pack), encode_pack(row), db=self._packs)

    def adopt_pack(self, txn: Transaction, row: PackRow) -> None:
        """Add the row of a pack that was found."""
        self.put_pack(txn, row)

    def remove_pack(self, txn: Transaction, pack: int) -> None:
        txn.delete(pack_key(pack), db=self._packs)

    def extend(self, txn: Transaction, pack: int, durable: int) -> None:
        """Record that the pack is durable at least up to ``durable``."""
        key = pack_key(pack)
        row = txn.get(key, db=self._packs)
        if row is None:
            raise MissingObjectError(
                f"pack {pack} was removed from the store while this change was being "
                "written; nothing was published: try again"
            )
        old = decode_pack(pack, row)
        txn.put(key, encode_pack(old._replace(durable=max(old.durable, durable))), db=self._packs)
