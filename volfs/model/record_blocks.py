"""The table of a record in blocks: where each block ends, and its checksum.

Layout: docs/format.md, "Records in blocks". With the table, a block can be read and verified
without the others, from a disk or by a ranged GET.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from itertools import accumulate, chain
from operator import sub
from typing import NamedTuple

from xxhash import xxh3_64_intdigest

from volfs.errors import DamagedObjectError
from volfs.model.objects import Buffer, Oid

BLOCK_BITS = range(12, 21)
"""Block sizes that a record may have: 4 KiB to 1 MiB."""

_LINE = struct.Struct("<IQ")
_SUM = struct.Struct("<Q")
_DIGEST = struct.Struct("<4xQ")
"""The checksum in a line."""


class Span(NamedTuple):
    """Blocks ``first`` to ``last``, and the place of their stored bytes behind the table."""

    first: int
    last: int
    start: int
    end: int


def count_blocks(raw: int, bits: int) -> int:
    return -(-raw >> bits)


def table_size(raw: int, bits: int) -> int:
    return count_blocks(raw, bits) * _LINE.size + _SUM.size


def find_blocks_problem(raw: int, stored: int, bits: int) -> str | None:
    """What is wrong with the lengths of a record in blocks, in words; None if nothing is wrong."""
    if bits not in BLOCK_BITS or raw <= 1 << bits:
        return f"blocks of 2^{bits} bytes for {raw}"
    content = stored - table_size(raw, bits)
    return None if 0 < content <= raw else f"{stored} bytes stored for {raw} in blocks"


def encode_table(oid: Oid, blocks: list[Buffer]) -> bytes:
    """The table of an object that is stored in these blocks."""
    ends, sums = accumulate(map(len, blocks)), map(xxh3_64_intdigest, blocks)
    lines = _lines_of(len(blocks)).pack(*chain.from_iterable(zip(ends, sums, strict=True)))
    return lines + _SUM.pack(_sum_table(oid, lines))


@lru_cache
def _lines_of(count: int) -> struct.Struct:
    return struct.Struct("<" + "IQ" * count)


def _pick_ends(lines: bytes) -> bytes:
    """The bytes of all ends in the lines of a table: first their lowest bytes, then the next
    ones."""
    return b"".join([lines[byte :: _LINE.size] for byte in range(_LINE.size - _SUM.size)])


@lru_cache
def _ends_of_raw_blocks(raw: int, bits: int) -> bytes:
    """What ``_pick_ends`` returns if all blocks of an object are stored raw."""
    size = 1 << bits
    return _pick_ends(b"".join(_LINE.pack(end, 0) for end in (*range(size, raw, size), raw)))


def _sum_table(oid: Oid, lines: Buffer) -> int:
    return xxh3_64_intdigest(b"".join((oid, lines)))


class BlockTable:
    """The verified table of one object."""

    __slots__ = ("_bits", "_lines", "_raw", "content", "count")

    def __init__(self, oid: Oid, raw: int, bits: int, stored: int, data: Buffer) -> None:
        """Decode and verify the table in the first of the stored bytes. DamagedObjectError."""
        size = table_size(raw, bits)
        lines = memoryview(data)[: size - _SUM.size]
        if len(data) < size or _SUM.unpack_from(data, len(lines))[0] != _sum_table(oid, lines):
            raise DamagedObjectError("the table of its blocks does not match its checksum")
        self._lines, self._raw, self._bits = bytes(lines), raw, bits
        self.count = count_blocks(raw, bits)
        self.content = size
        """Where the blocks begin in the stored bytes."""
        self._check_ends(stored - size)

    def _check_ends(self, content: int) -> None:
        if content == self._raw:
            if _pick_ends(self._lines) != _ends_of_raw_blocks(self._raw, self._bits):
                raise DamagedObjectError("its raw blocks do not follow each other")
            return
        ends = struct.unpack("<" + "I8x" * self.count, self._lines)
        lengths = list(map(sub, ends, (0, *ends[:-1])))
        last = self.count - 1
        if min(lengths) <= 0 or max(lengths) > 1 << self._bits or lengths[-1] > self.raw_size(last):
            raise DamagedObjectError("its blocks do not follow each other")
        if ends[-1] != content:
            raise DamagedObjectError(f"blocks of {ends[-1]} bytes in {content}")

    @property
    def size(self) -> int:
        """About how many bytes of memory the table takes."""
        return len(self._lines) + 200

    def raw_size(self, block: int) -> int:
        return min(1 << self._bits, self._raw - (block << self._bits))

    def find_span(self, offset: int, length: int) -> Span:
        """The blocks that hold these bytes of the object, at least one byte."""
        return self.find_blocks(offset >> self._bits, (offset + length - 1) >> self._bits)

    def find_blocks(self, first: int, last: int) -> Span:
        return Span(first, last, self._end(first - 1), self._end(last))

    def cut(self, block: int, span: Span, data: Buffer, *, verified: bool = False) -> Buffer:
        """The stored bytes of one block, from those of a span. DamagedObjectError.

        The bytes are verified here, unless ``verified`` says that they were before, with the whole
        record for example.
        """
        end, checksum = _LINE.unpack_from(self._lines, block * _LINE.size)
        stored = memoryview(data)[self._end(block - 1) - span.start : end - span.start]
        if not verified and xxh3_64_intdigest(stored) != checksum:
            raise DamagedObjectError(f"block {block} does not match its checksum")
        return stored

    def check_raw_blocks(self, first: int, data: Buffer) -> None:
        """Verify blocks that are stored raw and follow each other. DamagedObjectError."""
        view, size = memoryview(data), 1 << self._bits
        for block, at in enumerate(range(0, len(view), size), first):
            (checksum,) = _DIGEST.unpack_from(self._lines, block * _LINE.size)
            if xxh3_64_intdigest(view[at : at + size]) != checksum:
                raise DamagedObjectError(f"block {block} does not match its checksum")

    def whole(self) -> Span:
        return self.find_blocks(0, self.count - 1)

    def _end(self, block: int) -> int:
        if block < 0:
            return 0
        end: int = _LINE.unpack_from(self._lines, block * _LINE.size)[0]
        return end
