"""The footer of a pack in a bucket: every record of the pack, and where it is.

One ranged read has a whole footer. Layout: docs/format.md, "Footers and index segments".
"""

from __future__ import annotations

import itertools
import struct
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from operator import lt
from typing import NamedTuple, overload

from xxhash import xxh3_64_intdigest

from volfs.errors import DamagedObjectError
from volfs.model.objects import OID_SIZE, Buffer, Kind, Oid
from volfs.model.pack import (
    PACK_HEADER_SIZE,
    RECORD_HEADER_SIZE,
    Codec,
    RecordHeader,
    decode_record_header,
    find_length_problem,
)

_HEAD = struct.Struct("<8sII")
_MAGIC = b"VOLFSFT1"
_ENTRY = struct.Struct("<32sQIIQBBBB")
_END = struct.Struct("<QQ")
FIRST_RECORD = PACK_HEADER_SIZE + RECORD_HEADER_SIZE
"""The least offset of stored bytes in a pack."""


class PlacedRecord(NamedTuple):
    """The header of a record, and where its stored bytes begin."""

    offset: int
    header: RecordHeader

    @property
    def oid(self) -> Oid:
        return self.header.oid

    @property
    def end(self) -> int:
        return self.offset + self.header.stored


def find_footer_size(count: int) -> int:
    """The length of a footer of that many records."""
    return _HEAD.size + _ENTRY.size * count + _END.size


def encode_footer(records: Iterable[PlacedRecord], start: int) -> bytes:
    """The footer that begins at ``start``. ValueError if two records have one id."""
    ordered = sorted(records, key=lambda record: record.oid)
    if any(a.oid == b.oid for a, b in itertools.pairwise(ordered)):
        raise ValueError("two records of one object in a pack")
    parts = [_HEAD.pack(_MAGIC, len(ordered), 0), *map(_encode_entry, ordered)]
    body = b"".join(parts) + start.to_bytes(8, "little")
    return body + xxh3_64_intdigest(body).to_bytes(8, "little")


def _encode_entry(record: PlacedRecord) -> bytes:
    kind, codec, raw, stored, checksum, oid, bits = record.header
    return _ENTRY.pack(oid, record.offset, stored, raw, checksum, codec, kind, bits, 0)


class Footer(Sequence[PlacedRecord]):
    """The records of one pack, by id."""

    def __init__(self, data: Buffer, start: int) -> None:
        self._entries = memoryview(data)[_HEAD.size : -_END.size]
        self.start = start
        """Where the footer begins in the pack; the last record ends there at the latest."""

    @property
    def size(self) -> int:
        """Bytes of memory."""
        return len(self._entries)

    def __len__(self) -> int:
        return len(self._entries) // _ENTRY.size

    @overload
    def __getitem__(self, index: int) -> PlacedRecord: ...

    @overload
    def __getitem__(self, index: slice) -> list[PlacedRecord]: ...

    def __getitem__(self, index: int | slice) -> PlacedRecord | list[PlacedRecord]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        return self._decode(index % len(self))

    def find(self, oid: Oid) -> PlacedRecord | None:
        """The record of an object. DamagedObjectError."""
        number = bisect_left(range(len(self)), oid, key=self.get_id)
        return self[number] if number < len(self) and self.get_id(number) == oid else None

    def get_id(self, number: int) -> Oid:
        at = number * _ENTRY.size
        return Oid(bytes(self._entries[at : at + OID_SIZE]))

    def _decode(self, number: int) -> PlacedRecord:
        found = _ENTRY.unpack_from(self._entries, number * _ENTRY.size)
        oid, offset, stored, raw, checksum, codec, kind, bits, zero = found
        problem = find_length_problem(codec, raw, stored, bits)
        if problem or zero or offset < FIRST_RECORD or offset + stored > self.start:
            raise DamagedObjectError(f"footer: record of {oid.hex()}: {problem or 'its place'}")
        try:
            header = RecordHeader(Kind(kind), Codec(codec), raw, stored, checksum, Oid(oid), bits)
        except ValueError as error:
            raise DamagedObjectError(f"footer: record of {oid.hex()}: {error}") from error
        return PlacedRecord(offset, header)


def decode_footer(data: Buffer, start: int, count: int) -> Footer:
    """The footer that begins at ``start`` and has ``count`` records. DamagedObjectError."""
    if len(data) != find_footer_size(count):
        raise DamagedObjectError(f"footer: {len(data)} bytes for {count} records")
    magic, stated, zero = _HEAD.unpack_from(data)
    begins, digest = _END.unpack_from(data, len(data) - _END.size)
    if digest != xxh3_64_intdigest(memoryview(data)[:-8]):
        raise DamagedObjectError("footer: checksum")
    if (magic, stated, zero, begins) != (_MAGIC, count, 0, start):
        raise DamagedObjectError("footer: of another pack, or of another format")
    footer = Footer(data, start)
    ids = list(map(footer.get_id, range(count)))
    if not all(map(lt, ids, ids[1:])):
        raise DamagedObjectError("footer: not in the order of ids")
    return footer


def locate_footer(end: Buffer, length: int) -> tuple[int, int]:
    """Where a footer begins and how many records it has, from the last 16 bytes of a pack.

    Only ``decode_footer`` proves it. DamagedObjectError if there can be no footer.
    """
    begins, _ = _END.unpack(end)
    count, rest = divmod(length - begins - find_footer_size(0), _ENTRY.size)
    if rest or count < 0 or begins < PACK_HEADER_SIZE:
        raise DamagedObjectError("footer: the pack has none")
    return begins, count


def walk_records(data: Buffer, start: int, count: int) -> Footer:
    """The records that lie in ``data`` from ``start`` on without gaps, as in a line.

    Their headers are verified, not their stored bytes. DamagedObjectError.
    """
    view, found = memoryview(data), []
    for _ in range(count):
        header = decode_record_header(view[start : start + RECORD_HEADER_SIZE])
        record = PlacedRecord(start + RECORD_HEADER_SIZE, header)
        start = record.end
        if start > len(view):
            raise DamagedObjectError("the last record is cut short")
        found.append(record)
    try:
        return Footer(encode_footer(found, start), start)
    except ValueError as error:
        raise DamagedObjectError(str(error)) from error
