"""The versions of a volume, as an immutable value.

Which versions there are is always known: a bit for each. Manifests are known for those whose
*block* is in memory: a block is 1,024 numbers of versions, and full blocks also lie in history
segments. So a history of any length can be used before it was read. Any count of numbers may
be left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from immutables import Map

from volfs.model.objects import Oid

BLOCK_SIZE = 1024

VersionRange = tuple[int, int]
"""The first and the last of versions that follow each other."""


class VersionRow(NamedTuple):
    manifest: Oid
    line: int
    """The line that published the version."""


class HistoryMiss(Exception):  # noqa: N818 - no error: the block is read, and it runs again
    """A block of versions is needed that is not in memory."""

    def __init__(self, block: int) -> None:
        super().__init__(block)
        self.block = block


class VersionTable(NamedTuple):
    """The versions of a volume. Each change makes another table, and costs what changes."""

    head: int = -1
    known: Map[int, VersionRow] = Map()
    """The versions that are there, of the blocks that are in memory. Whoever wants a version that
    may be in another block asks ``find``."""
    there: Map[int, int] = Map()
    """For each block with versions: bit n says whether its version n is there."""
    unread: frozenset[int] = frozenset()
    """The blocks that are not in memory."""

    def has(self, version: int) -> bool:
        block, place = divmod(version, BLOCK_SIZE)
        return bool(self.there.get(block, 0) >> place & 1)

    def find(self, version: int) -> VersionRow | None:
        """The row of a version, or None. HistoryMiss."""
        if not self.has(version):
            return None
        if version // BLOCK_SIZE in self.unread:
            raise HistoryMiss(version // BLOCK_SIZE)
        return self.known[version]

    def iter_newest(self, below: int | None = None) -> Iterator[int]:
        """The versions that are there, newest first, from the one before ``below``."""
        for block in sorted(self.there, reverse=True):
            yield from self.iter_block(block, below)

    def iter_block(self, block: int, below: int | None = None) -> Iterator[int]:
        """As ``iter_newest``, of one block."""
        for first, last in reversed(list(_iter_set(self.there[block], block * BLOCK_SIZE))):
            end = last if below is None else min(last, below - 1)
            yield from range(end, first - 1, -1)

    def add(self, version: int, row: VersionRow) -> VersionTable:
        """The table with a version that is newer than the head."""
        there = _mark(self.there, [(version, version)])
        return self._replace(head=version, known=self.known.set(version, row), there=there)

    def remove(self, ranges: Sequence[VersionRange]) -> VersionTable:
        """The table without the versions of these ranges, which are there."""
        rows = self.known.mutate()
        for first, last in ranges:
            for version in range(first, last + 1):
                rows.pop(version, None)
        there = self.there.mutate()
        for block, mask in _iter_masks(ranges):
            there[block] &= ~mask
            if not there[block]:
                del there[block]
        left = there.finish()
        return self._replace(known=rows.finish(), there=left, unread=_keep(self.unread, left))

    def with_block(self, block: int, rows: Iterable[tuple[int, VersionRow]]) -> VersionTable:
        """The table with one more block in memory. Rows of expired versions are ignored."""
        known = {version: row for version, row in rows if self.has(version)}
        return self._replace(known=self.known.update(known), unread=self.unread - {block})

    def iter_ranges(self) -> Iterator[VersionRange]:
        """The versions that are there as ranges, ascending. No two of them touch."""
        pending: VersionRange | None = None
        for block in sorted(self.there):
            for first, last in _iter_set(self.there[block], block * BLOCK_SIZE):
                if pending and pending[1] == first - 1:
                    pending = (pending[0], last)
                    continue
                if pending:
                    yield pending
                pending = (first, last)
        if pending:
            yield pending


def make_table(
    head: int, ranges: Iterable[VersionRange], rows: Mapping[int, VersionRow], first: int
) -> VersionTable:
    """A table of the versions of ``ranges``. The rows of versions from ``first`` on, the beginning
    of a block, are in memory."""
    there = _mark(Map(), ranges)
    unread = frozenset(block for block in there if block * BLOCK_SIZE < first)
    return VersionTable(head, Map(rows), there, unread)


def _keep(unread: frozenset[int], there: Map[int, int]) -> frozenset[int]:
    return unread if all(map(there.__contains__, unread)) else unread & frozenset(there)


def _iter_set(mask: int, at: int) -> Iterator[VersionRange]:
    """The runs of bits that are set, counted from ``at``."""
    while mask:
        clear = (mask & -mask).bit_length() - 1
        mask >>= clear
        at += clear
        run = (~mask & mask + 1).bit_length() - 1
        mask >>= run
        yield at, at + run - 1
        at += run


def _mark(there: Map[int, int], ranges: Iterable[VersionRange]) -> Map[int, int]:
    marks = there.mutate()
    for block, mask in _iter_masks(ranges):
        marks[block] = marks.get(block, 0) | mask
    return marks.finish()


def _iter_masks(ranges: Iterable[VersionRange]) -> Iterator[tuple[int, int]]:
    """For each block that a range touches: the bits of the range's versions in it."""
    for first, last in ranges:
        for block in range(first // BLOCK_SIZE, last // BLOCK_SIZE + 1):
            start = max(first - block * BLOCK_SIZE, 0)
            end = min(last - block * BLOCK_SIZE, BLOCK_SIZE - 1)
            yield block, (1 << end + 1 - start) - 1 << start


def to_ranges(versions: Iterable[int]) -> tuple[VersionRange, ...]:
    """Versions as ranges, ascending. Versions may come in any order, and twice."""
    ranges: list[VersionRange] = []
    for version in sorted(set(versions)):
        if ranges and ranges[-1][1] == version - 1:
            ranges[-1] = (ranges[-1][0], version)
        else:
            ranges.append((version, version))
    return tuple(ranges)
