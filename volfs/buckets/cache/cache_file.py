"""Reading one file of the disk cache, which trusts only bytes that their sums prove.

A block counts as verified as long as nobody writes to the file, because every write changes its
mtime, whoever the writer is. So a file may be cut, overwritten, or deleted while it is open, and
no changed byte is taken for the object's.
"""

from __future__ import annotations

import os
import weakref
from typing import NamedTuple, TypeAlias

from volfs.buckets.cache.cache_layout import BLOCK, PAGE, CachedSegment, read_sums
from volfs.model.objects import Buffer

CachedBytes: TypeAlias = tuple[int, Buffer]
"""The offset of bytes, and the bytes."""

OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
TOUCH_AFTER = 60 * 10**9
"""Nanoseconds after which it is worth writing down that a file is in use."""


class _Known(NamedTuple):
    """What is known of a file as it was at one moment."""

    stamp: int
    page: bytes
    verified: int
    """A bit for each block whose sum was right."""


class CacheFile:
    """An open file of the disk cache. Thread-safe. Closed when the last user lets go of it."""

    __slots__ = (
        *("__weakref__", "_can_refuse", "_fd", "_known"),
        *("is_damaged", "is_gone", "is_used", "segment"),
    )

    def __init__(self, segment: CachedSegment, fd: int) -> None:
        self.segment = segment
        self.is_gone = False
        """Whether the file was deleted, or no longer is the file of this segment."""
        self.is_damaged = False
        """Whether a block had a wrong sum."""
        self.is_used = False
        """Whether anything was read since the last use was written down."""
        self._fd = fd
        self._known = _Known(-1, b"", 0)
        self._can_refuse = True
        weakref.finalize(self, os.close, fd).atexit = False

    def read(self, start: int, end: int, *, waits: bool) -> Buffer | None:
        """These bytes of the segment. None if not all of them are there and right.

        Without ``waits`` also None unless they are in the page cache.
        """
        self.is_used = True
        known, wanted = self._known, _bits(start // BLOCK, (end - 1) // BLOCK)
        if known.verified & wanted == wanted:
            data = self._pread(start, end, waits)
            if data is None or self._find_stamp() == known.stamp:
                return data
        return self._read_verified(start, end, waits)

    def find_present(self, start: int, end: int) -> list[tuple[int, int]]:
        """The parts of these bytes that seem to be there, and are worth a ``read``."""
        known = self._load(waits=True)
        if known is None:
            return []
        first, last = start // BLOCK, (end - 1) // BLOCK
        runs: list[tuple[int, int]] = []
        for block, there in enumerate(read_sums(known.page, first, last), first):
            low, high = self.segment.block_range(block, block)
            low, high = max(low, start), min(high, end)
            if there and runs and runs[-1][1] == low:
                runs[-1] = (runs[-1][0], high)
            elif there:
                runs.append((low, high))
        return runs

    def is_same(self, status: os.stat_result) -> bool:
        """Whether this is the file with that status."""
        return os.path.samestat(os.fstat(self._fd), status)

    def is_long_unused(self, now_ns: int) -> bool:
        """Whether the time of the last use should be written down."""
        return now_ns - self._known.stamp > TOUCH_AFTER

    def touch(self) -> None:
        """Write down that the file is in use."""
        os.utime(self._fd)

    def _read_verified(self, start: int, end: int, waits: bool) -> Buffer | None:
        known, first, last = self._load(waits), start // BLOCK, (end - 1) // BLOCK
        if known is None:
            return None
        sums = read_sums(known.page, first, last)
        low, high = self.segment.block_range(first, last)
        data = self._pread(low, high, waits) if all(sums) else None
        if data is None:
            return None
        if not self._are_right(memoryview(data), first, sums):
            self.is_damaged = self._find_stamp() == known.stamp
            return None
        self._known = known._replace(verified=known.verified | _bits(first, last))
        return memoryview(data)[start - low : end - low]

    def _are_right(self, data: memoryview, first: int, sums: tuple[int, ...]) -> bool:
        compute = self.segment.compute_sum
        return all(
            compute(first + n, data[n * BLOCK : (n + 1) * BLOCK]) == wanted
            for n, wanted in enumerate(sums)
        )

    def _load(self, waits: bool) -> _Known | None:
        """What the file says now. None if it is not of this segment, or if reading would wait."""
        stamp, known = self._find_stamp(), self._known
        if stamp == known.stamp and known.page:
            return known
        at = self.segment.page_offset
        data = b"" if self.is_gone else self._pread(at, at + PAGE, waits)
        if data is None and not waits:
            return None
        page = bytes(data or b"")
        if not self.segment.is_page(page):
            self.is_gone = True
            return None
        self._known = known = _Known(stamp, page, 0)
        return known

    def _find_stamp(self) -> int:
        """The time of the last write. Notes it if the file is gone."""
        status = os.fstat(self._fd)
        if status.st_size != self.segment.file_size or not status.st_nlink:
            self.is_gone = True
            return -2
        return status.st_mtime_ns

    def _pread(self, start: int, end: int, waits: bool) -> Buffer | None:
        if waits:
            data = os.pread(self._fd, end - start, start)
            return data if len(data) == end - start else None
        if not self._can_refuse:
            return None
        buffer = bytearray(end - start)
        try:
            done = os.preadv(self._fd, [buffer], start, os.RWF_NOWAIT)
        except BlockingIOError:
            return None
        except OSError:
            self._can_refuse = False
            return None
        return buffer if done == len(buffer) else None


def _bits(first: int, last: int) -> int:
    """One bit for each block from ``first`` to ``last``."""
    return ((1 << (last - first + 1)) - 1) << first
