"""Inode numbers that grow as listings do. Pure.

``du`` and ``find`` look at the names of a large directory in the order of their inode numbers. So
the names of one page have numbers beside each other, behind those of the page before: then such a
program walks through the pages in order, and each page is asked for once. Among the names of one
page, the order is random.
"""

from __future__ import annotations

from bisect import bisect_left, insort

from xxhash import xxh3_64_intdigest

DERIVED = 1 << 61
"""The least of these numbers, and how many there are."""
NAME_BITS = 34
"""The bits of a number that differ between the names of one band."""
_RANKS = DERIVED >> NAME_BITS
_GAP = 1024
"""How far apart ranks are, so that others fit between them."""


class NameOrder:
    """Cuts one directory's names into bands, each with a rank that grows with the names.

    A band keeps its rank. Once a page was listed, a name on it changes its band only if so
    many names were added that a page of them lies inside one band.
    """

    def __init__(self) -> None:
        self._cuts = [(b"", 0)]
        """Behind which part each band begins, and its rank. Sorted."""

    def get_rank(self, part: bytes) -> int:
        return self._cuts[max(0, bisect_left(self._cuts, (part,)) - 1)][1]

    def cut(self, start: bytes, end: bytes) -> None:
        """Begin a band at the end of a page, unless one begins inside the page.

        Without a rank that is free the names stay in one band. Then their order is worse.
        """
        at = bisect_left(self._cuts, (end, _RANKS))
        before, rank = self._cuts[at - 1]
        if before > start or before == end:
            return
        free = self._cuts[at][1] - rank if at < len(self._cuts) else 16 * _GAP
        if free > 1 and rank + free // 16 < _RANKS:
            insort(self._cuts, (end, rank + max(1, free // 16)))


def derive_number(directory: int, part: bytes, rank: int) -> int:
    """The number of a place. Each directory begins elsewhere, so that two seldom want the same."""
    begin = xxh3_64_intdigest(b"", directory)
    name = xxh3_64_intdigest(part, directory) >> (64 - NAME_BITS)
    return DERIVED | (begin + (rank << NAME_BITS) + name) % DERIVED
