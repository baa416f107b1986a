"""The repair of a store in a bucket. It appends and creates, and overwrites and deletes nothing.

Logs come first, so that all else can be written; then packs; then what versions miss, wherever in
the store it is; then names. A note at the end says what is lost, and what is no longer needed. A
repair that dies leaves a store that is no worse, and the next one goes on.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from volfs.buckets.access import Bucket
from volfs.errors import ConflictError, LocalFileError
from volfs.errors.fault_points import reached
from volfs.model.objects import Oid
from volfs.model.progress import Report
from volfs.store.contract.care import RepairReport
from volfs.store.distributed.mending.catalog_repair import mend_names
from volfs.store.distributed.mending.log_repair import LogMender
from volfs.store.distributed.mending.log_survey import StoreSurvey
from volfs.store.distributed.mending.missing import find_missing, list_roots
from volfs.store.distributed.mending.pack_repair import PackMender
from volfs.store.distributed.mending.repair_notes import write_notes
from volfs.store.distributed.mending.segment_repair import SegmentMender
from volfs.store.distributed.mending.stored_records import find_records
from volfs.store.distributed.refs.open_volumes import OpenVolumes
from volfs.store.distributed.refs.volume_logs import VolumeLogs
from volfs.store.distributed.refs.volume_names import VolumeNames
from volfs.system.locks import try_lock


class RepairParts(NamedTuple):
    """What a repair works on."""

    bucket: Bucket
    local: Path
    logs: VolumeLogs
    volumes: OpenVolumes
    names: VolumeNames


def repair(parts: RepairParts, report: Report) -> RepairReport:
    """Repair a store. ConflictError while another repair runs on this machine, or if somebody
    wrote to what was being mended; StoreError."""
    with _alone(parts.local):
        return _Repair(parts).run(report)


class _Repair:
    def __init__(self, parts: RepairParts) -> None:
        self._parts = parts
        self._survey = StoreSurvey(parts.bucket)
        self._logs = LogMender(self._survey)
        self._packs = PackMender(self._survey, parts.volumes.data, parts.logs)
        self._segments = SegmentMender(self._survey, parts.logs)
        self._found = 0

    def run(self, report: Report) -> RepairReport:
        self._logs.mend_all()
        self._parts.logs.forget_all()
        names = mend_names(self._survey, self._parts.names)
        self._segments.mend_all()
        self._packs.mend_all(report)
        lost = self._mend_missing() - self._survey.noted.lost
        passed = self._logs.passed | self._packs.passed | self._segments.passed
        passed -= self._survey.noted.passed
        reached("mending.unnoted")
        write_notes(self._parts.bucket, passed, lost)
        return RepairReport(
            indexed_objects=self._found,
            lost_objects=len(lost),
            rewritten_packs=self._packs.rewritten,
            forgotten_packs=self._packs.forgotten,
            mended_names=names,
            mended_logs=self._logs.mended + self._segments.mended,
        )

    def _mend_missing(self) -> set[Oid]:
        """Copy what versions miss from wherever it is. What is nowhere is lost."""
        lost: set[Oid] = set()
        for volume, _ in list(self._survey.iter_living()):
            found = _bring_missing(self._parts, self._survey, self._packs, volume)
            lost |= found.lost
            self._found += found.copied
        return lost


class Brought(NamedTuple):
    """What was done for the versions of a volume."""

    copied: int = 0
    lost: frozenset[Oid] = frozenset()


def mend_volume(parts: RepairParts, volume: str) -> Brought:
    """Copy what the versions of one volume miss from wherever it is. StoreError."""
    survey = StoreSurvey(parts.bucket)
    return _bring_missing(parts, survey, PackMender(survey, parts.volumes.data, parts.logs), volume)


def _bring_missing(
    parts: RepairParts, survey: StoreSurvey, mender: PackMender, volume: str
) -> Brought:
    state, copied, lost = parts.logs.find(volume), 0, set[Oid]()
    if state is None:
        return Brought()
    roots = list_roots(survey, volume, state)
    while True:
        wanted = find_missing(parts.volumes.open(volume).objects, roots) - lost
        found = find_records(parts.bucket, survey.objects, wanted)
        lost |= wanted - found.keys()
        if not found:
            return Brought(copied, frozenset(lost))
        mender.add_copies(volume, found.values())
        copied += len(found)


@contextmanager
def _alone(local: Path) -> Iterator[None]:
    """Allow one repair at a time on this machine. ConflictError."""
    try:
        fd = os.open(local, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise LocalFileError(f"{local}: {error.strerror}") from error
    try:
        if not try_lock(fd):
            raise ConflictError("another gc or repair of this store is running here; wait for it")
        yield
    finally:
        os.close(fd)
