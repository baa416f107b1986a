"""Parts of objects in memory: between their arrival and the disk, or instead of the disk."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections import OrderedDict
from collections.abc import Iterator
from typing import TypeAlias

from volfs.buckets.cache.cache_file import CachedBytes
from volfs.buckets.cache.cache_layout import Content
from volfs.model.intervals import Intervals
from volfs.model.objects import Buffer
from volfs.model.ranges import Range

_Key: TypeAlias = tuple[Content, int]


class ArrivedPart:
    """Bytes that have arrived, in one piece."""

    __slots__ = ("arrived", "content", "data", "is_leaving", "is_read", "start")

    def __init__(self, content: Content, start: int, data: Buffer, *, is_read: bool) -> None:
        self.content = content
        self.start = start
        self.data = data
        self.is_read = is_read
        """Whether nobody is expected to read the bytes any more."""
        self.is_leaving = False
        """Whether the bytes are waiting to be written to the disk."""
        self.arrived = 0
        """How many bytes had arrived with this part."""

    @property
    def end(self) -> int:
        return self.start + len(self.data)


class Parts:
    """The parts in one process, up to a limit of bytes. Not thread-safe.

    Parts that were read go first, then those that were read and wait for the disk, then those that
    were not read. Among equals, the least recently used goes first.

    A part that was not read by the time that ``limit`` other bytes have arrived counts as read,
    because its reader has gone elsewhere: nothing is read ahead so far.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._size = 0
        self._parts: OrderedDict[_Key, ArrivedPart] = OrderedDict()
        self._starts: dict[Content, list[int]] = {}
        self._unread: dict[_Key, ArrivedPart] = {}
        self._unread_size = 0
        self._arrived = 0

    def add(self, part: ArrivedPart) -> None:
        self._drop(part.content, part.start)
        self._arrived += len(part.data)
        self._give_up_old()
        if len(part.data) > self._limit:
            return
        while self._size + len(part.data) > self._limit or self._has_many_read():
            self._drop_one()
        part.arrived = self._arrived
        self._parts[part.content, part.start] = part
        insort(self._starts.setdefault(part.content, []), part.start)
        self._size += len(part.data)
        if not part.is_read:
            self._unread[part.content, part.start] = part
            self._unread_size += len(part.data)

    def find(self, content: Content, start: int, end: int) -> list[CachedBytes]:
        """Parts that have some of these bytes. A part may have other bytes beside them."""
        found = list(self._iter_parts(content, start, end))
        for part in found:
            self._parts.move_to_end((content, part.start))
            if end >= part.end:
                self._note_read(part)
        return [(part.start, part.data) for part in found]

    def list_there(self, content: Content, start: int, end: int) -> list[Range]:
        """The ranges of parts that have some of these bytes. The parts do not count as used."""
        return [(part.start, part.end) for part in self._iter_parts(content, start, end)]

    def _iter_parts(self, content: Content, start: int, end: int) -> Iterator[ArrivedPart]:
        starts = self._starts.get(content, [])
        for at in starts[max(0, bisect_right(starts, start) - 1) :]:
            if at >= end:
                return
            part = self._parts[content, at]
            if part.end > start:
                yield part

    @property
    def unread_size(self) -> int:
        """Bytes that somebody is expected to read."""
        return self._unread_size

    def forget(self, content: Content) -> None:
        """Drop the parts of an object that nobody reads any more, except those on their way to the
        disk."""
        for start in list(self._starts.get(content, [])):
            part = self._parts[content, start]
            self._note_read(part)
            if not part.is_leaving:
                self._drop(content, start)

    def _note_read(self, part: ArrivedPart) -> None:
        part.is_read = True
        if self._unread.pop((part.content, part.start), None) is not None:
            self._unread_size -= len(part.data)

    def _give_up_old(self) -> None:
        while oldest := next(iter(self._unread.values()), None):
            if self._arrived - oldest.arrived < self._limit:
                return
            self._note_read(oldest)

    def _has_many_read(self) -> bool:
        """Whether parts that were read take more than a quarter of the room. The kernel has their
        bytes as well, and memory that is used again soon is still in the processor's caches."""
        return self._size - self._unread_size > self._limit // 4

    def _drop_one(self) -> None:
        parts = self._parts.values()
        free = (part for part in parts if part.is_read and not part.is_leaving)
        least = next(free, None) or next((part for part in parts if part.is_read), None)
        least = least or next(iter(parts))
        self._drop(least.content, least.start)

    def _drop(self, content: Content, start: int) -> None:
        part = self._parts.pop((content, start), None)
        if part is None:
            return
        self._note_read(part)
        self._size -= len(part.data)
        starts = self._starts[content]
        starts.remove(start)
        if not starts:
            del self._starts[content]


class Assembly:
    """One range of an object, put together from pieces, which may overlap."""

    def __init__(self, start: int, end: int) -> None:
        self.start = start
        self.end = end
        self._whole: Buffer | None = None
        self._data: bytearray | None = None
        self._there = Intervals()

    def add(self, start: int, data: Buffer) -> None:
        low, high = max(start, self.start), min(start + len(data), self.end)
        if low >= high or self._there.covers(low, high):
            return
        self._there.add(low, high)
        piece = memoryview(data)[low - start : high - start]
        if (low, high) == (self.start, self.end):
            self._whole = piece  # The piece is used as it is, without a copy.
            return
        if self._data is None:
            self._data = bytearray(self.end - self.start)
        self._data[low - self.start : high - self.start] = piece

    def list_gaps(self) -> list[Range]:
        return list(self._there.find_gaps(self.start, self.end))

    def find_whole(self) -> Buffer | None:
        """All bytes. None while any are missing."""
        if self._whole is not None:
            return self._whole
        return None if self.list_gaps() else self._data
