"""The records in packs, found without an index, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Iterator

from volfs.errors import DamagedObjectError, DataError
from volfs.model.objects import Kind, Oid, compute_oid
from volfs.model.pack import (
    PACK_HEADER_SIZE,
    PACK_VERSION,
    RECORD_HEADER_SIZE,
    Gap,
    PackKind,
    Record,
    decode_pack_header,
    iter_records,
    pack_kind,
)
from volfs.store.contract.care import Damage
from volfs.store.packs.codec import unpack_object
from volfs.store.packs.rows import PackRow
from volfs.store.packs.source import PackSource


def end_of_record(record: Record) -> int:
    return record.offset + RECORD_HEADER_SIZE + record.header.stored


def scan_pack(packs: PackSource, row: PackRow, *, read_data: bool) -> Iterator[Damage | Record]:
    """Yield the damage of one pack, and its valid records."""
    if row.durable == 0:
        return
    try:
        size = packs.get_size(row.pack)
    except DataError as error:
        yield _in_pack(row, 0, None, str(error))
        return
    if size < row.durable:
        yield _in_pack(row, size, None, f"cut short: {row.durable} bytes were durable")
    problem = _find_header_problem(packs, row)
    if problem:
        yield _in_pack(row, 0, None, problem)
    for item in scan_records(packs, row.pack, min(size, row.durable)):
        if isinstance(item, Gap):
            yield _in_pack(row, item.offset, item.oid, f"{item.length} bytes: {item.problem}")
            continue
        problem = find_record_problem(row.kind, item, read_data)
        yield _in_pack(row, item.offset, item.header.oid, problem) if problem else item


def scan_records(
    packs: PackSource, pack: int, size: int, start: int = PACK_HEADER_SIZE
) -> Iterator[Record | Gap]:
    def read_at(offset: int, length: int) -> bytes:
        try:
            return packs.read_at(pack, offset, length)
        except DamagedObjectError:
            # The disk cannot read a sector here. Zeros fail every checksum, and the scan goes on.
            return bytes(length)

    return iter_records(read_at, size, start)


def _find_header_problem(packs: PackSource, row: PackRow) -> str | None:
    try:
        kind = decode_pack_header(packs.read_at(row.pack, 0, PACK_HEADER_SIZE)).kind
    except DataError as error:
        return str(error)
    return None if kind is row.kind else f"a pack of kind {kind.name}, {row.kind.name} is indexed"


def find_record_problem(kind: PackKind, record: Record, read_data: bool) -> str | None:
    """What is wrong with a record whose checksum is right, in a pack of this kind; or None."""
    header = record.header
    if pack_kind(header.kind) is not kind:
        return f"an object of kind {header.kind.name} in a pack of kind {kind.name}"
    if header.kind is Kind.CHUNK and not read_data:
        return None
    try:
        data = unpack_object(header, record.stored)
    except DataError as error:
        return str(error)
    return None if compute_oid(header.kind, data) == header.oid else "the bytes give another id"


def _in_pack(row: PackRow, offset: int, oid: Oid | None, problem: str) -> Damage:
    return Damage(oid, f"pack {row.pack} at {offset}", problem)


def make_row(packs: PackSource, pack: int) -> PackRow:
    """The row of a pack file, from its content: the pack is durable up to its last valid
    record."""
    size = packs.get_size(pack)
    kind, durable = find_kind(packs, pack), 0
    for item in scan_records(packs, pack, size):
        if isinstance(item, Record):
            kind, durable = kind or pack_kind(item.header.kind), end_of_record(item)
    if not durable and size > PACK_HEADER_SIZE:
        # Nothing is known of these bytes, so none of them may be cut off.
        durable = size
    return PackRow(pack, kind or PackKind.DATA, durable)


def find_kind(packs: PackSource, pack: int) -> PackKind | None:
    try:
        return decode_pack_header(packs.read_at(pack, 0, PACK_HEADER_SIZE)).kind
    except DataError:
        return None


def is_former_pack(packs: PackSource, pack: int) -> bool:
    """Whether a former volfs made the pack. An unreadable pack counts as no: a check reports
    it."""
    try:
        header = decode_pack_header(packs.read_at(pack, 0, PACK_HEADER_SIZE))
    except DataError:
        return False
    return header.version < PACK_VERSION
