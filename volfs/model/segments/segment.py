"""An index segment: many objects, sorted by id, each with the pack that has it.

A segment is one immutable object of a bucket. Its *directory* tells which one block can have an
id, so a look-up needs one ranged read. Layout: docs/format.md, "Footers and index segments".
"""

from __future__ import annotations

import itertools
import struct
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from typing import NamedTuple, overload

from xxhash import xxh3_64_intdigest

from volfs.errors import DamagedObjectError
from volfs.model.objects import OID_SIZE, Buffer, Oid
from volfs.model.segments.id_filter import IdFilter
from volfs.model.segments.packs_named import NamedPack, iter_packs

MAGIC = b"VOLFSSG1\0\0\0\0\0\0\0\0"
BLOCK_ENTRIES = 512
ENTRY = struct.Struct("<32sIII")
SUM = struct.Struct("<Q")
BLOCK_SIZE = BLOCK_ENTRIES * ENTRY.size + SUM.size
DIRECTORY = struct.Struct("<8sQQQQII")
DIRECTORY_MAGIC = b"VOLFSSD1"


class NamedSegment(NamedTuple):
    """What a state says of a segment. The key has the volume that the segment was made for, so
    forks can share it."""

    key: str
    length: int
    directory: int
    """Where the directory begins."""
    entries: int


class SegmentEntry(NamedTuple):
    """Where an object is. ``pack`` is its number in the segment's own table of packs."""

    oid: Oid
    pack: int
    offset: int
    """Where the stored bytes begin, 64 bytes after the record's header."""
    stored: int


class SegmentDirectory:
    """Fence keys, the packs, and the place of the filter."""

    def __init__(self, data: Buffer, start: int) -> None:
        """``start`` is where the directory begins in the segment. DamagedObjectError."""
        view = memoryview(data)
        if len(view) < DIRECTORY.size + SUM.size:
            raise DamagedObjectError("segment: its directory is cut short")
        (digest,) = SUM.unpack_from(view, len(view) - SUM.size)
        if digest != xxh3_64_intdigest(view[: -SUM.size]):
            raise DamagedObjectError("segment: checksum of its directory")
        magic, begins, count, filtered, digest, packs, zero = DIRECTORY.unpack_from(view)
        self.count = int(count)
        self.filter = int(filtered)
        """Where the filter begins in the segment."""
        self._filter_sum = int(digest)
        self.blocks = -(-self.count // BLOCK_ENTRIES)
        if magic != DIRECTORY_MAGIC or zero or begins != start:
            raise DamagedObjectError("segment: the directory of another one, or another format")
        if not len(MAGIC) + self._find_blocks_size() == self.filter <= start:
            raise DamagedObjectError("segment: its directory does not fit its length")
        fences, at = self.blocks + (self.count > 0), DIRECTORY.size
        self._fences = _Ids(view[at : at + OID_SIZE * fences], OID_SIZE)
        at += OID_SIZE * fences
        self.packs = list(iter_packs(view[at : -SUM.size], packs))
        self.start = start
        self.size = len(view)

    def _find_blocks_size(self) -> int:
        return self.count * ENTRY.size + self.blocks * SUM.size

    def find_block(self, oid: Oid) -> int | None:
        """The number of the only block that can have this id, or None."""
        if not self.count or oid > self._fences[-1]:
            return None
        number = bisect_right(self._fences, oid, hi=self.blocks) - 1
        return number if number >= 0 else None

    def locate_block(self, number: int) -> tuple[int, int]:
        """Where a block begins in the segment, and its length."""
        start = len(MAGIC) + number * BLOCK_SIZE
        return start, min(BLOCK_SIZE, self.filter - start)

    def decode_block(self, number: int, data: Buffer) -> SegmentBlock:
        """A block, from its bytes. DamagedObjectError."""
        view, (_, length) = memoryview(data), self.locate_block(number)
        if len(view) != length:
            raise DamagedObjectError(f"segment: block {number} is cut short")
        (digest,) = SUM.unpack_from(view, length - SUM.size)
        if digest != xxh3_64_intdigest(view[: -SUM.size], number):
            raise DamagedObjectError(f"segment: checksum of block {number}")
        return SegmentBlock(view[: -SUM.size], len(self.packs))

    def decode_filter(self, data: Buffer) -> IdFilter:
        """The filter, from its bytes, which lie between the blocks and the directory.
        DamagedObjectError."""
        if xxh3_64_intdigest(data) != self._filter_sum:
            raise DamagedObjectError("segment: checksum of its filter")
        return IdFilter(data)

    def get_pack(self, entry: SegmentEntry) -> NamedPack:
        return self.packs[entry.pack]


class SegmentBlock:
    """Up to 512 entries of a segment."""

    def __init__(self, data: memoryview, packs: int) -> None:
        self._data = data
        self._packs = packs
        self._ids = _Ids(data, ENTRY.size)

    @property
    def size(self) -> int:
        """Bytes of memory."""
        return len(self._data)

    def find(self, oid: Oid) -> SegmentEntry | None:
        number = bisect_left(self._ids, oid)
        if number == len(self._ids) or self._ids[number] != oid:
            return None
        return self._make(*ENTRY.unpack_from(self._data, number * ENTRY.size))

    def __iter__(self) -> Iterator[SegmentEntry]:
        return (self._make(*found) for found in ENTRY.iter_unpack(self._data))

    def _make(self, oid: bytes, pack: int, offset: int, stored: int) -> SegmentEntry:
        if pack >= self._packs:
            raise DamagedObjectError(f"segment: object {oid.hex()} in pack {pack} of its table")
        return SegmentEntry(Oid(oid), pack, offset, stored)


class _Ids(Sequence[bytes]):
    """The ids with which rows of one size begin."""

    def __init__(self, data: memoryview, row: int) -> None:
        self._data = data
        self._row = row

    def __len__(self) -> int:
        return len(self._data) // self._row

    @overload
    def __getitem__(self, index: int) -> bytes: ...

    @overload
    def __getitem__(self, index: slice) -> list[bytes]: ...

    def __getitem__(self, index: int | slice) -> bytes | list[bytes]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        at = (index % len(self)) * self._row if index < 0 else index * self._row
        if at >= len(self._data):
            raise IndexError(index)
        return bytes(self._data[at : at + OID_SIZE])


def iter_entries(directory: SegmentDirectory, data: Buffer) -> Iterator[SegmentEntry]:
    """All entries of a segment, from its bytes. DamagedObjectError."""
    view = memoryview(data)
    for number in range(directory.blocks):
        start, length = directory.locate_block(number)
        yield from directory.decode_block(number, view[start : start + length])


def decode_segment(data: Buffer, start: int) -> SegmentDirectory:
    """The directory of a whole segment, whose every byte is verified. DamagedObjectError."""
    view = memoryview(data)
    directory = SegmentDirectory(view[start:], start)
    if view[: len(MAGIC)] != MAGIC:
        raise DamagedObjectError("segment: not one of volfs")
    ids = [entry.oid for entry in iter_entries(directory, view)]
    if len(ids) != directory.count or any(a >= b for a, b in itertools.pairwise(ids)):
        raise DamagedObjectError("segment: not in the order of ids")
    directory.decode_filter(view[directory.filter : start])
    return directory
