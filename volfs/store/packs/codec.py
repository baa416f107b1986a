"""The form in which objects are stored: compressed by zstd if that pays, and chunks in blocks.

The sizes of blocks were measured (docs/decisions/0044-small-reads.md). Random reads of raw data
cost the least with small blocks. Compressed data becomes larger with small blocks, and slower to
read in order.
"""

from __future__ import annotations

import threading
from functools import lru_cache
from operator import lt
from typing import NamedTuple

import zstandard
from xxhash import xxh3_64

from volfs.errors import DamagedObjectError
from volfs.model.objects import Buffer, Kind, Oid
from volfs.model.pack import Codec, RecordHeader
from volfs.model.record_blocks import BlockTable, Span, encode_table

PROBE = 64 << 10
SAMPLE = 16 << 10
"""zstd must save a sixteenth of as much of a large chunk before it is given a block. Nothing else
of random data is compressed."""
UNDIVIDED = 16 << 10
"""A chunk of up to this size has no blocks."""
RAW_BITS = 13
ZSTD_BITS = 18
_LEVEL = 1
_HASH_LOG = 15
"""zstd remembers 2^15 places of a block. At this level it would remember 2^14, which blocks of
256 KiB fill too soon: frames of Python source become 2.9 % larger than those of whole chunks of
1 MiB, instead of 2.0 %."""
_REPETITIVE_HASH_LOG = 16
"""It remembers 2^16 places if a chunk's first block shrinks to less than half. Then frames are only
1.8 % larger, in 6 % more time. For all other data it would take 16 % more time."""
_MIN_MATCH = 7
"""The shortest repetition that zstd looks for, as it does at this level in larger inputs. For a
block it would look for 6 bytes, and more, shorter repetitions take longer to decompress."""
_SMALLEST = 64
"""A frame costs about 12 bytes. An object smaller than this hardly ever saves an eighth."""


def _make_block_compressor(hash_log: int) -> zstandard.ZstdCompressor:
    return zstandard.ZstdCompressor(
        compression_params=zstandard.ZstdCompressionParameters.from_level(
            _LEVEL, source_size=1 << ZSTD_BITS, hash_log=hash_log, min_match=_MIN_MATCH
        )
    )


class _PerThread(threading.local):
    """The zstd contexts of one thread. A context that two threads share crashes the process, and
    making one costs 50 µs."""

    def __init__(self) -> None:
        self.compressor = zstandard.ZstdCompressor(level=_LEVEL)
        self.block_compressor = _make_block_compressor(_HASH_LOG)
        self.repetitive_compressor = _make_block_compressor(_REPETITIVE_HASH_LOG)
        self.decompressor = zstandard.ZstdDecompressor()


_mine = _PerThread()


class Packed(NamedTuple):
    """A stored object: the header of its record, and the stored bytes."""

    header: RecordHeader
    parts: tuple[Buffer, ...]
    """The stored bytes, in parts, so that nothing is copied to stand behind its table."""


def pack_object(kind: Kind, oid: Oid, data: Buffer) -> Packed:
    """Choose the stored form of an object, and make it."""
    if kind is not Kind.CHUNK or len(data) <= UNDIVIDED:
        codec, stored = compress(data)
        return _pack(kind, oid, data, codec, 0, (stored,))
    if len(data) <= 1 << ZSTD_BITS:
        codec, stored = compress(data)
        if codec is Codec.ZSTD:
            return _pack(kind, oid, data, codec, 0, (stored,))
    elif frames := _compress_blocks(data):
        return _pack(kind, oid, data, Codec.BLOCKS, ZSTD_BITS, (encode_table(oid, frames), *frames))
    table = encode_table(oid, _cut(data, RAW_BITS))
    return _pack(kind, oid, data, Codec.BLOCKS, RAW_BITS, (table, data))


def is_former_form(header: RecordHeader) -> bool:
    """Whether a chunk is stored in one piece that would be stored in blocks today."""
    limit = UNDIVIDED if header.codec is Codec.RAW else 1 << ZSTD_BITS
    return header.kind is Kind.CHUNK and header.codec is not Codec.BLOCKS and header.raw > limit


def _pack(
    kind: Kind, oid: Oid, data: Buffer, codec: Codec, bits: int, parts: tuple[Buffer, ...]
) -> Packed:
    digest = xxh3_64()
    for part in parts:
        digest.update(part)
    stored = sum(map(len, parts))
    header = RecordHeader(kind, codec, len(data), stored, digest.intdigest(), oid, bits)
    return Packed(header, parts)


def _compress_blocks(data: Buffer) -> list[Buffer]:
    """The blocks, each as a zstd frame if that is smaller. An empty list if compression does not
    pay, by a sample, by the first block, or by all of them."""
    sample = memoryview(data)[:SAMPLE]
    if len(_mine.compressor.compress(sample)) > SAMPLE - SAMPLE // 16:
        return []
    first, *others = _cut(data, ZSTD_BITS)
    frame = _compress_block(first, _mine.block_compressor)
    if not _pays(frame, first):
        return []
    is_repetitive = 2 * len(frame) < len(first)
    compressor = _mine.repetitive_compressor if is_repetitive else _mine.block_compressor
    blocks = [frame, *(_compress_block(block, compressor) for block in others)]
    return blocks if sum(map(len, blocks)) <= len(data) - len(data) // 8 else []


