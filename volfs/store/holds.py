"""Holds on versions that operations read: locks of the kernel, which no crash leaves behind.

A hold is a shared lock on one byte of the file ``format``. The number of the byte is the first
bits of the manifest's id. Nothing is written and nobody waits. The kernel tells which versions are
held (docs/format.md, "Holds").
"""

from __future__ import annotations

import fcntl
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from volfs.model.objects import Oid
from volfs.store.checked_lmdb.environment import store_errors

PREFIX_SIZE = 7
"""Bytes of a manifest's id that give the place of its lock. Such numbers fit into file offsets."""
_FLOCK = struct.Struct("@hhqqi0q")
"""The kernel's ``struct flock``: type, whence, start, length, process."""


class Holds:
    """The holds of a store. Thread-safe. A hold belongs to an open file of its own, and not to the
    process."""

    def __init__(self, file: Path) -> None:
        self._file = file

    @contextmanager
    def hold(self, manifest: Oid) -> Iterator[None]:
        """Hold a version for the block. StoreError. A process that is forked in the block holds
        it, too, until it ends."""
        fd = self._open()
        try:
            with store_errors(f"{self._file}"):
                _lock(fd, fcntl.F_OFD_SETLK, fcntl.F_RDLCK, _place(manifest), 1)
            yield
        finally:
            os.close(fd)

    def list_held(self) -> frozenset[bytes]:
        """The first bytes of the ids of all manifests that anybody holds."""
        fd = self._open()
        try:
            with store_errors(f"{self._file}"):
                return frozenset(place.to_bytes(PREFIX_SIZE, "big") for place in _iter_locked(fd))
        finally:
            os.close(fd)

    def _open(self) -> int:
        with store_errors(f"{self._file}"):
            return os.open(self._file, os.O_RDONLY | os.O_CLOEXEC)


def _place(manifest: Oid) -> int:
    return int.from_bytes(manifest[:PREFIX_SIZE], "big")


def _iter_locked(fd: int) -> Iterator[int]:
    """The places of all locks. The kernel names one lock in a range, then one in each part that is
    left."""
    ranges = [(0, 1 << 8 * PREFIX_SIZE)]
    while ranges:
        start, end = ranges.pop()
        kind, place = _lock(fd, fcntl.F_OFD_GETLK, fcntl.F_WRLCK, start, end - start)
        if kind != fcntl.F_UNLCK:
            yield place
            ranges += [each for each in ((start, place), (place + 1, end)) if each[0] < each[1]]


def _lock(fd: int, command: int, kind: int, start: int, length: int) -> tuple[int, int]:
    """The kernel's answer to a request: the kind of lock, and where it begins."""
    asked = _FLOCK.pack(kind, os.SEEK_SET, start, length, 0)
    answer = _FLOCK.unpack(fcntl.fcntl(fd, command, asked))
    return answer[0], answer[2]
