"""Make the index say what the packs have. Steps: docs/format.md, "Repair".

This is safe beside everything except gc. A crash leaves a store that is no worse, and the next
repair goes on.
"""

from __future__ import annotations

from volfs.errors import DataError
from volfs.errors.fault_points import reached
from volfs.model.objects import Oid
from volfs.model.progress import Report, report_bytes
from volfs.store.clock import Steady
from volfs.store.contract.care import Damage, RepairReport
from volfs.store.elapsed import Wait
from volfs.store.embedded.care.caretaker import alone, lock_pack
from volfs.store.embedded.care.damage import list_unknown
from volfs.store.embedded.care.name_check import mend_name_log
from volfs.store.embedded.care.ref_repair import RefMender
from volfs.store.embedded.data.pack_files import list_files
from volfs.store.embedded.data.packs import Packs
from volfs.store.embedded.data.quarantine import Fate
from volfs.store.embedded.refs.refs import RefRows
from volfs.store.embedded.refs.tags import Tags
from volfs.store.packs.check import PROGRESS_STEP
from volfs.store.packs.entries import find_entry_problem, open_entry
from volfs.store.packs.local_index import ROWS_AT_ONCE
from volfs.store.packs.rows import IndexEntry, IndexRow, PackRow, decode_entry, place_found
from volfs.store.packs.scan import end_of_record, make_row, scan_pack


def repair(
    packs: Packs, refs: RefRows, tags: Tags, now_ns: int, steady: Steady, report: Report
) -> RepairReport:
    """Repair a store. ConflictError while gc runs."""
    with alone(packs.directory):
        packs.pool.release()
        mender = Mender(packs, refs, tags, now_ns, Wait(steady, now_ns, 0))
        mender.find_packs()
        mender.scan(report)
        mender.drop_entries()
        mender.rewrite_packs()
        mender.mend_refs()
        mender.mend_heads()
        mender.mend_name_log()
        return mender.report


