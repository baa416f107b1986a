"""Verify a store: every stored byte, then every row of the index that names one."""

from __future__ import annotations

from collections.abc import Iterator

from volfs.errors import DamagedObjectError, DataError
from volfs.model.objects import Oid, compute_oid
from volfs.model.pack import (
    PACK_HEADER_SIZE,
    RECORD_HEADER_SIZE,
    Gap,
    Record,
    decode_pack_header,
    decode_record_header,
    iter_records,
    pack_kind,
)
from volfs.store.base import CheckProgress, Damage
from volfs.store.codec import decompress
from volfs.store.embedded.index import Index, PackRow, decode_entry
from volfs.store.embedded.packs import PackReader
from volfs.store.embedded.refs import Refs

PROGRESS_STEP = 16 << 20


def iter_damage(index: Index, refs: Refs, packs: PackReader) -> Iterator[Damage | CheckProgress]:
    """Everything wrong up to each pack's durable length. Holds no lock and no transaction.

    What no index entry names is checked too but need not be there; what lies
    after the durable length is somebody's unfinished upload and not looked at.
    """
    rows = index.list_packs()
    total, done, reported = sum(row.durable for row in rows), 0, 0
    for row in rows:
        for item in _iter_pack(packs, row):
            if isinstance(item, Damage):
                yield item
            elif done + item - reported >= PROGRESS_STEP:
                reported = done + item
                yield CheckProgress(reported, total)
        done += row.durable
    yield from _iter_index(index, packs, {row.pack: row for row in rows})
    yield from _iter_refs(index, refs)
    yield CheckProgress(total, total)


def _iter_pack(packs: PackReader, row: PackRow) -> Iterator[Damage | int]:
    """The damage of one pack, and after each record how far it got."""
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
    yield from _iter_pack_records(packs, row, min(size, row.durable))


def _find_header_problem(packs: PackReader, row: PackRow) -> str | None:
    try:
        kind = decode_pack_header(packs.read_at(row.pack, 0, PACK_HEADER_SIZE))
    except DataError as error:
        return str(error)
    return None if kind is row.kind else f"a pack of kind {kind.name}, {row.kind.name} is indexed"


def _iter_pack_records(packs: PackReader, row: PackRow, size: int) -> Iterator[Damage | int]:
    def read_at(offset: int, length: int) -> bytes:
        try:
            return packs.read_at(row.pack, offset, length)
        except DamagedObjectError:
            # A sector the disk cannot read: zeros fail every checksum, and the scan goes on.
            return bytes(length)

    for item in iter_records(read_at, size):
        if isinstance(item, Gap):
            yield _in_pack(row, item.offset, item.oid, f"{item.length} bytes: {item.problem}")
            continue
        problem = _find_record_problem(row, item)
        if problem:
            yield _in_pack(row, item.offset, item.header.oid, problem)
        yield item.offset + RECORD_HEADER_SIZE + item.header.stored


def _find_record_problem(row: PackRow, record: Record) -> str | None:
    header = record.header
    if pack_kind(header.kind) is not row.kind:
        return f"an object of kind {header.kind.name} in a pack of kind {row.kind.name}"
    try:
        data = decompress(header.codec, record.stored, header.raw)
    except DataError as error:
        return str(error)
    return None if compute_oid(header.kind, data) == header.oid else "the bytes give another id"


def _in_pack(row: PackRow, offset: int, oid: Oid | None, problem: str) -> Damage:
    return Damage(oid, f"pack {row.pack} at {offset}", problem)


def _iter_index(index: Index, packs: PackReader, rows: dict[int, PackRow]) -> Iterator[Damage]:
    for oid, encoded in index.iter_rows():
        problem = _find_entry_problem(oid, encoded, index, packs, rows)
        if problem:
            yield Damage(oid, f"index entry {oid.hex()}", problem)


def _find_entry_problem(
    oid: Oid, encoded: bytes, index: Index, packs: PackReader, rows: dict[int, PackRow]
) -> str | None:
    try:
        entry = decode_entry(oid, encoded)
        row = rows.get(entry.pack)
        if row is None or entry.offset + entry.stored > row.durable:
            # Published since the rows were listed, perhaps.
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


def _iter_refs(index: Index, refs: Refs) -> Iterator[Damage]:
    for record in refs.list_volumes():
        for version, manifest in refs.iter_versions(record.id):
            if not index.contains(manifest):
                where = f"version {version} of volume {record.name}"
                yield Damage(manifest, where, "its manifest is not in the index")
