"""The bytes of a pack: its header, a record's header, and the forward scan.

Layout: docs/format.md, "A pack". Pure: reading is a callable, and the caller decides whether a
range of invalid bytes matters.
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Callable, Iterator
from typing import NamedTuple

from xxhash import xxh3_64_intdigest, xxh32_intdigest

from volfs.errors import DamagedObjectError, UnsupportedFormatError
from volfs.model.objects import Buffer, Kind, Oid
from volfs.model.record_blocks import BlockTable, find_blocks_problem

PACK_HEADER_SIZE = 16
RECORD_HEADER_SIZE = 64
RAW_LIMIT = 64 << 20

_PACK_MAGIC = b"VOLFSPK"
PACK_VERSION = 2
FORMER_PACK_VERSION = 1
"""The version of packs without records in blocks. They are read, and nothing is added to them."""
_PACK_HEADER = struct.Struct("<8sB7s")
_RECORD_MAGIC = b"vrec"
_RECORD = struct.Struct("<4sBBBBIIQ32s")
_TRAILER = struct.Struct("<II")
_KINDS = frozenset(Kind)
_WINDOW = 1 << 20
"""How many bytes are searched at once for the next record after invalid bytes."""

ReadAt = Callable[[int, int], Buffer]
"""``read_at(offset, length)``. It returns fewer bytes only where the pack ends."""


class PackKind(enum.IntEnum):
    DATA = 1
    META = 2


class Codec(enum.IntEnum):
    RAW = 0
    ZSTD = 1
    BLOCKS = 2
    """A table (``record_blocks.py``), then blocks that are raw or zstd frames."""


_CODECS = frozenset(Codec)


def pack_kind(kind: Kind) -> PackKind:
    """The kind of pack for an object: chunks are apart, so that a walk of trees reads no
    content."""
    return PackKind.DATA if kind is Kind.CHUNK else PackKind.META


def encode_pack_header(kind: PackKind) -> bytes:
    return _PACK_HEADER.pack(b"%b%d" % (_PACK_MAGIC, PACK_VERSION), kind, bytes(7))


class PackHeader(NamedTuple):
    version: int
    kind: PackKind


def decode_pack_header(data: Buffer) -> PackHeader:
    """Decode a pack's header. UnsupportedFormatError for an unknown version;
    DamagedObjectError."""
    if len(data) != PACK_HEADER_SIZE:
        raise DamagedObjectError(f"pack header: {len(data)} bytes")
    magic, kind, reserved = _PACK_HEADER.unpack(data)
    if magic[:7] != _PACK_MAGIC or kind not in (1, 2) or any(reserved):
        raise DamagedObjectError("pack header: not one of volfs")
    version = magic[7] - ord("0")
    if version not in (FORMER_PACK_VERSION, PACK_VERSION):
        raise UnsupportedFormatError(
            f"pack header: version {magic[7:]!r}; this volfs reads {PACK_VERSION}"
        )
    return PackHeader(version, PackKind(kind))


class RecordHeader(NamedTuple):
    """What stands before the stored bytes of one object."""

    kind: Kind
    codec: Codec
    raw: int
    stored: int
    checksum: int
    """xxh3-64 of the stored bytes."""
    oid: Oid
    block_bits: int = 0
    """The block size of a record in blocks: each block but the last has ``1 << block_bits``
    bytes."""


def encode_record_header(header: RecordHeader) -> bytes:
    """Encode a record's header. ValueError for lengths that no reader would accept."""
    kind, codec, raw, stored, checksum, oid, bits = header
    problem = find_length_problem(codec, raw, stored, bits)
    if problem:
        raise ValueError(f"record header: {problem}")
    packed = _RECORD.pack(_RECORD_MAGIC, kind, codec, bits, 0, raw, stored, checksum, oid)
    return packed + _TRAILER.pack(xxh32_intdigest(packed), 0)


def decode_record_header(data: Buffer) -> RecordHeader:
    """Decode a record's header. DamagedObjectError for everything that no writer makes."""
    if len(data) != RECORD_HEADER_SIZE:
        raise DamagedObjectError(f"record header: {len(data)} bytes")
    magic, kind, codec, bits, reserved, raw, stored, checksum, oid = _RECORD.unpack_from(data)
    digest, zero = _TRAILER.unpack_from(data, _RECORD.size)
    if magic != _RECORD_MAGIC:
        raise DamagedObjectError("record header: no record begins here")
    if digest != xxh32_intdigest(memoryview(data)[: _RECORD.size]):
        raise DamagedObjectError("record header: checksum")
    if kind not in _KINDS or codec not in _CODECS or reserved or zero:
        raise DamagedObjectError("record header: unknown kind, codec or flag")
    problem = find_length_problem(codec, raw, stored, bits)
    if problem:
        raise DamagedObjectError(f"record header: {problem}")
    return RecordHeader(Kind(kind), Codec(codec), raw, stored, checksum, Oid(oid), bits)


