"""Verify a store: every stored byte, then every row of the index that names one."""

from __future__ import annotations

from collections.abc import Iterator

from volfs.errors import DamagedObjectError, DataError
from volfs.model.objects import Kind, Oid, compute_oid
from volfs.model.pack import (
    PACK_HEADER_SIZE,
    RECORD_HEADER_SIZE,
    Gap,
    PackKind,
    Record,
    decode_pack_header,
    decode_record_header,
    iter_records,
    pack_kind,
)
from volfs.store.checked_lmdb.whole_tables import iter_damaged_rows
from volfs.store.contract.care import CheckProgress, Damage
from volfs.store.embedded.care.caretaker import Parts
from volfs.store.embedded.care.name_check import list_name_damage
from volfs.store.embedded.data.pack_files import PackReader, list_files, pack_path
from volfs.store.embedded.refs.refs import TAGS
from volfs.store.packs.codec import unpack_object
from volfs.store.packs.rows import PackRow, decode_entry

PROGRESS_STEP = 16 << 20


def iter_damage(parts: Parts, read_data: bool) -> Iterator[Damage | CheckProgress]:
    """Everything wrong up to each pack's durable length. Holds no lock and no transaction.

    What no index entry names is checked too but need not be there; what lies
    after the durable length is somebody's unfinished upload and not looked at.
    """
    yield from _iter_environment(parts)
    try:
        yield from _iter_content(parts, read_data)
    except DamagedObjectError as error:
        yield Damage(None, "index", f"the rest was not looked at: {error}")
    yield from list_name_damage(parts)


def _iter_content(parts: Parts, read_data: bool) -> Iterator[Damage | CheckProgress]:
    files = list_files(parts.directory)
    rows = parts.index.list_readable_packs()
    total, done, reported = sum(row.durable for row in rows), 0, 0
    for row in rows:
        for item in scan_pack(parts.packs, row, read_data=read_data):
            if isinstance(item, Damage):
                # Deleted by gc since the packs were listed, perhaps.
                if parts.index.find_pack(row.pack) is not None:
                    yield item
            elif done + end_of(item) - reported >= PROGRESS_STEP:
                reported = done + end_of(item)
                yield CheckProgress(reported, total)
        done += row.durable
    yield from _iter_unknown(parts, files)
    yield from _iter_index(parts, {row.pack: row for row in rows})
    yield from _iter_refs(parts)
    yield CheckProgress(total, total)


def end_of(record: Record) -> int:
    return record.offset + RECORD_HEADER_SIZE + record.header.stored


# --- packs ------------------------------------------------------------------


def scan_pack(packs: PackReader, row: PackRow, *, read_data: bool) -> Iterator[Damage | Record]:
    """The damage of one pack, and its records that are right."""
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


def scan_records(packs: PackReader, pack: int, size: int) -> Iterator[Record | Gap]:
    def read_at(offset: int, length: int) -> bytes:
        try:
            return packs.read_at(pack, offset, length)
        except DamagedObjectError:
            # A sector the disk cannot read: zeros fail every checksum, and the scan goes on.
            return bytes(length)

    return iter_records(read_at, size)


def _find_header_problem(packs: PackReader, row: PackRow) -> str | None:
    try:
        kind = decode_pack_header(packs.read_at(row.pack, 0, PACK_HEADER_SIZE)).kind
    except DataError as error:
        return str(error)
    return None if kind is row.kind else f"a pack of kind {kind.name}, {row.kind.name} is indexed"


def find_record_problem(kind: PackKind, record: Record, read_data: bool) -> str | None:
    """What is wrong with a record whose checksum is right, in a pack of a kind."""
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


def list_unknown(parts: Parts, files: list[int]) -> list[int]:
    """Of pack files that were there a moment ago, those of which the index has no row.

    A row is made before its file and removed after it.
    """
    with parts.environment.read() as txn:
        known = set(parts.index.list_pack_ids(txn))
        known |= {item.pack for item in parts.index.quarantine.list_packs(txn)}
    return [p for p in files if p not in known and pack_path(parts.directory, p).exists()]


def _iter_unknown(parts: Parts, files: list[int]) -> Iterator[Damage]:
    for pack in list_unknown(parts, files):
        yield Damage(None, f"pack {pack}", "the index does not know this file")


# --- index and refs ---------------------------------------------------------


def _iter_environment(parts: Parts) -> Iterator[Damage]:
    for problem in parts.environment.find_problems():
        yield Damage(None, "index", problem)
    for table, problem in iter_damaged_rows(parts.environment):
        yield Damage(None, f"table {table.decode()}", f"{problem}; {_find_remedy(table)}")


def _find_remedy(table: bytes) -> str:
    """What mends a damaged row of a table."""
    if table == TAGS:
        return (
            "`volfs check --repair` mends it if names.log has it; else what it named is lost: "
            "`volfs tag --force` names a version again, `volfs tag --delete` takes it away"
        )
    if table in (b"volumes", b"versions"):
        return (
            "`volfs check --repair` makes it again if that can be told for certain; "
            "else `volfs rebuild-index` does, from manifests"
        )
    return "`volfs check --repair` mends it"


def _iter_index(parts: Parts, rows: dict[int, PackRow]) -> Iterator[Damage]:
    for oid, encoded in parts.index.iter_rows():
        problem = find_entry_problem(parts, oid, encoded, rows)
        # Moved by gc since it was read, perhaps.
        if problem and parts.index.has_row(oid, encoded):
            yield Damage(oid, f"index entry {oid.hex()}", problem)


def find_entry_problem(
    parts: Parts, oid: Oid, encoded: bytes, rows: dict[int, PackRow]
) -> str | None:
    """What is wrong with an index entry, or with the header of the record it names."""
    try:
        entry = decode_entry(oid, encoded)
        row = rows.get(entry.pack)
        if row is None or entry.offset + entry.stored > row.durable:
            # Published since the rows were listed, perhaps.
            row = parts.index.find_pack(entry.pack)
        if row is None:
            return f"names pack {entry.pack}, which the index does not know"
        if entry.offset + entry.stored > row.durable:
            return f"ends after the {row.durable} durable bytes of pack {entry.pack}"
        start = entry.offset - RECORD_HEADER_SIZE
        header = decode_record_header(parts.packs.read_at(entry.pack, start, RECORD_HEADER_SIZE))
        if header != entry.header(oid):
            return f"another record is in pack {entry.pack} at {start}"
        if parts.packs.get_size(entry.pack) < entry.offset + entry.stored:
            return f"ends after the end of pack {entry.pack}"
    except DataError as error:
        return str(error)
    return None


def _iter_refs(parts: Parts) -> Iterator[Damage]:
    for record in parts.refs.list_volumes():
        for version, manifest in parts.refs.iter_versions(record.id):
            # What a repair found to be lost is no damage of the store any more.
            if not parts.index.contains(manifest) and not parts.index.is_lost(manifest):
                where = f"version {version} of volume {record.full_name}"
                yield Damage(manifest, where, "its manifest is not in the index")
    for volume_id in parts.refs.list_headless():
        yield Damage(None, f"volume {volume_id}", "its head is not the newest version")
