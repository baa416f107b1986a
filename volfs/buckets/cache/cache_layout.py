"""The bytes of the disk cache's files (docs/format.md, "The disk cache of buckets").

A cache file has a segment of one object: 16 MiB, or what is left of the object. The bytes are at
the offsets that they have in the segment. One page follows. It says whose bytes these are, and has
a sum for each block that is there. A sum covers the block's place, so that no block is taken for
another. Nothing here is the only copy of anything: content that does not fit together counts as
not there.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import NamedTuple

from blake3 import blake3
from xxhash import xxh3_64_intdigest

BLOCK = 64 << 10
"""Bytes that have one sum, and are there together or not at all."""
SEGMENT = 16 << 20
PAGE = 4096
_MAGIC = b"volfscf1"
_HEADER = struct.Struct("<8s32sQQ")
_SUMS = 64
_SUM = struct.Struct("<Q")
_NAME = 20
"""Bytes of the hash in a cache file's name."""


class Content(NamedTuple):
    """One object as it was at one moment. Its bytes never change."""

    digest: bytes
    size: int


def make_content(place: str, key: str, etag: str, size: int) -> Content:
    """The content that an object has with this ETag. ``place`` is the bucket: no two buckets have
    the same."""
    said = b"".join(
        struct.pack("<Q", len(text)) + text
        for text in (part.encode(errors="surrogateescape") for part in (place, key, etag))
    )
    return Content(blake3(said + struct.pack("<Q", size)).digest(), size)


@dataclass(frozen=True, slots=True)
class CachedSegment:
    """The segment of an object that one cache file has."""

    content: Content
    number: int

    @property
    def start(self) -> int:
        """Where the segment begins in the object."""
        return self.number * SEGMENT

    @property
    def length(self) -> int:
        return min(SEGMENT, self.content.size - self.start)

    @property
    def page_offset(self) -> int:
        """Where the page begins in the file."""
        return -(-self.length // PAGE) * PAGE

    @property
    def file_size(self) -> int:
        return self.page_offset + PAGE

    @property
    def name(self) -> str:
        """The path of the file in the cache."""
        text = blake3(self._header()).hexdigest(_NAME)
        return f"{text[:2]}/{text[2:]}"

    def _header(self) -> bytes:
        return _HEADER.pack(_MAGIC, self.content.digest, self.number, self.length)

    def make_page(self) -> bytes:
        """The page of a file that has no blocks yet."""
        header = self._header()
        return header + bytes(PAGE - len(header) - _SUM.size) + _SUM.pack(xxh3_64_intdigest(header))

    def is_page(self, page: bytes) -> bool:
        """Whether a page belongs to this segment. The sums in it prove the blocks."""
        header = self._header()
        end = _SUM.pack(xxh3_64_intdigest(header))
        return len(page) == PAGE and page.startswith(header) and page.endswith(end)

    def find_sums_offset(self, block: int) -> int:
        """Where the sum of a block is in the file."""
        return self.page_offset + _SUMS + _SUM.size * block

    def compute_sum(self, block: int, data: memoryview) -> int:
        """The sum of a block. It is never 0, because 0 says that the block is not there."""
        seed = int.from_bytes(self.content.digest[:8], "little") ^ self.number << 32 ^ block
        return xxh3_64_intdigest(data, seed & (1 << 64) - 1) or 1

    def block_range(self, first: int, last: int) -> tuple[int, int]:
        """The range of the blocks from ``first`` to ``last`` within the segment."""
        return first * BLOCK, min(self.length, (last + 1) * BLOCK)


def read_sums(page: bytes, first: int, last: int) -> tuple[int, ...]:
    """The sums of the blocks from ``first`` to ``last``; 0 for a block that is not there."""
    return struct.unpack_from(f"<{last - first + 1}Q", page, _SUMS + _SUM.size * first)


def pack_sums(sums: list[int]) -> bytes:
    return struct.pack(f"<{len(sums)}Q", *sums)


def iter_segments(content: Content, start: int, end: int) -> list[tuple[CachedSegment, int, int]]:
    """The segments that have these bytes of an object, each with the range of the bytes in it."""
    found = []
    while start < end:
        segment = CachedSegment(content, start // SEGMENT)
        stop = min(end, segment.start + SEGMENT)
        found.append((segment, start - segment.start, stop - segment.start))
        start = stop
    return found
