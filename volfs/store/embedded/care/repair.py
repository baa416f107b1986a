"""Make the index say what the packs have. Steps: docs/format.md, "Repair".

Safe beside everything but gc; a crash leaves a store that is no worse, and the
next repair goes on.
"""

from __future__ import annotations

from collections.abc import Iterator

from volfs.errors import DataError
from volfs.errors.fault_points import reached
from volfs.model.objects import Oid
from volfs.model.pack import (
    PACK_HEADER_SIZE,
    RECORD_HEADER_SIZE,
    PackKind,
    Record,
    decode_pack_header,
    pack_kind,
)
from volfs.store.clock import Steady
from volfs.store.contract.care import CheckProgress, Damage, RepairReport
from volfs.store.elapsed import Wait
from volfs.store.embedded.care.caretaker import (
    ROWS_AT_ONCE,
    Copier,
    Parts,
    Row,
    alone,
    hold_pack,
    open_entry,
    read_rows,
)
from volfs.store.embedded.care.damage import (
    PROGRESS_STEP,
    end_of,
    find_entry_problem,
    list_unknown,
    scan_pack,
    scan_records,
)
from volfs.store.embedded.care.name_check import mend_name_log
from volfs.store.embedded.care.ref_repair import RefMender
from volfs.store.embedded.data.pack_files import PackReader, list_files
from volfs.store.embedded.data.quarantine import Fate
from volfs.store.packs.rows import IndexEntry, PackRow, decode_entry, place_record


def repair(parts: Parts, now_ns: int, steady: Steady) -> Iterator[CheckProgress | RepairReport]:
    """Repair; ends with the report. ConflictError while gc runs."""
    with alone(parts.directory):
        parts.pool.release()
        mender = Mender(parts, now_ns, Wait(steady, now_ns, 0))
        mender.find_packs()
        yield from mender.scan()
        mender.drop_entries()
        mender.rewrite_packs()
        mender.mend_refs()
        mender.mend_heads()
        mender.mend_name_log()
        yield mender.report


def entry_of(pack: int, record: Record) -> IndexEntry:
    """Where a record that was found is."""
    return place_record(record.header, pack, record.offset + RECORD_HEADER_SIZE)


def make_row(parts: Parts, pack: int) -> PackRow:
    """The row of a pack file, from its content: durable up to its last valid record."""
    size = parts.packs.get_size(pack)
    kind, durable = find_kind(parts.packs, pack), 0
    for item in scan_records(parts.packs, pack, size):
        if isinstance(item, Record):
            kind, durable = kind or pack_kind(item.header.kind), end_of(item)
    if not durable and size > PACK_HEADER_SIZE:
        # Nothing is known of these bytes: not so little that they may be cut off.
        durable = size
    return PackRow(pack, kind or PackKind.DATA, durable)


def find_kind(packs: PackReader, pack: int) -> PackKind | None:
    try:
        return decode_pack_header(packs.read_at(pack, 0, PACK_HEADER_SIZE)).kind
    except DataError:
        return None


