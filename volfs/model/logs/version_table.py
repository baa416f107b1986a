"""The versions of a volume, as an immutable value.

Which versions there are is known from the head and the expired ones alone. Manifests are known for
those whose *block* is in memory: a block is 1,024 versions, and full blocks also lie in history
segments. So a history of any length can be used before it was read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from immutables import Map

from volfs.model.objects import Oid

BLOCK_SIZE = 1024
_ALL = (1 << BLOCK_SIZE) - 1

Range = tuple[int, int]
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
    rows: Map[int, VersionRow] = Map()
    """The versions that are there, of all blocks that are in memory."""
    expired: Map[int, int] = Map()
    """For each block with expired versions: bit n stands for its version n."""
    unread: frozenset[int] = frozenset()
    """The blocks that are not in memory."""

    def has(self, version: int) -> bool:
        block, place = divmod(version, BLOCK_SIZE)
        return 0 <= version <= self.head and not self.expired.get(block, 0) >> place & 1

    def find(self, version: int) -> VersionRow | None:
        """The row of a version, or None. HistoryMiss."""
        if not self.has(version):
            return None
        if version // BLOCK_SIZE in self.unread:
            raise HistoryMiss(version // BLOCK_SIZE)
        return self.rows[version]

    def iter_newest(self, below: int | None = None) -> Iterator[int]:
        """The versions that are there, newest first, from the one before ``below``."""
        version = self.head if below is None else min(below - 1, self.head)
        while version >= 0:
            block = version // BLOCK_SIZE
            if self.expired.get(block, 0) == _ALL:
                version = block * BLOCK_SIZE - 1
                continue
            if self.has(version):
                yield version
            version -= 1

    def add(self, version: int, row: VersionRow) -> VersionTable:
        """The table with a version that is newer than the head. Those in between are expired."""
        expired = mark_expired(self.expired, [(self.head + 1, version - 1)])
        return self._replace(head=version, rows=self.rows.set(version, row), expired=expired)

    def remove(self, ranges: Sequence[Range]) -> VersionTable:
        """The table without the versions of these ranges, which are there."""
        rows = self.rows.mutate()
        for first, last in ranges:
            for version in range(first, last + 1):
                rows.pop(version, None)
        return self._replace(rows=rows.finish(), expired=mark_expired(self.expired, ranges))

    def with_block(self, block: int, rows: Iterable[tuple[int, VersionRow]]) -> VersionTable:
        """The table with one more block in memory. Rows of expired versions are ignored."""
        known = {version: row for version, row in rows if self.has(version)}
        return self._replace(rows=self.rows.update(known), unread=self.unread - {block})

    def iter_expired(self) -> Iterator[Range]:
        """The expired versions as ranges, ascending. No two of them touch."""
        pending: Range | None = None
        for block in sorted(self.expired):
            for first, last in _iter_marked(self.expired[block], block * BLOCK_SIZE):
                if pending and pending[1] == first - 1:
                    pending = (pending[0], last)
                    continue
                if pending:
                    yield pending
                pending = (first, last)
        if pending:
            yield pending


def _iter_marked(mask: int, at: int) -> Iterator[Range]:
    """The runs of bits that are set, counted from ``at``."""
    while mask:
        clear = (mask & -mask).bit_length() - 1
        mask >>= clear
        at += clear
        run = (~mask & mask + 1).bit_length() - 1
        mask >>= run
        yield at, at + run - 1
        at += run


def mark_expired(expired: Map[int, int], ranges: Iterable[Range]) -> Map[int, int]:
    """The bits of expired versions with those of more of them. An empty range is ignored."""
    marks = expired.mutate()
    for first, last in ranges:
        for block in range(first // BLOCK_SIZE, last // BLOCK_SIZE + 1):
            start = max(first - block * BLOCK_SIZE, 0)
            count = min(last - block * BLOCK_SIZE, BLOCK_SIZE - 1) - start + 1
            if count > 0:
                marks[block] = marks.get(block, 0) | (1 << count) - 1 << start
    return marks.finish()


def to_ranges(versions: Iterable[int]) -> tuple[Range, ...]:
    """Versions as ranges, ascending. Versions may come in any order, and twice."""
    ranges: list[Range] = []
    for version in sorted(set(versions)):
        if ranges and ranges[-1][1] == version - 1:
            ranges[-1] = (ranges[-1][0], version)
        else:
            ranges.append((version, version))
    return tuple(ranges)
