"""Index entries made from packs alone, for an index that is rebuilt."""

from __future__ import annotations

from collections.abc import Mapping

from volfs.model.objects import Oid
from volfs.model.pack import PACK_HEADER_SIZE, Gap, PackKind, Record, pack_kind
from volfs.model.progress import Report, report_bytes
from volfs.store.packs.local_index import ROWS_AT_ONCE, LocalIndex
from volfs.store.packs.rows import IndexEntry, PackRow, place_found
from volfs.store.packs.scan import end_of_record, find_kind, find_record_problem, scan_records
from volfs.store.packs.source import PackSource


class Rebuilder:
    """Scans whole packs, and adds every valid record to an index that has none of them."""

    def __init__(self, index: LocalIndex, packs: PackSource, known: Mapping[int, PackRow]) -> None:
        self._index = index
        self._packs = packs
        self._known = known
        """Pack rows of the former index."""
        self.packs = 0
        self.objects = 0
        self.bytes = 0
        self.damaged_packs = 0

    def run(self, packs: list[int], report: Report) -> None:
        """Index what is in these packs."""
        total = sum(self._packs.get_size(pack) for pack in packs)
        for pack in packs:
            self._add_pack(pack)
            report_bytes(report, min(self.bytes, total), total)
        with self._index.environment.write() as txn:
            for pack in self._known.keys() - set(packs):
                # The file of the pack is gone, or was not made yet.
                self._index.adopt_pack(txn, self._known[pack])

    def _add_pack(self, pack: int) -> None:
        known = self._known.get(pack)
        size = self._packs.get_size(pack)
        kind, end, is_damaged = find_kind(self._packs, pack), 0, False
        batch: list[tuple[Oid, IndexEntry]] = []
        for item in scan_records(self._packs, pack, min(size, known.durable) if known else size):
            if isinstance(item, Gap):
                is_damaged |= known is not None or not item.torn
            elif not find_record_problem(kind or pack_kind(item.header.kind), item, True):
                kind, end = kind or pack_kind(item.header.kind), end_of_record(item)
                self._add(batch, pack, item)
        row = known or PackRow(pack, kind or PackKind.DATA, end or _whole(size))
        self._put(batch, row)
        self.packs += 1
        self.bytes += size
        self.damaged_packs += is_damaged

    def _add(self, batch: list[tuple[Oid, IndexEntry]], pack: int, record: Record) -> None:
        batch.append((record.header.oid, place_found(pack, record)))
        if len(batch) == ROWS_AT_ONCE:
            self._put(batch, None)

    def _put(self, batch: list[tuple[Oid, IndexEntry]], row: PackRow | None) -> None:
        with self._index.environment.write() as txn:
            for oid, entry in batch:
                self.objects += self._index.replace_entry(txn, oid, None, entry)
            if row is not None:
                self._index.adopt_pack(txn, row)
        batch.clear()


def _whole(size: int) -> int:
    """The durable length of a pack in which no record is valid: all of it, so that nobody cuts
    it."""
    return size if size > PACK_HEADER_SIZE else 0
