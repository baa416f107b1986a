"""An LMDB file of one table, which one owner writes in batches and reads whole.

It needs less than an ``LmdbEnvironment``: no other process writes it, so nothing has to be proven,
and no reader's slot outlives a call. Each opening looks at all of its pages, because all of its
rows are read then.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import lmdb

from volfs.errors import DamagedObjectError, OutOfSpaceError, StoreUnavailableError
from volfs.store.anchor import spelled
from volfs.store.checked_lmdb.checksum import add_checksum, strip_checksum
from volfs.store.checked_lmdb.pages import (
    DATA,
    check_header,
    find_problems,
    keep_from_children,
)
from volfs.store.checked_lmdb.reader_table import wait_until_writable

RowChange = tuple[bytes, bytes | None]
"""A key and its row. None deletes the row."""
KeyRange = tuple[bytes, bytes]
"""The first and the last key."""


class RecordFile:
    """The file of records in a directory, which is made if it is not there. For one thread at a
    time.

    ``what`` is the file's name in errors. DamagedObjectError if LMDB would stumble over its pages.
    OSError comes as the system raises it, because the caller knows which file it is about.
    """

    def __init__(
        self, directory: Path, what: str, *, map_size: int, readonly: bool = False
    ) -> None:
        self._directory = directory
        self._what = what
        self._map_size = map_size
        self._readonly = readonly
        self._env = self._open()

    def close(self) -> None:
        self._env.close()

    def write(self, records: Sequence[RowChange], ranges: Sequence[KeyRange] = ()) -> None:
        """Remove the ranges, then put the records, in one durable transaction."""
        with _naming_errors(self._what):
            try:
                self._write(records, ranges)
            except lmdb.PanicError:
                # LMDB could not write its root page last time, and does nothing more until it is
                # opened anew.
                self._env.close()
                self._env = self._open()
                self._write(records, ranges)

    def _write(self, records: Sequence[RowChange], ranges: Iterable[KeyRange]) -> None:
        with self._env.begin(write=True) as transaction:
            for first, last in ranges:
                _delete(transaction, first, last)
            for key, row in records:
                if row is None:
                    transaction.delete(key)
                else:
                    transaction.put(key, add_checksum(key, row))

    def clear(self) -> None:
        """Remove every record."""
        with _naming_errors(self._what), self._env.begin(write=True) as transaction:
            transaction.drop(self._env.open_db(txn=transaction), delete=False)

    def list_all(self) -> list[tuple[bytes, bytes]]:
        """Every record, by key. DamagedObjectError if a record is missing, or is not the one that
        was put."""
        with _naming_errors(self._what), self._env.begin() as transaction:
            wanted = transaction.stat(self._env.open_db(txn=transaction))["entries"]
            rows = [(key, strip_checksum(key, row)) for key, row in transaction.cursor()]
        # A page that reads as empty hides its records. Their number is stored in another page.
        if len(rows) != wanted:
            raise DamagedObjectError(f"{len(rows)} of {wanted} records are left")
        return rows

    def _open(self) -> lmdb.Environment:
        """Open LMDB's environment, once its pages are known to be sound."""
        directory = self._directory
        with _naming_errors(self._what):
            check_header(directory)
            wait_until_writable(directory)
            env = self._open_unchecked()
            try:
                keep_from_children(directory)
                with env.begin():  # No page of this moment is used again meanwhile.
                    problems = find_problems(directory / DATA)
                if problems:
                    raise DamagedObjectError(f"{self._what} {directory} is damaged: {problems[0]}")
            except BaseException:
                env.close()
                raise
        return env

    def _open_unchecked(self) -> lmdb.Environment:
        with spelled(self._directory) as place:
            return lmdb.open(
                place,
                map_size=self._map_size,
                mode=0o600,
                max_dbs=0,
                readonly=self._readonly,
                # py-lmdb calls mkdir with the GIL held.
                create=not self._readonly and not self._directory.is_dir(),
            )


def _delete(transaction: lmdb.Transaction[bytes], first: bytes, last: bytes) -> None:
    cursor = transaction.cursor()
    found = cursor.set_range(first)
    while found and first <= cursor.key() <= last:
        found = cursor.delete()


@contextmanager
def _naming_errors(what: str) -> Iterator[None]:
    """Turn LMDB's errors into the errors of volfs."""
    try:
        yield
    except lmdb.Error as error:
        # py-lmdb has no classes for the system's errors, so only the text tells them apart.
        text = str(error)
        if isinstance(error, lmdb.MapFullError) or os.strerror(errno.ENOSPC) in text:
            raise OutOfSpaceError(f"{what}: {error}") from error
        is_damage = "MDB_" in text and not isinstance(error, lmdb.PanicError)
        kind = DamagedObjectError if is_damage else StoreUnavailableError
        raise kind(f"{what}: {error}") from error
