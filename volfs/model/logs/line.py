"""The bytes of one line of a log. Layout: docs/format.md, "A line".

What the body says is the business of the log that the line belongs to.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from blake3 import blake3

from volfs.errors import DamagedObjectError
from volfs.model.logs.whole_bytes import (
    CHECKSUM_SIZE,
    add_checksum,
    check_not_encrypted,
    check_whole,
)
from volfs.model.objects import Buffer
from volfs.model.pack import Record, iter_records

NONCE_SIZE = 16
DIGEST_SIZE = 32
LINE_HEADER_SIZE = 80
LINE_LIMIT = 16 << 20
"""The most bytes of a body and its records together."""
NO_LINE = bytes(DIGEST_SIZE)
"""The digest in line 0, which has no line before it."""

_MAGIC = b"VOLFSLN1"
_HEADER = struct.Struct("<8s16s32sQIIIHH")
_DIGESTED = 72
"""The part of the header that the digest covers. It is equal in the whole and the slim form."""
_SMALLEST = LINE_HEADER_SIZE + CHECKSUM_SIZE


class Line(NamedTuple):
    """One line of a log. ``encode_line`` says which values it may have."""

    nonce: bytes
    """Random bytes by which a writer knows its own line."""
    prev: bytes
    """The digest of the line before, or ``NO_LINE``."""
    era: int
    body: bytes
    records: Buffer = b""
    """Objects, each a record as in a pack."""
    removed: int = 0
    """The length of the records that the slim form has lost."""

    @property
    def is_slim(self) -> bool:
        """Whether the line had records and has none any more."""
        return self.removed > 0

    @property
    def written(self) -> int:
        """The length of the records that the line was written with."""
        return self.removed or len(self.records)

    @property
    def first_record(self) -> int:
        """Where in the bytes of the line its first record begins."""
        return LINE_HEADER_SIZE + len(self.body)


def encode_line(line: Line) -> bytes:
    """The bytes of a line. ValueError for a line that no reader would accept."""
    problem = _find_line_problem(line)
    if problem:
        raise ValueError(f"line: {problem}")
    return add_checksum((_encode_header(line), line.body, line.records))


def _find_line_problem(line: Line) -> str | None:
    if len(line.nonce) != NONCE_SIZE or len(line.prev) != DIGEST_SIZE:
        return f"nonce of {len(line.nonce)} bytes, digest of {len(line.prev)}"
    if line.records and line.removed:
        return "records in a slim line"
    if len(line.body) + line.written > LINE_LIMIT:
        return f"{len(line.body) + line.written} bytes, {LINE_LIMIT} is the limit"
    if not 0 <= line.era < 1 << 64 or line.removed < 0:
        return f"era {line.era}, {line.removed} bytes removed"
    return None


def _encode_header(line: Line) -> bytes:
    nonce, prev, era, body, records, _ = line
    return _HEADER.pack(_MAGIC, nonce, prev, era, len(body), line.written, len(records), 0, 0)


def decode_line(data: Buffer) -> Line:
    """Decode a line. Its records are a view of ``data``.

    DamagedObjectError for bytes that no volfs has written. UnsupportedFormatError for a line of a
    later version, or an encrypted one.
    """
    view = memoryview(data)
    check_whole(view, _MAGIC, _SMALLEST, "line")
    _, nonce, prev, era, body, written, here, key, reserved = _HEADER.unpack_from(view)
    check_not_encrypted(key, "line")
    if reserved or here not in (written, 0) or body + written > LINE_LIMIT:
        raise DamagedObjectError("line: impossible header")
    if len(view) != _SMALLEST + body + here:
        raise DamagedObjectError(f"line: {len(view)} bytes instead of {_SMALLEST + body + here}")
    first = LINE_HEADER_SIZE + body
    records = view[first : first + here]
    return Line(nonce, prev, era, bytes(view[LINE_HEADER_SIZE:first]), records, written - here)


def read_unproven(data: Buffer) -> tuple[Line, Buffer] | None:
    """What damaged bytes say of a line: its slim form, and the bytes of its records as far as they
    are there. None if they say nothing.

    Only the digest in the next line proves it.
    """
    view = memoryview(data)
    if len(view) < LINE_HEADER_SIZE:
        return None
    _, nonce, prev, era, body, written, _, _, _ = _HEADER.unpack_from(view)
    first = LINE_HEADER_SIZE + body
    if len(view) < first or body + written > LINE_LIMIT:
        return None
    line = Line(nonce, prev, era, bytes(view[LINE_HEADER_SIZE:first]), b"", written)
    return line, view[first : first + written]


def digest_line(line: Line) -> bytes:
    """The digest of a line, which the next line has as its ``prev``. The slim form has the same."""
    return blake3(_encode_header(line)[:_DIGESTED]).update(line.body).digest()


def make_slim(line: Line) -> Line:
    """The line without its records."""
    return line._replace(records=b"", removed=line.written)


def list_records(line: Line) -> list[Record]:
    """The records of a line. Their offsets count from its first record. DamagedObjectError if
    there is anything else among them."""
    view = memoryview(line.records)
    found = iter_records(lambda at, length: view[at : at + length], len(view), start=0)
    records = []
    for each in found:
        if not isinstance(each, Record):
            raise DamagedObjectError(f"line: record at {each.offset}: {each.problem}")
        records.append(each)
    return records
