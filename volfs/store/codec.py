"""How stored bytes differ from an object's own: zstd where it pays, else as they are."""

from __future__ import annotations

import threading

import zstandard

from volfs.errors import DamagedObjectError
from volfs.model.objects import Buffer
from volfs.model.pack import Codec

PROBE = 64 << 10
_LEVEL = 1
_SMALLEST = 64
"""A frame costs about 12 bytes: below this an eighth is hardly ever saved."""


class _PerThread(threading.local):
    """A context shared by two threads crashes the process; making one costs 50 µs."""

    def __init__(self) -> None:
        self.compressor = zstandard.ZstdCompressor(level=_LEVEL)
        self.decompressor = zstandard.ZstdDecompressor()


_mine = _PerThread()


def compress(data: Buffer) -> tuple[Codec, Buffer]:
    """The codec and the bytes to store. Raw if zstd does not save an eighth."""
    if len(data) < _SMALLEST or not _is_promising(data):
        return Codec.RAW, data
    frame = _mine.compressor.compress(data)
    # A compressor that ever lied would lose user data for good; asking it costs a third.
    if _pays(frame, data) and _mine.decompressor.decompress(frame) == data:
        return Codec.ZSTD, frame
    return Codec.RAW, data


def _is_promising(data: Buffer) -> bool:
    if len(data) <= 2 * PROBE:
        return True
    probe = memoryview(data)[:PROBE]
    return _pays(_mine.compressor.compress(probe), probe)


def _pays(frame: bytes, data: Buffer) -> bool:
    return len(frame) <= len(data) - len(data) // 8


def decompress(codec: Codec, stored: Buffer, raw: int) -> Buffer:
    """Exactly ``raw`` bytes, or DamagedObjectError."""
    if codec is Codec.RAW:
        if len(stored) != raw:
            raise DamagedObjectError(f"{len(stored)} bytes instead of {raw}")
        return stored
    try:
        # zstandard obeys the frame's own size, not max_output_size: look at it first.
        stated = zstandard.frame_content_size(stored)
        if stated != raw:
            raise DamagedObjectError(f"the zstd frame states {stated} bytes instead of {raw}")
        data = _mine.decompressor.decompress(stored, max_output_size=raw)
    except zstandard.ZstdError as error:
        raise DamagedObjectError(f"zstd: {error}") from error
    if len(data) != raw:
        raise DamagedObjectError(f"zstd: {len(data)} bytes instead of {raw}")
    return data