class Mender:
    def __init__(self, parts: Parts, now_ns: int, wait: Wait) -> None:
        self._parts = parts
        self._now_ns = now_ns
        self._wait = wait
        self._damaged: set[int] = set()
        """Packs."""
        self.report = RepairReport()

    def _count(self, **more: int) -> None:
        counts = {name: getattr(self.report, name) + count for name, count in more.items()}
        self.report = self.report._replace(**counts)

    # --- packs without rows ----------------------------------------------

    def find_packs(self) -> None:
        self._remove_bad_rows()
        self._bring_back_what_is_named()
        for pack in list_unknown(self._parts, list_files(self._parts.directory)):
            row = make_row(self._parts, pack)
            with self._parts.environment.write() as txn:
                self._parts.index.adopt_pack(txn, row)
            self._count(found_packs=1)
            reached("repair.found")

    def _remove_bad_rows(self) -> None:
        with self._parts.environment.write() as txn:
            for pack in self._parts.index.list_pack_ids(txn):
                if self._parts.index.find_readable_pack(txn, pack) is None:
                    self._parts.index.remove_pack(txn, pack)
            rows = self._parts.index.quarantine.mend(txn)
            counters = self._parts.index.mend_counters(txn)
        self._count(mended_counters=counters, mended_rows=rows)

    def _bring_back_what_is_named(self) -> None:
        """No entry may name a pack in quarantine; if one does, it is wrong there."""
        named = set()
        for oid, row in self._parts.index.iter_rows():
            try:
                named.add(decode_entry(oid, row).pack)
            except DataError:
                continue
        quarantine = self._parts.index.quarantine
        with self._parts.environment.write() as txn:
            for quarantined in quarantine.list_packs(txn):
                if quarantined.pack in named and quarantined.fate != Fate.DOOMED:
                    quarantine.bring_back(txn, quarantined)
                    self._count(found_packs=1)

    # --- objects ---------------------------------------------------------

    def scan(self) -> Iterator[CheckProgress]:
        """Index what is not, or is where it cannot be read."""
        rows = self._parts.index.list_packs()
        total, done, reported = sum(row.durable for row in rows), 0, 0
        for row in rows:
            found: list[tuple[Oid, IndexEntry]] = []
            for item in scan_pack(self._parts.packs, row, read_data=True):
                if isinstance(item, Damage):
                    self._damaged.add(row.pack)
                    continue
                found.append((item.header.oid, entry_of(row.pack, item)))
                if len(found) == ROWS_AT_ONCE:
                    self._index(found)
                    found = []
                if done + end_of(item) - reported >= PROGRESS_STEP:
                    reported = done + end_of(item)
                    yield CheckProgress(reported, total)
            self._index(found)
            done += row.durable
        yield CheckProgress(total, total)

    def _index(self, found: list[tuple[Oid, IndexEntry]]) -> None:
        with self._parts.environment.read() as txn:
            rows = [self._parts.index.find_row(txn, oid) for oid, _ in found]
        wanted = [
            (oid, row, entry)
            for (oid, entry), row in zip(found, rows, strict=True)
            if row is None or not self._leads_somewhere(oid, row, entry)
        ]
        if wanted:
            with self._parts.environment.write() as txn:
                done = [self._parts.index.replace_entry(txn, *item) for item in wanted]
            self._count(indexed_objects=sum(done))
            reached("repair.indexed")

    def _leads_somewhere(self, oid: Oid, row: bytes, here: IndexEntry) -> bool:
        try:
            entry = decode_entry(oid, row)
            if entry != here:
                # Of an indexed pack, too: what gc may remove is as good as gone.
                if self._parts.index.find_pack(entry.pack) is None:
                    return False
                open_entry(self._parts, oid, entry)
        except DataError:
            return False
        return True

    def drop_entries(self) -> None:
        """Those that lead to nothing readable, after all that is readable was indexed."""
        packs = {row.pack: row for row in self._parts.index.list_packs()}
        wrong: list[Row] = []
        for oid, row in self._parts.index.iter_rows():
            if not self._is_sound(oid, row, packs):
                wrong.append((oid, row))
        for at in range(0, len(wrong), ROWS_AT_ONCE):
            with self._parts.environment.write() as txn:
                for oid, row in wrong[at : at + ROWS_AT_ONCE]:
                    if self._parts.index.replace_entry(txn, oid, row, None):
                        self._parts.index.quarantine.note_lost(txn, oid)
                        self._count(lost_objects=1)
            reached("repair.dropped")

    def _is_sound(self, oid: Oid, row: bytes, packs: dict[int, PackRow]) -> bool:
        """Only in damaged packs the record is read again; elsewhere all were right."""
        try:
            entry = decode_entry(oid, row)
            if self._parts.index.find_pack(entry.pack) is None:
                return False
            if entry.pack in self._damaged or find_entry_problem(self._parts, oid, row, packs):
                # A record whose header alone is damaged can be read.
                open_entry(self._parts, oid, entry)
        except DataError:
            return False
        return True

    # --- damaged packs ---------------------------------------------------

    def rewrite_packs(self) -> None:
        rows = read_rows(self._parts, self._damaged)
        for pack in sorted(self._damaged):
            row = self._parts.index.find_pack(pack)
            held = row and hold_pack(self._parts, pack, row.durable)
            if not held:
                self._count(busy_packs=1)
                continue
            try:
                self._rewrite(pack, rows[pack])
            finally:
                held.close()

    def _rewrite(self, pack: int, rows: list[Row]) -> None:
        index, quarantine = self._parts.index, self._parts.index.quarantine
        is_gone = pack not in list_files(self._parts.directory)
        with Copier(self._parts) as copier:
            moved = [copier.copy(oid, row) for oid, row in rows]
            copier.sync()
            reached("repair.durable")
            with self._parts.environment.write() as txn:
                for item in moved:
                    index.replace_entry(txn, *item)
                copier.extend(txn)
                if is_gone:
                    index.remove_pack(txn, pack)
                else:
                    quarantine.put_aside(txn, pack, self._now_ns, Fate.DAMAGED, self._wait)
            reached("repair.rewritten")
            copier.settle()
        self._count(**{"forgotten_packs" if is_gone else "rewritten_packs": 1})

    # --- refs ------------------------------------------------------------

    def mend_refs(self) -> None:
        """From manifests, which can be found by now, and from each other."""
        mender = RefMender(self._parts)
        with self._parts.environment.write() as txn:
            rows = mender.mend(txn)
            rows += self._parts.refs.mend_names(txn) + self._parts.tags.mend(txn)
        self._count(mended_rows=rows)

    def mend_heads(self) -> None:
        mended = self._parts.refs.mend_heads()
        self._count(mended_heads=mended)

    def mend_name_log(self) -> None:
        """Last, when the rows are mended that it is made from; some of these from it."""
        mended = mend_name_log(self._parts)
        self._count(mended_names=mended)
