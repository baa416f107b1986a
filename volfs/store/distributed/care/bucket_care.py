"""``Care`` of a store in a bucket."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from volfs.model.objects import Oid
from volfs.model.progress import Report, report_nothing
from volfs.store.contract.care import (
    Damage,
    GcOptions,
    GcReport,
    Live,
    Named,
    RebuildReport,
    RepairReport,
    Space,
    StoredSize,
    Tell,
    Undeleted,
    tell_nobody,
)
from volfs.store.contract.refs import Head, VolumeRecord
from volfs.store.distributed.care.bucket_collector import BucketCollector
from volfs.store.distributed.care.gc_parts import GcParts
from volfs.store.distributed.care.gc_survey import list_packs
from volfs.store.distributed.care.undeletion import undelete
from volfs.store.distributed.mending.bucket_repair import RepairParts, repair
from volfs.store.distributed.mending.check import iter_damage
from volfs.store.distributed.mending.index_rebuild import Rebuilding
from volfs.store.distributed.mending.repair_notes import read_notes
from volfs.store.distributed.mending.volume_recovery import Recovery


class BucketCare:
    """``store.contract.care.Care``."""

    def __init__(self, gc: GcParts, parts: RepairParts) -> None:
        self._gc = gc
        self._parts = parts
        self._recovery = Recovery(parts)
        self._lost: frozenset[Oid] = frozenset()
        """What notes of repairs say, as far as they were read."""

    def prove(self) -> None:
        """Do nothing. A store that was made anew at the address has another id, and the id is read
        when a store is opened."""

    def find_missed(self) -> str:
        return ""  # A bucket has no older copy that could be put in its place unseen.

    def accept_missed(self) -> None:
        """Nothing is ever missed."""

    def find_space(self) -> Space | None:
        return None

    def measure(self) -> StoredSize:
        """One listing of the packs, and the log of gc."""
        sizes = {name: info.size for name, info in list_packs(self._parts.bucket).items()}
        gc = self._gc.follow().refresh().state
        waiting = {*gc.condemned, *gc.dooms} if gc is not None else set[str]()
        return StoredSize.add_up(sizes, waiting)

    def iter_damage(
        self,
        *,
        read_data: bool = True,
        quick: bool = False,
        report: Report = report_nothing,
        tell: Tell = tell_nobody,
    ) -> Iterator[Damage]:
        """As promised; ids are always computed, because fetching the bytes takes longer."""
        return iter_damage(self._parts.bucket, quick, report, tell)

    def is_lost(self, oid: Oid) -> bool:
        if oid not in self._lost:
            self._lost = read_notes(self._parts.bucket).lost
        return oid in self._lost

    def collect(self, live: Live, options: GcOptions, report: Report = report_nothing) -> GcReport:
        return BucketCollector(self._gc, live, options, report).run()

    def undelete(self) -> Undeleted:
        return undelete(self._gc)

    def repair(self, report: Report = report_nothing) -> RepairReport:
        return repair(self._parts, report)

    # --- recovery --------------------------------------------------------

    def rebuild(self, report: Report = report_nothing) -> RebuildReport:
        """Make what this machine knows of places anew. StoreError."""
        return Rebuilding(self._parts).run(report)

    def iter_manifests(self) -> Iterator[tuple[Oid, bytes]]:
        return self._recovery.iter_manifests()

    def recover_volume(
        self, record: VolumeRecord, versions: Collection[Head], tags: Mapping[str, int]
    ) -> None:
        self._recovery.recover_volume(record, versions, tags)

    def list_named(self) -> dict[str, Named]:
        return self._recovery.list_named()

    def has_lost_refs(self) -> bool:
        return self._recovery.has_lost_refs()

    def end_recovery(self) -> None:
        """Nothing is recorded: a volume that was recovered has a log, and is lost no more."""
