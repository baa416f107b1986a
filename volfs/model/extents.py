"""An interval map: which bytes of a file come from scratch, from its base, or are zeros.

This is pure arithmetic over half-open ranges of logical bytes; ``tests/model`` compares it with a
bytearray. A gap between pieces is zeros. A piece of the base lies at the same offset in the base.
A piece of an arena says where it lies.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple

BASE = -1
"""The source of the committed content that the file had when it was last clean."""
ZERO = -2
"""The source of zeros, which are not stored. Only ``ExtentMap.iter_pieces`` makes such pieces."""
STRETCH = 1 << 18
"""The bytes of a file, or of an arena, that one record of the catalog describes."""


class Piece(NamedTuple):
    """The bytes ``start`` to ``end`` of the file, which ``source`` (BASE or an arena) has at
    ``offset``."""

    start: int
    end: int
    source: int
    offset: int

    def cut(self, start: int, end: int) -> Piece:
        """The part inside ``start``..``end``, which must overlap."""
        lo, hi = max(self.start, start), min(self.end, end)
        return Piece(lo, hi, self.source, self.offset + lo - self.start)

    def continues(self, other: Piece) -> bool:
        """Whether ``other`` ends where this piece begins, in the file and in the source."""
        return (
            other.end == self.start
            and other.source == self.source
            and other.offset + (other.end - other.start) == self.offset
        )


class ExtentMap:
    """Sorted, disjoint, never empty pieces; all within ``size``."""

    __slots__ = ("pieces", "size", "touched")

    def __init__(self, size: int, pieces: list[Piece] | None = None) -> None:
        self.size = size
        self.pieces = pieces if pieces is not None else []
        self.touched: set[int] | None = None
        """The stretches in which pieces changed since this set was emptied; None means all.

        A piece counts in the stretch in which it begins, however long the piece is.
        """

    @classmethod
    def of_base(cls, size: int) -> ExtentMap:
        return cls(size, [Piece(0, size, BASE, 0)] if size else [])

    def copy(self) -> ExtentMap:
        return ExtentMap(self.size, self.pieces.copy())

    def write(self, start: int, end: int, source: int, offset: int) -> list[Piece]:
        """Let ``start``..``end``, which is not empty, come from ``source``.

        Returns the pieces that this replaced.
        """
        piece = Piece(start, end, source, offset)
        pieces = self.pieces
        replaced: list[Piece] = []
        self.size = max(self.size, end)
        if not pieces or pieces[-1].end <= start:
            at = len(pieces)
        else:
            at, replaced = self._clear(start, end)
        if at and piece.continues(pieces[at - 1]):
            piece = Piece(pieces[at - 1].start, end, source, pieces[at - 1].offset)
            at -= 1
            del pieces[at]
        if at < len(pieces) and pieces[at].continues(piece):
            self._touch((pieces[at],))
            piece = Piece(piece.start, pieces[at].end, source, piece.offset)
            del pieces[at]
        self._touch((piece,))
        pieces.insert(at, piece)
        return replaced

    def truncate(self, size: int) -> list[Piece]:
        """Cut or extend (with zeros) to ``size``. Returns the pieces that were cut off."""
        replaced = self._clear(size, self.size)[1] if size < self.size else []
        self.size = size
        return replaced

    def iter_pieces(self, start: int, end: int) -> Iterator[Piece]:
        """Pieces that cover ``start``..``end`` (within ``size``) exactly, zeros included."""
        at = start
        for index in range(self._first(start), len(self.pieces)):
            piece = self.pieces[index]
            if max(piece.start, at) >= end:
                break
            if piece.start > at:
                yield Piece(at, piece.start, ZERO, 0)
            part = piece.cut(start, end)
            yield part
            at = part.end
        if at < end:
            yield Piece(at, end, ZERO, 0)

    def rebase(self, sources: Collection[int], sealed: ExtentMap) -> None:
        """Let a new base have what came from ``sources`` or the old base, at the same places.

        This is done after a commit. The new base is the file as it was at the seal; bytes that
        were not written since still come from the ``sources``, which were sealed. Holes of that
        moment are the new base's, so that the next commit need not ask the base for each of them.
        """
        moved: list[Piece] = []
        for piece in self.iter_pieces(0, self.size):
            if piece.source in sources:
                moved.append(piece._replace(source=BASE, offset=piece.start))
            else:
                moved += sealed.find_holes(piece) if piece.source == ZERO else [piece]
        self.pieces, self.touched = [], None
        for piece in moved:
            if self.pieces and piece.continues(self.pieces[-1]):
                last = self.pieces.pop()
                piece = Piece(last.start, piece.end, last.source, last.offset)
            self.pieces.append(piece)

    def find_holes(self, within: Piece) -> list[Piece]:
        """The holes in a range, as pieces of the base that this map becomes."""
        pieces = self.iter_pieces(within.start, min(within.end, self.size))
        return [Piece(p.start, p.end, BASE, p.start) for p in pieces if p.source == ZERO]

    @property
    def is_base(self) -> bool:
        """Whether every byte is the base's. The base may be longer than ``size``."""
        return self.pieces == ([Piece(0, self.size, BASE, 0)] if self.size else [])

    @property
    def stored(self) -> int:
        """Bytes that are not holes here. The base may have holes of its own."""
        return sum(piece.end - piece.start for piece in self.pieces)

    def iter_stretches(self) -> Iterator[int]:
        """The stretches in which pieces begin, each once."""
        last = -1
        for piece in self.pieces:
            if piece.start // STRETCH != last:
                last = piece.start // STRETCH
                yield last

    def find_beginning(self, stretch: int) -> list[Piece]:
        """The pieces that begin in a stretch."""
        lo, hi = stretch * STRETCH, (stretch + 1) * STRETCH
        return self.pieces[self._find_start(lo) : self._find_start(hi)]

    def _touch(self, pieces: Iterable[Piece]) -> None:
        if self.touched is not None:
            self.touched.update([piece.start // STRETCH for piece in pieces])

    def _first(self, start: int) -> int:
        """The index of the first piece that ends after ``start``."""
        at = self._find_start(start + 1) - 1
        return at if at >= 0 and self.pieces[at].end > start else at + 1

    def _find_start(self, start: int) -> int:
        """The index of the first piece that begins at ``start`` or later."""
        return bisect_left(
            self.pieces, (start,)
        )  # This tests a tuple inline, because a call for each look would cost more.

    def _clear(self, start: int, end: int) -> tuple[int, list[Piece]]:
        """Make ``start``..``end`` a gap. Returns its index, and the pieces that were in it."""
        lo = hi = self._first(start)
        while hi < len(self.pieces) and self.pieces[hi].start < end:
            hi += 1
        old = self.pieces[lo:hi]
        kept = []
        if old and old[0].start < start:
            kept.append(old[0].cut(0, start))
        at = lo + len(kept)
        if old and old[-1].end > end:
            kept.append(old[-1].cut(end, old[-1].end))
        self._touch(old)
        self._touch(kept)
        self.pieces[lo:hi] = kept
        return at, [piece.cut(start, end) for piece in old]
