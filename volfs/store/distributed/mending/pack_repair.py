"""Damaged packs are replaced: what can be read of them is copied into new packs.

The log of each volume that read from a damaged pack gets a line by which it reads from the new ones
instead. The damaged pack is in no volume then, and gc takes it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from volfs.errors import ConflictError
from volfs.errors.fault_points import reached
from volfs.model.logs.volume_changes import LoggedPack, PacksMended, VolumeChange
from volfs.model.logs.volume_log import VolumeState
from volfs.model.objects import Oid
from volfs.model.pack import Record
from volfs.model.progress import Report, report_bytes
from volfs.store.distributed.data.bucket_data import BucketData
from volfs.store.distributed.mending.check import PackInVolumes, judge_line, list_uses
from volfs.store.distributed.mending.found_log import find_line
from volfs.store.distributed.mending.log_survey import StoreSurvey
from volfs.store.distributed.mending.pack_check import JudgedPack, judge_pack, judge_records
from volfs.store.distributed.place.object_keys import pack_key, volume_log
from volfs.store.distributed.refs.volume_logs import VolumeLogs, require
from volfs.store.distributed.refs.volume_view import to_logged, to_named
from volfs.store.packs.codec import Packed


class NewPacks(NamedTuple):
    """Packs that a repair has put, and the eras that the volumes had before."""

    packs: tuple[LoggedPack, ...]
    eras: dict[str, int]


class PackMender:
    """Replaces packs in the logs of volumes, which can be read by now."""

    def __init__(self, survey: StoreSurvey, data: BucketData, logs: VolumeLogs) -> None:
        self._survey = survey
        self._data = data
        self._logs = logs
        self.passed: set[str] = set()
        self.lost: set[Oid] = set()
        self.rewritten = 0
        self.forgotten = 0
        self.copied = 0

    def mend_all(self, report: Report) -> None:
        """Look at every pack, and replace the damaged ones. StoreError; ConflictError."""
        uses = list_uses(self._survey)
        total, done = sum(use.pack.length for use in uses.values()), 0
        report_bytes(report, 0, total)
        for use in uses.values():
            judged = self._judge(use.pack)
            if judged.damage:
                self._replace(use, judged)
            done += use.pack.length
            report_bytes(report, done, total)

    def add_copies(self, volume: str, records: Iterable[Record]) -> None:
        """Give a volume copies of records that lie where it does not look. StoreError."""
        new = self._copy(records, [volume])
        self._write(volume, new, ())

    # --- inside ----------------------------------------------------------

    def _judge(self, pack: LoggedPack) -> JudgedPack:
        if "/" not in pack.name:
            return judge_pack(self._survey.bucket, pack)
        damage = judge_line(self._survey, pack)
        if not damage:
            return JudgedPack([], [])
        volume, _, digits = pack.name.partition("/")
        objects = self._survey.objects.volumes.get(volume)
        if objects is None:
            return JudgedPack(damage, [])
        found = find_line(self._survey.bucket, objects.log, int(digits, 16))
        return JudgedPack(damage, judge_records(found.key, found.records).records)

    def _replace(self, use: PackInVolumes, judged: JudgedPack) -> None:
        volumes = [volume for volume in use.volumes if self._has(volume, use.pack.name)]
        if not volumes:
            return  # gc has taken it away since.
        new = self._copy(judged.records, volumes)
        for volume in volumes:
            self._write(volume, new, (use.pack.name,))
        self._data.packs.note_gone(self._data.packs.numbers.get_number(to_named(use.pack)))
        self.lost |= judged.lost
        self.passed.add(_find_key(use.pack.name))
        if judged.records:
            self.rewritten += 1
        else:
            self.forgotten += 1

    def _has(self, volume: str, name: str) -> bool:
        state = self._logs.find(volume)
        return state is not None and name in state.packs.packs

    def _copy(self, records: Iterable[Record], volumes: list[str]) -> NewPacks:
        """Put copies of records, each object once, into new packs."""
        eras = {volume: self._logs.get(volume).era for volume in volumes}
        sink, done = self._data.open_sink(), set[Oid]()
        try:
            for record in records:
                if record.header.oid not in done:
                    done.add(record.header.oid)
                    sink.append(Packed(record.header, (bytes(record.stored),)))
            sink.sync()
            reached("mending.copied")
            puts = sink.list_put()
            for put in puts:
                self._data.finder.put_rows(put.pack, put.footer)
        finally:
            sink.release()
        self.copied += len(done)
        return NewPacks(tuple(to_logged(put.pack) for put in puts), eras)

    def _write(self, volume: str, new: NewPacks, without: tuple[str, ...]) -> None:
        """Write the line by which a volume reads from other packs."""

        def decide(state: VolumeState | None) -> list[VolumeChange]:
            alive = require(volume, state)
            self._check_fresh(volume, alive, new)
            gone = tuple(name for name in without if name in alive.packs.packs)
            packs = tuple(pack for pack in new.packs if pack.name not in alive.packs.packs)
            return [PacksMended(packs, gone)] if gone or packs else []

        self._logs.open(volume).change(decide)
        reached("mending.replaced")

    def _check_fresh(self, volume: str, state: VolumeState, new: NewPacks) -> None:
        """ConflictError if gc has condemned the new packs before any volume had them."""
        condemned = self._survey.find_newly_condemned(new.eras[volume], state.era)
        if not condemned.isdisjoint(pack.name for pack in new.packs):
            raise ConflictError("gc has taken the copies that the repair made; repair again")


def _find_key(name: str) -> str:
    volume, _, number = name.partition("/")
    return volume_log(volume).lines + number if number else pack_key(name)