class Mender:
    def __init__(self, packs: Packs, refs: RefRows, tags: Tags, now_ns: int, wait: Wait) -> None:
        self._packs = packs
        self._index = packs.index
        self._environment = packs.environment
        self._refs = refs
        self._tags = tags
        self._now_ns = now_ns
        self._wait = wait
        self._damaged: set[int] = set()
        """The ids of packs in which damage was found."""
        self.report = RepairReport()

    def _count(self, **more: int) -> None:
        counts = {name: getattr(self.report, name) + count for name, count in more.items()}
        self.report = self.report._replace(**counts)

    # --- packs without rows ----------------------------------------------

    def find_packs(self) -> None:
        self._remove_bad_rows()
        self._bring_back_what_is_named()
        for pack in list_unknown(self._packs, list_files(self._packs.directory)):
            row = make_row(self._packs.source, pack)
            with self._environment.write() as txn:
                self._index.adopt_pack(txn, row)
            self._count(found_packs=1)
            reached("repair.found")

    def _remove_bad_rows(self) -> None:
        with self._environment.write() as txn:
            for pack in self._index.list_pack_ids(txn):
                if self._index.find_readable_pack(txn, pack) is None:
                    self._index.remove_pack(txn, pack)
            rows = self._index.quarantine.mend(txn)
            counters = self._index.mend_counters(txn)
        self._count(mended_counters=counters, mended_rows=rows)

    def _bring_back_what_is_named(self) -> None:
        """Bring back packs in quarantine that an entry names: such a pack should not be there."""
        named = set()
        for oid, row in self._index.iter_rows():
            try:
                named.add(decode_entry(oid, row).pack)
            except DataError:
                continue
        quarantine = self._index.quarantine
        with self._environment.write() as txn:
            for quarantined in quarantine.list_packs(txn):
                if quarantined.pack in named and quarantined.fate != Fate.DOOMED:
                    quarantine.bring_back(txn, quarantined)
                    self._count(found_packs=1)

    # --- objects ---------------------------------------------------------

    def scan(self, report: Report) -> None:
        """Index objects that have no index entry, or one that leads to nothing readable."""
        rows = self._index.list_packs()
        total, done, reported = sum(row.durable for row in rows), 0, 0
        for row in rows:
            found: list[tuple[Oid, IndexEntry]] = []
            for item in scan_pack(self._packs.source, row, read_data=True):
                if isinstance(item, Damage):
                    self._damaged.add(row.pack)
                    continue
                found.append((item.header.oid, place_found(row.pack, item)))
                if len(found) == ROWS_AT_ONCE:
                    self._index_found(found)
                    found = []
                if done + end_of_record(item) - reported >= PROGRESS_STEP:
                    reported = done + end_of_record(item)
                    report_bytes(report, reported, total)
            self._index_found(found)
            done += row.durable
        report_bytes(report, total, total)

    def _index_found(self, found: list[tuple[Oid, IndexEntry]]) -> None:
        with self._environment.read() as txn:
            rows = [self._index.find_row(txn, oid) for oid, _ in found]
        wanted = [
            (oid, row, entry)
            for (oid, entry), row in zip(found, rows, strict=True)
            if row is None or not self._leads_somewhere(oid, row, entry)
        ]
        if wanted:
            with self._environment.write() as txn:
                done = [self._index.replace_entry(txn, *item) for item in wanted]
            self._count(indexed_objects=sum(done))
            reached("repair.indexed")

    def _leads_somewhere(self, oid: Oid, row: bytes, here: IndexEntry) -> bool:
        try:
            entry = decode_entry(oid, row)
            if entry != here:
                # The entry's pack must be indexed, too, because gc may remove any other pack.
                if self._index.find_pack(entry.pack) is None:
                    return False
                open_entry(self._packs.source, oid, entry)
        except DataError:
            return False
        return True

    def drop_entries(self) -> None:
        """Drop entries that lead to nothing readable, after everything readable was indexed."""
        packs = {row.pack: row for row in self._index.list_packs()}
        wrong: list[IndexRow] = []
        for oid, row in self._index.iter_rows():
            if not self._is_sound(oid, row, packs):
                wrong.append((oid, row))
        for at in range(0, len(wrong), ROWS_AT_ONCE):
            with self._environment.write() as txn:
                for oid, row in wrong[at : at + ROWS_AT_ONCE]:
                    if self._index.replace_entry(txn, oid, row, None):
                        self._index.quarantine.note_lost(txn, oid)
                        self._count(lost_objects=1)
            reached("repair.dropped")

    def _is_sound(self, oid: Oid, row: bytes, packs: dict[int, PackRow]) -> bool:
        """Whether an entry leads to its object. The record is read again only if its pack is
        damaged or the entry looks wrong, because all other records were right."""
        try:
            entry = decode_entry(oid, row)
            if self._index.find_pack(entry.pack) is None:
                return False
            if entry.pack in self._damaged or find_entry_problem(
                self._index, self._packs.source, oid, row, packs
            ):
                # A record in which only the header is damaged can be read.
                open_entry(self._packs.source, oid, entry)
        except DataError:
            return False
        return True

    # --- damaged packs ---------------------------------------------------

    def rewrite_packs(self) -> None:
        rows = self._index.read_rows(self._damaged)
        for pack in sorted(self._damaged):
            row = self._index.find_pack(pack)
            locked = row and lock_pack(self._packs, pack, row.durable)
            if not locked:
                self._count(busy_packs=1)
                continue
            try:
                self._rewrite(pack, rows[pack])
            finally:
                locked.close()

    def _rewrite(self, pack: int, rows: list[IndexRow]) -> None:
        index, quarantine = self._index, self._index.quarantine
        is_gone = pack not in list_files(self._packs.directory)
        with self._packs.open_copier() as copier:
            moved = [copier.copy(oid, row) for oid, row in rows]
            copier.sync()
            reached("repair.durable")
            with self._environment.write() as txn:
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
        """Mend rows of refs from manifests, which can all be found by now, and from each other."""
        mender = RefMender(self._packs, self._refs)
        with self._environment.write() as txn:
            rows = mender.mend(txn)
            rows += self._refs.mend_names(txn) + self._tags.mend(txn)
        self._count(mended_rows=rows)

    def mend_heads(self) -> None:
        mended = self._refs.mend_heads()
        self._count(mended_heads=mended)

    def mend_name_log(self) -> None:
        """Mend the name log. This comes last, because the log is made from rows that are mended by
        now, some of them from the log."""
        mended = mend_name_log(self._packs, self._refs)
        self._count(mended_names=mended)
