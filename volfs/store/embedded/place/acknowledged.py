"""The last transaction of a store that this machine saw acknowledged, kept outside of the store.

A store that was restored from a backup is whole and looks well, and so does a store whose disk has
lost writes that it had confirmed. What was acknowledged after that state is missing all the same,
and this file shows it. The file is a note, and nothing depends on it: if it cannot be written, or
is damaged, nothing is known. Its layout: docs/format.md, "What was acknowledged".
"""

from __future__ import annotations

import os
import struct
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from blake3 import blake3
from xxhash import xxh3_64_digest

from volfs.store.location import state_directory

_POINT = struct.Struct("<8sIQq")
_MAGIC = b"VOLFSACK"
SIZE = 64
"""Bytes of a record. The file has two records."""


class Point(NamedTuple):
    """A moment of an index. Transactions count up, and begin anew in an index that is made
    anew."""

    epoch: int
    transaction: int
    at_ns: int = 0
    """When the transaction was acknowledged."""

    def is_before(self, other: Point) -> bool:
        return self[:2] < other[:2]


class Acknowledged:
    """The note about one store at one path. Thread-safe; raises nothing."""

    def __init__(self, identity: bytes, epoch: int, path: Path) -> None:
        self._epoch = epoch
        self._file = _find_file(identity, path)
        self._descriptor = -1
        self._first = self._read()
        """The two records as they were before the index was looked at."""

    def compare(self, transaction: int) -> Point | None:
        """What was acknowledged, if an index that ends with ``transaction`` is older than that.

        Each opening says it again until it is accepted.
        """
        known, missed = self._first
        found = Point(self._epoch, transaction, time.time_ns())
        if known is None or not found.is_before(known):
            return missed
        missed = missed if missed and known.is_before(missed) else known
        self._write(_encode(found) + _encode(missed))
        return missed

    def note(self, transaction: int) -> None:
        """Write down that a transaction was acknowledged."""
        self._write(_encode(Point(self._epoch, transaction, time.time_ns())))

    def accept(self) -> None:
        """Accept what is missing, so that it is said no more."""
        known, missed = self._read()
        if known is not None and missed is not None:
            self._write(_encode(known) + bytes(SIZE))

    def close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    # --- the file --------------------------------------------------------

    def _read(self) -> tuple[Point | None, Point | None]:
        data = b""
        with suppress(OSError):
            if self._file is not None:
                descriptor = os.open(self._file, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
                try:
                    if os.fstat(descriptor).st_uid == os.geteuid():
                        data = os.pread(descriptor, 2 * SIZE, 0)
                finally:
                    os.close(descriptor)
        return _decode(data[:SIZE]), _decode(data[SIZE:])

    def _write(self, records: bytes) -> None:
        # No sync: an older note after a power cut only says less.
        with suppress(OSError):
            if self._descriptor < 0:
                self._descriptor = self._open()
            if self._descriptor >= 0:
                os.pwrite(self._descriptor, records, 0)

    def _open(self) -> int:
        """Open the file for writing. -1 if the file or its directory is another user's."""
        if self._file is None:
            return -1
        self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._file.parent.lstat().st_uid != os.geteuid():
            return -1
        flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(self._file, flags, 0o600)
        if os.fstat(descriptor).st_uid == os.geteuid():
            return descriptor
        os.close(descriptor)
        return -1


def _find_file(identity: bytes, path: Path) -> Path | None:
    """The file by store and path. A copy of the store elsewhere has the same identity, and a note
    of its own."""
    directory = state_directory()
    if directory is None:
        return None
    place = blake3(os.fsencode(path)).hexdigest(8)
    return directory / "acknowledged" / f"{identity.hex()}-{place}"


def _encode(point: Point) -> bytes:
    record = _POINT.pack(_MAGIC, *point)
    return (record + xxh3_64_digest(record)).ljust(SIZE, b"\0")


def _decode(data: bytes) -> Point | None:
    """Decode a record. None if it is damaged, or not there."""
    record = data[: _POINT.size]
    if len(data) < SIZE or data[_POINT.size : _POINT.size + 8] != xxh3_64_digest(record):
        return None
    magic, *fields = _POINT.unpack(record)
    return Point(*fields) if magic == _MAGIC else None