def find_length_problem(codec: int, raw: int, stored: int, bits: int = 0) -> str | None:
    """What is wrong with these lengths, in words; None if nothing is wrong."""
    if not 0 <= raw <= RAW_LIMIT:
        return f"{raw} bytes in one object, {RAW_LIMIT} is the limit"
    if codec == Codec.BLOCKS:
        return find_blocks_problem(raw, stored, bits)
    if bits:
        return f"blocks of 2^{bits} bytes in a record that has none"
    if (stored != raw) if codec == Codec.RAW else not 0 < stored < raw:
        return f"{stored} bytes stored for {raw}"
    return None


# --- the forward scan -------------------------------------------------------


class Record(NamedTuple):
    """A valid record: header and xxh3 are right. ``offset`` is where its header begins."""

    offset: int
    header: RecordHeader
    stored: Buffer


class Gap(NamedTuple):
    """Bytes between valid records that are no valid record.

    ``oid`` is the id of the damaged record, if a header still tells it. A gap is ``torn`` if no
    valid record follows it, as after a crash in the middle of a write. If its range was ever
    reported durable, a torn gap is damage all the same.
    """

    offset: int
    length: int
    oid: Oid | None
    problem: str
    torn: bool


def iter_records(
    read_at: ReadAt, size: int, start: int = PACK_HEADER_SIZE
) -> Iterator[Record | Gap]:
    """All records from ``start`` on, which is the end of a pack's header, and the gaps, in order
    of offset."""
    pending: list[Gap] = []
    offset = min(start, size)
    while offset < size:
        found = _read_record(read_at, offset, size)
        if isinstance(found, Record):
            yield from (gap._replace(torn=False) for gap in pending)
            pending.clear()
            yield found
            offset += RECORD_HEADER_SIZE + found.header.stored
        else:
            pending.append(found)
            offset += found.length
    yield from pending


def _read_record(read_at: ReadAt, offset: int, size: int) -> Record | Gap:
    """The record at ``offset``, or the gap that is there instead."""
    start = offset + RECORD_HEADER_SIZE
    try:
        header = decode_record_header(read_at(offset, min(RECORD_HEADER_SIZE, size - offset)))
    except DamagedObjectError as error:
        after = _find_header(read_at, offset + 1, size)
        return Gap(offset, after - offset, None, str(error), torn=True)
    end = min(start + header.stored, size)
    stored = read_at(start, end - start)
    problem = find_stored_problem(header, stored)
    if problem is None:
        return Record(offset, header, stored)
    return Gap(offset, end - offset, header.oid, problem, torn=True)


def find_stored_problem(header: RecordHeader, stored: Buffer) -> str | None:
    """What is wrong with a record's stored bytes, in words; None if nothing is wrong."""
    if len(stored) != header.stored:
        return "cut short"
    if xxh3_64_intdigest(stored) != header.checksum:
        return "checksum of the stored bytes"
    if header.codec is Codec.BLOCKS:
        try:
            _check_blocks(header, stored)
        except DamagedObjectError as error:
            return str(error)
    return None


def _check_blocks(header: RecordHeader, stored: Buffer) -> None:
    """DamagedObjectError if a block could not be read alone."""
    table = BlockTable(header.oid, header.raw, header.block_bits, header.stored, stored)
    content = memoryview(stored)[table.content :]
    for block in range(table.count):
        table.cut(block, table.whole(), content)


def _find_header(read_at: ReadAt, offset: int, size: int) -> int:
    """Where the next valid header begins at or after ``offset``; ``size`` if there is none."""
    while offset < size:
        window = bytes(read_at(offset, min(_WINDOW, size - offset)))
        if not window:
            return size
        at = window.find(_RECORD_MAGIC)
        while at >= 0:
            if _is_header(read_at(offset + at, min(RECORD_HEADER_SIZE, size - offset - at))):
                return offset + at
            at = window.find(_RECORD_MAGIC, at + 1)
        # A magic may straddle two windows, so they overlap by one byte less than its length.
        last = offset + len(window) >= size
        offset += len(window) if last else max(1, len(window) - len(_RECORD_MAGIC) + 1)
    return size


def _is_header(data: Buffer) -> bool:
    try:
        decode_record_header(data)
    except DamagedObjectError:
        return False
    return True
