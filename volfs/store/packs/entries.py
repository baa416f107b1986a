"""Index entries, compared with the records that they name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from volfs.errors import DataError
from volfs.model.objects import Buffer, Oid
from volfs.model.pack import RECORD_HEADER_SIZE, decode_record_header
from volfs.store.contract.care import Damage
from volfs.store.packs.local_index import LocalIndex
from volfs.store.packs.reader import open_record
from volfs.store.packs.rows import IndexEntry, PackRow, decode_entry
from volfs.store.packs.source import PackSource


class Opened(NamedTuple):
    stored: Buffer
    data: Buffer


def open_entry(packs: PackSource, oid: Oid, entry: IndexEntry) -> Opened:
    """The record at an indexed place, verified. DataError if it is not the object's record."""
    start, length = entry.offset - RECORD_HEADER_SIZE, RECORD_HEADER_SIZE + entry.stored
    try:
        record = memoryview(packs.read_at(entry.pack, start, length))
        data = open_record(oid, entry, record)
    except DataError as error:
        raise type(error)(f"{entry.where(oid)}: {error}") from error
    return Opened(record[RECORD_HEADER_SIZE:], data)


def iter_entry_damage(
    index: LocalIndex, packs: PackSource, rows: dict[int, PackRow]
) -> Iterator[Damage]:
    """Yield what is wrong with index entries. ``rows`` are the rows of packs, as of a moment
    ago."""
    for oid, encoded in index.iter_rows():
        problem = find_entry_problem(index, packs, oid, encoded, rows)
        # gc may have moved the object since the entry was read.
        if problem and index.has_row(oid, encoded):
            yield Damage(oid, f"index entry {oid.hex()}", problem)


def find_entry_problem(
    index: LocalIndex, packs: PackSource, oid: Oid, encoded: bytes, rows: dict[int, PackRow]
) -> str | None:
    """What is wrong with an index entry, or with the header of the record that it names; or
    None."""
    try:
        entry = decode_entry(oid, encoded)
        row = rows.get(entry.pack)
        if row is None or entry.offset + entry.stored > row.durable:
            # The record may have been published since the rows were listed.
            row = index.find_pack(entry.pack)
        if row is None:
            return f"names pack {entry.pack}, which the index does not know"
        if entry.offset + entry.stored > row.durable:
            return f"ends after the {row.durable} durable bytes of pack {entry.pack}"
        start = entry.offset - RECORD_HEADER_SIZE
        header = decode_record_header(packs.read_at(entry.pack, start, RECORD_HEADER_SIZE))
        if header != entry.header(oid):
            return f"another record is in pack {entry.pack} at {start}"
        if packs.get_size(entry.pack) < entry.offset + entry.stored:
            return f"ends after the end of pack {entry.pack}"
    except DataError as error:
        return str(error)
    return None
