"""Rows of the index: index entries and pack rows. Layout: docs/format.md, "The index"."""

from __future__ import annotations

import struct
from typing import NamedTuple

from volfs.errors import DamagedObjectError
from volfs.model.objects import Kind, Oid
from volfs.model.pack import (
    PACK_HEADER_SIZE,
    RECORD_HEADER_SIZE,
    Codec,
    PackKind,
    Record,
    RecordHeader,
    find_length_problem,
)

_ENTRY = struct.Struct("<IQIIQBBBB")
_CODECS: dict[int, Codec] = {codec.value: codec for codec in Codec}
_KINDS: dict[int, Kind] = {kind.value: kind for kind in Kind}
"""Looked up, because a call of the class takes longer, and every first read of an object decodes
an entry."""
_PACK_ID = struct.Struct(">I")
_PACK_ROW = struct.Struct("<BQ")
KEY_SIZE = _PACK_ID.size
"""Bytes of the key of a pack's row."""
IndexRow = tuple[Oid, bytes]
"""An object id and its undecoded index entry."""


class IndexEntry(NamedTuple):
    """Where an object's stored bytes are. ``offset`` is where these bytes begin, after the
    header."""

    pack: int
    offset: int
    stored: int
    raw: int
    checksum: int
    codec: Codec
    kind: Kind
    block_bits: int = 0

    def header(self, oid: Oid) -> RecordHeader:
        """The header that must stand in the pack before the stored bytes."""
        _, _, stored, raw, checksum, codec, kind, bits = self
        return RecordHeader(kind, codec, raw, stored, checksum, oid, bits)

    def where(self, oid: Oid) -> str:
        return f"object {oid.hex()} in pack {self.pack} at {self.offset}"


def place_record(header: RecordHeader, pack: int, offset: int) -> IndexEntry:
    """The index entry of a record whose stored bytes are at ``offset``."""
    kind, codec, raw, stored, checksum, _, bits = header
    return IndexEntry(pack, offset, stored, raw, checksum, codec, kind, bits)


def place_found(pack: int, record: Record) -> IndexEntry:
    """The index entry of a record that was found in a pack."""
    return place_record(record.header, pack, record.offset + RECORD_HEADER_SIZE)


class PackRow(NamedTuple):
    pack: int
    kind: PackKind
    durable: int


def encode_entry(entry: IndexEntry) -> bytes:
    return _ENTRY.pack(*entry, 0)


def decode_entry(oid: Oid, row: bytes) -> IndexEntry:
    try:
        pack, offset, stored, raw, checksum, codec, kind, bits, _ = _ENTRY.unpack(row)
        problem = find_length_problem(codec, raw, stored, bits)
        if problem or offset < PACK_HEADER_SIZE + RECORD_HEADER_SIZE:
            raise ValueError(problem or f"offset {offset}")
        return IndexEntry(pack, offset, stored, raw, checksum, _CODECS[codec], _KINDS[kind], bits)
    except KeyError as error:
        raise DamagedObjectError(
            f"index entry of object {oid.hex()}: unknown codec or kind {error}"
        ) from error
    except (struct.error, ValueError) as error:
        raise DamagedObjectError(f"index entry of object {oid.hex()}: {error}") from error


def decode_pack(pack: int, row: bytes) -> PackRow:
    try:
        kind, durable = _PACK_ROW.unpack(row)
        return PackRow(pack, PackKind(kind), durable)
    except (struct.error, ValueError) as error:
        raise DamagedObjectError(f"index row of pack {pack}: {error}") from error


def encode_pack(row: PackRow) -> bytes:
    return _PACK_ROW.pack(row.kind, row.durable)


def pack_key(pack: int) -> bytes:
    return _PACK_ID.pack(pack)


def unpack_key(key: bytes) -> int:
    return int(_PACK_ID.unpack(key)[0])
