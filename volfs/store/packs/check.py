"""The check of packs: every stored byte is read and verified."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from volfs.errors import DataError
from volfs.model.progress import Report, report_bytes
from volfs.store.contract.care import Damage
from volfs.store.packs.local_index import LocalIndex
from volfs.store.packs.rows import PackRow
from volfs.store.packs.scan import end_of_record, scan_pack
from volfs.store.packs.source import PackSource

PROGRESS_STEP = 16 << 20
CheckPacks = Callable[[LocalIndex, PackSource, list[PackRow], Report], Iterator[Damage]]


def check_lengths(
    index: LocalIndex, packs: PackSource, rows: list[PackRow], report: Report
) -> Iterator[Damage]:
    """Yield which packs are gone, or shorter than their durable length. No record is read."""
    for row in rows:
        try:
            size = packs.get_size(row.pack) if row.durable else 0
            problem = f"cut short: {row.durable} bytes were durable" if size < row.durable else ""
        except DataError as error:
            problem = str(error)
        if problem and index.find_pack(row.pack) is not None:
            yield Damage(None, f"pack {row.pack}", problem)


def check_packs(
    index: LocalIndex, packs: PackSource, rows: list[PackRow], report: Report, *, read_data: bool
) -> Iterator[Damage]:
    """Yield what is wrong in each pack up to its durable length. Holds no lock and no transaction.

    A record that no index entry names is checked too, but it need not be there. Bytes after the
    durable length belong to an unfinished upload, and are not read.
    """
    total, done, reported = sum(row.durable for row in rows), 0, 0
    for row in rows:
        for item in scan_pack(packs, row, read_data=read_data):
            if isinstance(item, Damage):
                # gc may have deleted the pack since the packs were listed.
                if index.find_pack(row.pack) is not None:
                    yield item
            elif done + end_of_record(item) - reported >= PROGRESS_STEP:
                reported = done + end_of_record(item)
                report_bytes(report, reported, total)
        done += row.durable
