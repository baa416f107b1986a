"""LMDB's transactions over rows whose checksums are verified."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Self

import lmdb

from volfs.errors import DamagedObjectError
from volfs.store.checked_lmdb.checksum import add_checksum, strip_checksum


class Table(NamedTuple):
    name: bytes
    raw: lmdb._Database
    has_checksums: bool

    def encode(self, key: bytes, row: bytes) -> bytes:
        return add_checksum(key, row) if self.has_checksums else row

    def decode(self, key: bytes, stored: bytes) -> bytes:
        return strip_checksum(key, stored) if self.has_checksums else stored


class Transaction:
    """A transaction of LMDB over rows whose checksums are verified. ``raw`` is LMDB's own, which
    verifies nothing.

    Each method that returns a row raises DamagedObjectError if it is not the row that was put.
    """

    __slots__ = ("raw",)

    def __init__(self, raw: lmdb.Transaction[bytes]) -> None:
        self.raw = raw

    def get(self, key: bytes, *, db: Table) -> bytes | None:
        stored = self.raw.get(key, db=db.raw)
        return None if stored is None else db.decode(key, stored)

    def put(self, key: bytes, row: bytes, *, db: Table, overwrite: bool = True) -> bool:
        """Put a row. False if the key is there and must not be overwritten."""
        return self.raw.put(key, db.encode(key, row), overwrite=overwrite, db=db.raw)

    def delete(self, key: bytes, *, db: Table) -> bool:
        return self.raw.delete(key, db=db.raw)

    def list_all(self, db: Table) -> list[tuple[bytes, bytes]]:
        """Every row of a table, by key. DamagedObjectError if rows are hidden by a page that reads
        as empty."""
        wanted = self.raw.stat(db.raw)["entries"]
        with self.cursor(db) as cursor:
            rows = list(cursor)
        if len(rows) != wanted:
            raise DamagedObjectError(f"the index is damaged: {len(rows)} of {wanted} rows")
        return rows

    def list_damaged(self, db: Table) -> list[bytes]:
        """The keys of rows whose checksums are wrong."""
        damaged = []
        for key, stored in self.raw.cursor(db.raw):
            try:
                db.decode(key, stored)
            except DamagedObjectError:
                damaged.append(key)
        return damaged

    def iter_rows(self, db: Table) -> Iterator[tuple[bytes, bytes] | str]:
        """Every row of a table, by key. In the place of a damaged row comes a text that says what
        is wrong."""
        count = 0
        for key, stored in self.raw.cursor(db.raw):
            count += 1
            try:
                yield key, db.decode(key, stored)
            except DamagedObjectError as error:
                yield str(error)
        # A key that reads as empty ends the iteration, and hides the rows after it.
        wanted = self.raw.stat(db.raw)["entries"]
        if count != wanted:
            yield f"{count} of {wanted} rows can be read"

    def cursor(self, db: Table) -> Cursor:
        return Cursor(self.raw.cursor(db.raw), db)


class Cursor:
    """A cursor of a ``Transaction``, with the method names of LMDB's cursor."""

    __slots__ = ("_raw", "_table")

    def __init__(self, raw: lmdb.Cursor[bytes], table: Table) -> None:
        self._raw = raw
        self._table = table

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._raw.close()

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        return self._decode(self._raw.iternext())

    def iter_keys(self) -> Iterator[bytes]:
        """All keys, also those of damaged rows."""
        return self._raw.iternext(keys=True, values=False)

    def iterprev(self) -> Iterator[tuple[bytes, bytes]]:
        return self._decode(self._raw.iterprev())

    def _decode(self, rows: Iterator[tuple[bytes, bytes]]) -> Iterator[tuple[bytes, bytes]]:
        return ((key, self._table.decode(key, stored)) for key, stored in rows)

    def item(self) -> tuple[bytes, bytes]:
        key, stored = self._raw.item()
        return key, self._table.decode(key, stored)

    def key(self) -> bytes:
        return self._raw.key()

    def set_range(self, key: bytes) -> bool:
        return self._raw.set_range(key)

    def prev(self) -> bool:
        return self._raw.prev()

    def last(self) -> bool:
        return self._raw.last()

    def delete(self) -> bool:
        return self._raw.delete()
