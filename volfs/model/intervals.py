"""A set of integers, kept as ranges.

Pure; ``tests/model`` compares it with a set.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator


class Intervals:
    """Half-open ranges, sorted, never empty, and never touching each other."""

    __slots__ = ("_ends", "_starts")

    def __init__(self, ranges: Iterable[tuple[int, int]] = ()) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []
        for start, end in ranges:
            self.add(start, end)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return zip(self._starts, self._ends, strict=True)

    def __bool__(self) -> bool:
        return bool(self._starts)

    def add(self, start: int, end: int) -> None:
        """Add ``start``..``end``, which is not empty."""
        if self._ends and start == self._ends[-1]:
            self._ends[-1] = end  # Most calls extend the last range.
            return
        lo, hi = bisect_left(self._ends, start), bisect_right(self._starts, end)
        if lo < hi:
            start, end = min(start, self._starts[lo]), max(end, self._ends[hi - 1])
        self._starts[lo:hi], self._ends[lo:hi] = [start], [end]

    def remove(self, start: int, end: int) -> None:
        """Remove ``start``..``end``."""
        lo, hi = bisect_right(self._ends, start), bisect_left(self._starts, end)
        if lo >= hi:
            return
        outside = ((self._starts[lo], start), (end, self._ends[hi - 1]))
        kept = [(a, b) for a, b in outside if a < b]
        self._starts[lo:hi] = [a for a, _ in kept]
        self._ends[lo:hi] = [b for _, b in kept]

    @property
    def last(self) -> tuple[int, int]:
        """The last range. There must be one."""
        return self._starts[-1], self._ends[-1]

    def find(self, at: int) -> tuple[int, int]:
        """The range that a member is in."""
        index = bisect_right(self._starts, at) - 1
        return self._starts[index], self._ends[index]

    def covers(self, start: int, end: int) -> bool:
        """Whether the set has all of ``start``..``end``."""
        at = bisect_right(self._starts, start) - 1
        return at >= 0 and end <= self._ends[at]

    def find_gaps(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """The ranges inside ``start``..``end`` that the set does not have."""
        at = start
        for index in range(bisect_right(self._ends, start), bisect_left(self._starts, end)):
            if at < self._starts[index]:
                yield at, self._starts[index]
            at = self._ends[index]
        if at < end:
            yield at, end
