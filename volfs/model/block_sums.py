"""Checksums of an arena's blocks, for the bytes that a flush made durable. Pure.

An arena consists of blocks of 4 KiB. A *stretch* of blocks has its sums in one record of the
catalog. The sum of a block covers its first bytes, as many as the block had when it was flushed. A
file that grows may write more behind them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from xxhash import xxh3_64_digest

from volfs.errors import DamagedObjectError
from volfs.model.extents import STRETCH
from volfs.model.objects import Buffer

BLOCK = 4096
BLOCKS = STRETCH // BLOCK
_LENGTH, _DIGEST = 2, 8
_FULL = BLOCK.to_bytes(_LENGTH, "little") * BLOCKS


class BlockSums(NamedTuple):
    """The sums of the blocks of one stretch. All places in it count from the beginning of the
    stretch."""

    lengths: bytes
    """u16 for each block: how many of its bytes the sum covers; 0 if it has no sum."""
    digests: bytes
    """xxh3-64 for each block."""

    def length(self, block: int) -> int:
        return int.from_bytes(self.lengths[block * _LENGTH : (block + 1) * _LENGTH], "little")

    def digest(self, block: int) -> bytes:
        return self.digests[block * _DIGEST : (block + 1) * _DIGEST]


NO_SUMS = BlockSums(bytes(BLOCKS * _LENGTH), bytes(BLOCKS * _DIGEST))


def split_by_stretch(start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """The parts of an arena's range by stretch: the number of the stretch, and the part's place in
    it."""
    while start < end:
        stretch, at = divmod(start, STRETCH)
        part = min(end - start, STRETCH - at)
        yield stretch, at, at + part
        start += part


def floor_block(at: int) -> int:
    return at // BLOCK * BLOCK


def ceil_block(at: int) -> int:
    return -(-at // BLOCK) * BLOCK


def add_sums(sums: BlockSums, start: int, data: Buffer) -> BlockSums:
    """``sums`` with the sums of the blocks of ``data``, which begins at the block boundary
    ``start``.

    A block that has a sum already must have grown. If its former bytes have changed, its new sum
    is wrong on purpose, so that readers notice the damage.
    """
    first, last = start // BLOCK, -(-(start + len(data)) // BLOCK)
    known, digests = sums.length(first), _compute(data)
    if known and xxh3_64_digest(memoryview(data)[:known]) != sums.digest(first):
        digests[0] = sums.digest(first)
    lengths = _FULL[: (last - first) * _LENGTH]
    if len(data) % BLOCK:
        lengths = lengths[:-_LENGTH] + (len(data) % BLOCK).to_bytes(_LENGTH, "little")
    return _put(sums, first, last, lengths, b"".join(digests))


def drop_sums(sums: BlockSums, start: int, end: int) -> BlockSums:
    """``sums`` without the blocks from ``start`` to ``end``, which are block boundaries."""
    first, last = start // BLOCK, end // BLOCK
    count = last - first
    return _put(sums, first, last, bytes(count * _LENGTH), bytes(count * _DIGEST))


def find_damage(sums: BlockSums, start: int, data: Buffer) -> int | None:
    """Where the first block begins that its sum contradicts; None if there is none.

    Blocks without a sum are not checked. ``data`` begins at the block boundary ``start``. It ends
    at a block boundary or at the end of the arena.
    """
    first, last = start // BLOCK, -(-(start + len(data)) // BLOCK)
    if len(data) % BLOCK == 0 and _is_full(sums, first, last):
        wanted = sums.digests[first * _DIGEST : last * _DIGEST]
        if b"".join(_compute(data)) == wanted:
            return None
    view = memoryview(data)
    for block in range(first, last):
        at = block * BLOCK - start
        length = sums.length(block)
        if length and xxh3_64_digest(view[at : at + length]) != sums.digest(block):
            return start + at
    return None


def has_sums(sums: BlockSums, start: int, end: int) -> bool:
    """Whether sums cover every byte from ``start`` to ``end``."""
    first, last = start // BLOCK, (end - 1) // BLOCK
    return _is_full(sums, first, last) and sums.length(last) >= end - last * BLOCK


def encode_sums(sums: BlockSums) -> bytes:
    return sums.lengths + sums.digests


def decode_sums(row: bytes) -> BlockSums:
    """Decode a record of the catalog. DamagedObjectError."""
    sums = BlockSums(row[: len(_FULL)], row[len(_FULL) :])
    sound = len(row) == len(_FULL) + BLOCKS * _DIGEST
    if not sound or any(sums.length(block) > BLOCK for block in range(BLOCKS)):
        raise DamagedObjectError("impossible sums of blocks")
    return sums


def _compute(data: Buffer) -> list[bytes]:
    view = memoryview(data)
    return [xxh3_64_digest(view[at : at + BLOCK]) for at in range(0, len(data), BLOCK)]


def _is_full(sums: BlockSums, first: int, last: int) -> bool:
    count = (last - first) * _LENGTH
    return sums.lengths[first * _LENGTH : last * _LENGTH] == _FULL[:count]


def _put(sums: BlockSums, first: int, last: int, lengths: bytes, digests: bytes) -> BlockSums:
    before, digests_before = sums
    return BlockSums(
        before[: first * _LENGTH] + lengths + before[last * _LENGTH :],
        digests_before[: first * _DIGEST] + digests + digests_before[last * _DIGEST :],
    )
