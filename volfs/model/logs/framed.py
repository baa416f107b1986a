"""The bytes of what is kept beside a log: checkpoints, pieces, history segments.

Layout: docs/format.md, "Beside a log". This module knows no compression; whoever stores the
bytes compresses the content first.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from volfs.errors import DamagedObjectError
from volfs.model.logs.whole_bytes import (
    CHECKSUM_SIZE,
    add_checksum,
    check_not_encrypted,
    check_whole,
)
from volfs.model.objects import Buffer
from volfs.model.pack import Codec

CONTENT_LIMIT = 64 << 20
"""The most bytes of a content, not compressed."""
_HEADER = struct.Struct("<8sIIBBHI")
_SMALLEST = _HEADER.size + CHECKSUM_SIZE
_CODECS = (Codec.RAW, Codec.ZSTD)


class Framed(NamedTuple):
    """A content as it is stored."""

    magic: bytes
    """Eight bytes: what it is, and its version."""
    codec: Codec
    raw: int
    """The length of the content when it is not compressed."""
    stored: Buffer


def encode_framed(framed: Framed) -> bytes:
    """ValueError for lengths that no reader would accept."""
    magic, codec, raw, stored = framed
    if not _is_possible(codec, raw, len(stored)):
        raise ValueError(f"{magic!r}: {len(stored)} bytes stored for {raw}")
    return add_checksum((_HEADER.pack(magic, raw, len(stored), codec, 0, 0, 0), stored))


def decode_framed(data: Buffer, magic: bytes, what: str) -> Framed:
    """Decode bytes that begin with ``magic``; errors say ``what``.

    DamagedObjectError; UnsupportedFormatError for another version, or an encrypted content.
    """
    view = memoryview(data)
    check_whole(view, magic, _SMALLEST, what)
    _, raw, stored, codec, zero, key, reserved = _HEADER.unpack_from(view)
    check_not_encrypted(key, what)
    if zero or reserved or len(view) != _SMALLEST + stored or not _is_possible(codec, raw, stored):
        raise DamagedObjectError(f"{what}: impossible header")
    return Framed(magic, Codec(codec), raw, view[_HEADER.size : _HEADER.size + stored])


def _is_possible(codec: int, raw: int, stored: int) -> bool:
    if codec not in _CODECS or not 0 <= raw <= CONTENT_LIMIT:
        return False
    return stored == raw if codec == Codec.RAW else 0 < stored < raw
