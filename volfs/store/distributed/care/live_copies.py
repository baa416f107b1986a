"""Verified copies of what is in use in sparse packs, in new packs of the bucket (step G4)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from volfs.errors import DataError
from volfs.errors.fault_points import reached
from volfs.model.logs.volume_changes import Forward, LoggedPack
from volfs.model.objects import Oid
from volfs.model.progress import Report, report_bytes
from volfs.model.segments.packs_named import NamedPack
from volfs.store.distributed.care.pack_marks import PackMarks
from volfs.store.distributed.data.bucket_packs import BucketPacks
from volfs.store.distributed.data.bucket_sink import BucketSink
from volfs.store.distributed.data.place_finder import PlaceFinder
from volfs.store.distributed.refs.volume_view import to_logged
from volfs.store.packs.copier import RecordCopier
from volfs.store.packs.rows import IndexEntry, place_record


class LiveCopies(NamedTuple):
    """Packs with copies, which are in the bucket, and where each sparse pack's records went."""

    packs: tuple[LoggedPack, ...] = ()
    forwards: tuple[Forward, ...] = ()


class LiveCopier:
    """Copies the records in use of packs that will be condemned. No log names the copies yet, so
    whoever dies here leaves orphans."""

    def __init__(self, finder: PlaceFinder, spools: Path, report: Report) -> None:
        self._finder = finder
        self._packs: BucketPacks = finder.packs
        self._sink = BucketSink(self._packs, spools)
        self._report = report
        self._copies: dict[Oid, IndexEntry] = {}

    def copy(self, sparse: Sequence[tuple[NamedPack, PackMarks]]) -> LiveCopies:
        """Copy what these packs have in use. DataError if any of it cannot be read; StoreError."""
        if not sparse:
            return LiveCopies()
        total = sum(marks.live_bytes for _, marks in sparse)
        targets: dict[str, set[int]] = {}
        with RecordCopier(self._packs, self._sink) as copier:
            for pack, marks in sparse:
                targets[pack.name] = self._copy_pack(copier, pack, marks)
                report_bytes(self._report, min(copier.copied, total), total)
            reached("gc.copied")
            copier.sync()
            reached("gc.durable")
            puts = {int(put.number): put for put in self._sink.list_put()}
            for put in puts.values():
                self._finder.put_rows(put.pack, put.footer)
        names = {number: put.pack.name for number, put in puts.items()}
        return LiveCopies(
            tuple(sorted((to_logged(put.pack) for put in puts.values()), key=_by_name)),
            tuple(
                (source, tuple(sorted(names[number] for number in numbers)))
                for source, numbers in sorted(targets.items())
            ),
        )

    def _copy_pack(self, copier: RecordCopier, pack: NamedPack, marks: PackMarks) -> set[int]:
        """Copy a pack's records in use, and return the numbers of the packs that have them now."""
        footer = self._finder.load_footer(pack)
        number = self._packs.numbers.get_number(pack)
        targets: set[int] = set()
        for at in sorted(marks.live, key=lambda at: footer[at].offset):
            record = footer[at]
            copy = self._copies.get(record.oid)
            if copy is None:
                copy = self._copy_record(
                    copier, record.oid, place_record(record.header, number, record.offset)
                )
            targets.add(int(copy.pack))
        return targets

    def _copy_record(self, copier: RecordCopier, oid: Oid, entry: IndexEntry) -> IndexEntry:
        """Copy an object once, though several packs have it."""
        try:
            copy = copier.copy_record(oid, entry)
        except DataError as error:
            raise type(error)(
                f"{error}; it was left as it is: see `volfs check --repair`"
            ) from error
        self._copies[oid] = copy
        return copy


def _by_name(pack: LoggedPack) -> str:
    return pack.name
