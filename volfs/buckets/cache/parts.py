"""Parts of objects in memory: between their arrival and the disk, or instead of the disk."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections import OrderedDict
from collections.abc import Iterator
from typing import TypeAlias

from volfs.buckets.cache.cache_file import Buffer, Piece
from volfs.buckets.cache.cache_layout import Content
from volfs.model.intervals import Intervals
from volfs.model.ranges import Range

_Key: TypeAlias = tuple[Content, int]


class ArrivedPart:
    """Bytes that have arrived, in one piece."""

    __slots__ = ("content", "data", "is_leaving", "is_on_disk", "is_read", "start")

    def __init__(self, content: Content, start: int, data: Buffer, *, is_read: bool) -> None:
        self.content = content
        self.start = start
        self.data = data
        self.is_read = is_read
        """Whether somebody has read the bytes. Bytes of read-ahead are still waited for."""
        self.is_leaving = False
        """Whether the bytes are waiting to be written to the disk."""
        self.is_on_disk = False

    @property
    def end(self) -> int:
        return self.start + len(self.data)

    @property
    def is_needed(self) -> bool:
        """Whether dropping the part would mean to fetch it again."""
        return self.is_leaving or not (self.is_read or self.is_on_disk)


class Parts:
    """The parts in one process, up to a limit of bytes. Not thread-safe.

    Parts that are on the disk or were read are dropped first. Among equals, the least recently
    used goes first.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._size = 0
        self._parts: OrderedDict[_Key, ArrivedPart] = OrderedDict()
        self._starts: dict[Content, list[int]] = {}

    def add(self, part: ArrivedPart) -> None:
        self._drop(part.content, part.start)
        if len(part.data) > self._limit:
            return
        while self._size + len(part.data) > self._limit:
            self._drop_one()
        self._parts[part.content, part.start] = part
        insort(self._starts.setdefault(part.content, []), part.start)
        self._size += len(part.data)

    def find(self, content: Content, start: int, end: int) -> Iterator[Piece]:
        """Parts that have some of these bytes. A part may have other bytes beside them."""
        for part in self._iter_parts(content, start, end):
            self._parts.move_to_end((content, part.start))
            part.is_read = part.is_read or end >= part.end
            yield part.start, part.data

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

    def count_needed(self) -> int:
        """Bytes that will be read, and that are neither on the disk nor on their way there."""
        parts = self._parts.values()
        return sum(len(part.data) for part in parts if part.is_needed and not part.is_leaving)

    def forget(self, content: Content) -> None:
        """Drop the parts of an object that nobody reads any more, except those on their way to the
        disk."""
        for start in list(self._starts.get(content, [])):
            if not self._parts[content, start].is_leaving:
                self._drop(content, start)

    def _drop_one(self) -> None:
        parts = self._parts.values()
        least = next((part for part in parts if not part.is_needed), next(iter(parts)))
        self._drop(least.content, least.start)

    def _drop(self, content: Content, start: int) -> None:
        part = self._parts.pop((content, start), None)
        if part is None:
            return
        self._size -= len(part.data)
        starts = self._starts[content]
        starts.remove(start)
        if not starts:
            del self._starts[content]


class Assembly:
    """One range of an object, put together from pieces, which may overlap."""

    def __init__(self, start: int, end: int) -> None:
        self._start = start
        self._end = end
        self._whole: Buffer | None = None
        self._data: bytearray | None = None
        self._there = Intervals()

    def add(self, start: int, data: Buffer) -> None:
        low, high = max(start, self._start), min(start + len(data), self._end)
        if low >= high or self._there.covers(low, high):
            return
        self._there.add(low, high)
        piece = memoryview(data)[low - start : high - start]
        if (low, high) == (self._start, self._end):
            self._whole = piece  # The piece is used as it is, without a copy.
            return
        if self._data is None:
            self._data = bytearray(self._end - self._start)
        self._data[low - self._start : high - self._start] = piece

    def list_gaps(self) -> list[Range]:
        return list(self._there.find_gaps(self._start, self._end))

    def find_whole(self) -> Buffer | None:
        """All bytes. None while any are missing."""
        if self._whole is not None:
            return self._whole
        return None if self.list_gaps() else self._data
