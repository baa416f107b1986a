"""Salvage: every record and byte of an overlay, damaged or not, whose checksum is right.

Nothing is written, and neither LMDB nor the store is needed. The caller has the session's lock.
What is lost is named, and nothing takes its place.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from volfs.errors import DamagedObjectError, DataError
from volfs.model.block_sums import (
    BLOCK,
    NO_SUMS,
    BlockSums,
    ceil_block,
    find_damage,
    floor_block,
    has_sums,
    split_by_stretch,
)
from volfs.model.extents import STRETCH
from volfs.store.checked_lmdb.checksum import strip_checksum
from volfs.store.checked_lmdb.page_rows import PageRow, read_page_rows
from volfs.vfs.records import (
    BASE_KEY,
    FORMER_BASE_KEY,
    Recorded,
    decode_base,
    decode_record,
    fit_pieces,
    refuse_former,
)
from volfs.vfs.scratch import arena_path

READ_SIZE = 1 << 20


class Salvaged(NamedTuple):
    recorded: Recorded
    doubtful: set[int]
    """Files of which some pieces have no record: it is not known what is where no piece is."""
    problems: list[str]


def salvage_catalog(directory: Path) -> Salvaged:
    """The records that are whole. DamagedObjectError if nothing can be read at all."""
    found = read_page_rows(directory)
    problems = [f"catalog: {problem}" for problem in found.problems]
    recorded = Recorded(None, {}, [], {}, {}, {})
    for row in found.rows:
        try:
            recorded = _take(recorded, row)
        except DamagedObjectError as error:
            problems.append(f"catalog: {error}")
    return Salvaged(recorded, _drop_impossible(recorded, problems), problems)


def _take(recorded: Recorded, row: PageRow) -> Recorded:
    key, value = row[0], strip_checksum(*row)
    if key == FORMER_BASE_KEY:
        raise refuse_former()
    if key == BASE_KEY:
        return recorded._replace(base=decode_base(value))
    decode_record(recorded, key, value)
    return recorded


def _drop_impossible(recorded: Recorded, problems: list[str]) -> set[int]:
    """Drop pieces that cannot be right. Returns the files that lack pieces."""
    doubtful: set[int] = set()
    for ino, inode in recorded.inodes.items():
        pieces = recorded.pieces.get(ino, [])
        pieces.sort()
        if not fit_pieces(pieces, inode.size):
            recorded.pieces[ino] = []
        if len(recorded.pieces.get(ino, [])) != inode.pieces:
            problems.append(f"catalog: of inode {ino} pieces are lost")
            doubtful.add(ino)
    return doubtful


class Part(NamedTuple):
    """Bytes of an arena from ``offset``. If they are lost, ``data`` is None and ``problem`` says
    why."""

    offset: int
    length: int
    data: memoryview | None
    problem: str = ""


class ScratchReader:
    """Reads arenas, and trusts only bytes under a right sum, block by block."""

    def __init__(self, directory: Path, sums: dict[int, dict[int, BlockSums]]) -> None:
        self._directory = directory
        self._sums = sums
        self._descriptors: dict[int, int | str] = {}

    def close(self) -> None:
        for descriptor in self._descriptors.values():
            if isinstance(descriptor, int):
                os.close(descriptor)

    def iter_parts(self, arena: int, offset: int, length: int) -> Iterator[Part]:
        """Yield the parts that cover a range exactly."""
        end = offset + length
        while offset < end:
            stop = min(end, floor_block(offset) + READ_SIZE)
            yield from self._read(arena, offset, stop)
            offset = stop

    def _read(self, arena: int, start: int, end: int) -> Iterator[Part]:
        descriptor = self._open(arena)
        if isinstance(descriptor, str):
            yield Part(start, end - start, None, descriptor)
            return
        first = floor_block(start)
        try:
            data = memoryview(os.pread(descriptor, ceil_block(end) - first, first))
        except OSError as error:
            data, why = memoryview(b""), str(error.strerror)
        else:
            why = "it is not what its checksum says"
        for lo, hi in self._split(arena, first, data, start, end):
            good = self._is_sound(arena, first, data, lo, hi)
            part = data[lo - first : hi - first] if good else None
            yield Part(lo, hi - lo, part, "" if good else f"{self._name(arena)} at {lo}: {why}")

    def _split(
        self, arena: int, first: int, data: memoryview, start: int, end: int
    ) -> list[tuple[int, int]]:
        """The whole range if all of it is sound, else its blocks."""
        if self._is_sound(arena, first, data, start, end):
            return [(start, end)]
        edges = [start, *range(floor_block(start) + BLOCK, end, BLOCK), end]
        return list(pairwise(edges))

    def _is_sound(self, arena: int, first: int, data: memoryview, start: int, end: int) -> bool:
        if first + len(data) < end:
            return False
        stretches = self._sums.get(arena, {})
        for stretch, lo, hi in split_by_stretch(start, end):
            sums = stretches.get(stretch, NO_SUMS)
            at = stretch * STRETCH - first
            low, high = floor_block(lo), ceil_block(hi)
            if not has_sums(sums, lo, hi):
                return False
            if find_damage(sums, low, data[at + low : at + high]) is not None:
                return False
        return True

    def _open(self, arena: int) -> int | str:
        if arena not in self._descriptors:
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
            try:
                self._descriptors[arena] = os.open(arena_path(self._directory, arena), flags)
            except OSError as error:
                self._descriptors[arena] = f"{self._name(arena)}: {error.strerror}"
        return self._descriptors[arena]

    def _name(self, arena: int) -> str:
        return f"scratch {arena_path(self._directory, arena).name}"


def explain(error: DataError) -> str:
    """Say why bytes of the base are not there."""
    return f"of the version that it stands on: {error}"
