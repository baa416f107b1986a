"""The bytes of the files of an overlay: from scratch, from the store, or known to be missing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from volfs.errors import DataError
from volfs.model.content import find_slices
from volfs.model.extents import BASE, ZERO, Piece
from volfs.model.objects import Buffer, Oid
from volfs.store.contract.objects import Objects
from volfs.vfs.left_tree import LeftFile
from volfs.vfs.salvage import ScratchReader, explain
from volfs.volume.version_reader import READ_SIZE, Reader


class LeftBytes(NamedTuple):
    """Bytes ``start`` to ``end`` of a file. If ``data`` is None they are missing, and ``problem``
    says why."""

    start: int
    end: int
    data: Buffer | None
    problem: str = ""


class Sources:
    """The sources of bytes: one overlay's scratch, and the store's objects."""

    def __init__(self, scratch: ScratchReader, reader: Reader, objects: Objects) -> None:
        self.scratch = scratch
        self.reader = reader
        self.objects = objects

    def iter_bytes(self, file: LeftFile) -> Iterator[LeftBytes]:
        """Yield all bytes of a file except its holes, in order. StoreError."""
        for piece in file.extents.iter_pieces(0, file.extents.size):
            if piece.source == ZERO:
                if file.is_doubtful:
                    yield LeftBytes(piece.start, piece.end, None, "its records are lost")
            elif piece.source == BASE:
                yield from self.iter_base(file, piece)
            else:
                yield from self.iter_scratch(piece)

    def iter_scratch(self, piece: Piece) -> Iterator[LeftBytes]:
        length = piece.end - piece.start
        for part in self.scratch.iter_parts(piece.source, piece.offset, length):
            start = piece.start + part.offset - piece.offset
            yield LeftBytes(start, start + part.length, part.data, part.problem)

    def iter_base(self, file: LeftFile, piece: Piece) -> Iterator[LeftBytes]:
        """Yield the bytes of the version that a piece covers."""
        if file.base.inline:
            data = file.base.inline[piece.start : piece.end]
            yield LeftBytes(piece.start, piece.end, data)
            return
        for start in range(piece.start, piece.end, READ_SIZE):
            end = min(start + READ_SIZE, piece.end)
            try:
                slices = find_slices(self.reader.get_list, file.base, start, end - start)
            except DataError as error:
                yield LeftBytes(start, end, None, explain(error))
                continue
            for each in slices:
                if each.oid:
                    yield self.read(start, each.oid, each.offset, each.length)
                start += each.length

    def read(self, start: int, oid: Oid, offset: int, length: int) -> LeftBytes:
        try:
            data = self.objects.read_object(oid, offset, length)
        except DataError as error:
            return LeftBytes(start, start + length, None, explain(error))
        return LeftBytes(start, start + length, data)


def join_ranges(parts: list[LeftBytes]) -> list[tuple[int, int]]:
    """The ranges of parts in order, joined where they touch."""
    joined: list[tuple[int, int]] = []
    for start, end, *_ in parts:
        if joined and joined[-1][1] == start:
            joined[-1] = joined[-1][0], end
        else:
            joined.append((start, end))
    return joined