def _compress_block(block: Buffer, compressor: zstandard.ZstdCompressor) -> Buffer:
    frame = compressor.compress(block)
    return frame if len(frame) < len(block) and _holds(frame, block) else block


def _cut(data: Buffer, bits: int) -> list[Buffer]:
    return list(map(memoryview(data).__getitem__, _slices_of(len(data), bits)))


@lru_cache
def _slices_of(size: int, bits: int) -> tuple[slice, ...]:
    return tuple(slice(at, at + (1 << bits)) for at in range(0, size, 1 << bits))


def compress(data: Buffer) -> tuple[Codec, Buffer]:
    """The codec and the bytes to store: raw if zstd does not save an eighth."""
    if len(data) < _SMALLEST or not _is_promising(data):
        return Codec.RAW, data
    frame = _mine.compressor.compress(data)
    return (Codec.ZSTD, frame) if _pays(frame, data) and _holds(frame, data) else (Codec.RAW, data)


def _holds(frame: bytes, data: Buffer) -> bool:
    """Whether a frame decompresses to this data. A wrong frame would lose user data for good, so
    each frame is asked. That costs a fourth more."""
    decompressed: bytes = _mine.decompressor.decompress(frame)
    # startswith compares memory. For bytes and a memoryview, == compares item by item, which takes
    # longer than the decompression.
    return len(decompressed) == len(data) and decompressed.startswith(data)


def _is_promising(data: Buffer) -> bool:
    if len(data) <= 2 * PROBE:
        return True
    probe = memoryview(data)[:PROBE]
    return _pays(_mine.compressor.compress(probe), probe)


def _pays(frame: Buffer, data: Buffer) -> bool:
    return len(frame) <= len(data) - len(data) // 8


def unpack_object(header: RecordHeader, stored: Buffer) -> Buffer:
    """The object's bytes, from all of its stored bytes. DamagedObjectError."""
    if header.codec is not Codec.BLOCKS:
        return decompress(header.codec, stored, header.raw)
    table = BlockTable(header.oid, header.raw, header.block_bits, header.stored, stored)
    content = memoryview(stored)[table.content :]
    if len(content) == header.raw:
        return content
    return unpack_blocks(table, table.whole(), content, verified=True)


def unpack_blocks(table: BlockTable, span: Span, data: Buffer, *, verified: bool = False) -> Buffer:
    """The bytes of the blocks of a span, from their stored bytes. DamagedObjectError."""
    numbers = range(span.first, span.last + 1)
    stored = [table.cut(block, span, data, verified=verified) for block in numbers]
    sizes = [table.raw_size(block) for block in numbers]
    if len(stored) > 1 and all(map(lt, map(len, stored), sizes)):
        return _decompress_all(stored, sizes, data)
    blocks = list(map(unpack_block, stored, sizes))
    return blocks[0] if len(blocks) == 1 else b"".join(blocks)


def _decompress_all(frames: list[Buffer], sizes: list[int], together: Buffer) -> bytes:
    """Decompress frames that lie together in one call. DamagedObjectError unless they have just
    these sizes.

    To decompress each frame by itself and to join the results takes a tenth longer.
    """
    try:
        for frame, size in zip(frames, sizes, strict=True):
            _check_stated_size(frame, size)
        reader = _mine.decompressor.stream_reader(together, read_across_frames=True)
        data: bytes = reader.read(sum(sizes))
    except zstandard.ZstdError as error:
        raise DamagedObjectError(f"zstd: {error}") from error
    if len(data) != sum(sizes):
        raise DamagedObjectError(f"zstd: {len(data)} bytes instead of {sum(sizes)}")
    return data


def unpack_block(stored: Buffer, raw: int) -> Buffer:
    return decompress(Codec.RAW if len(stored) == raw else Codec.ZSTD, stored, raw)


def unpack_front(stored: Buffer, raw: int, length: int) -> Buffer:
    """At least the first ``length`` bytes of a block. DamagedObjectError."""
    if len(stored) == raw or length == raw:
        return unpack_block(stored, raw)
    try:
        _check_stated_size(stored, raw)
        data: bytes = _mine.decompressor.stream_reader(stored).read(length)
    except zstandard.ZstdError as error:
        raise DamagedObjectError(f"zstd: {error}") from error
    if len(data) != length:
        raise DamagedObjectError(f"zstd: {len(data)} bytes instead of {length}")
    return data


def decompress(codec: Codec, stored: Buffer, raw: int) -> Buffer:
    """Exactly ``raw`` bytes, decompressed. DamagedObjectError."""
    if codec is Codec.RAW:
        if len(stored) != raw:
            raise DamagedObjectError(f"{len(stored)} bytes instead of {raw}")
        return stored
    try:
        # zstandard obeys the size that the frame states, not max_output_size. So that size is
        # compared first.
        _check_stated_size(stored, raw)
        data = _mine.decompressor.decompress(stored, max_output_size=raw)
    except zstandard.ZstdError as error:
        raise DamagedObjectError(f"zstd: {error}") from error
    if len(data) != raw:
        raise DamagedObjectError(f"zstd: {len(data)} bytes instead of {raw}")
    return data


def _check_stated_size(frame: Buffer, raw: int) -> None:
    stated = zstandard.frame_content_size(frame)
    if stated != raw:
        raise DamagedObjectError(f"the zstd frame states {stated} bytes instead of {raw}")
