"""All logs of a store, each with the state that is left of it."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import suppress
from functools import cached_property, partial
from typing import NamedTuple, TypeVar

from volfs.buckets.access import Bucket
from volfs.errors import ConflictError, DamagedObjectError, DataError
from volfs.model.logs.catalog_log import CatalogState
from volfs.model.logs.gc_log import GC_CHANGES, GcState, list_condemned
from volfs.model.logs.lease_log import LEASE_CHANGES, LeaseMade, begin_at
from volfs.model.logs.line import Line
from volfs.model.logs.table_log import TablesState
from volfs.model.logs.volume_changes import VOLUME_CHANGES, LoggedPack, VolumeCreated, VolumeDeleted
from volfs.model.logs.volume_log import VolumeState
from volfs.model.segments.packs_named import name_line
from volfs.store.contract.care import Damage
from volfs.store.distributed.log.log import Log
from volfs.store.distributed.log.log_rules import CATALOG_RULES, GC_RULES, TABLE_RULES, volume_rules
from volfs.store.distributed.mending.bridges import (
    CatalogBridge,
    GcBridge,
    TablesBridge,
    VolumeBridge,
    VolumeClues,
)
from volfs.store.distributed.mending.checkpoint_forms import (
    catalog_form,
    gc_form,
    tables_form,
    volume_form,
)
from volfs.store.distributed.mending.found_log import GONE, FoundLine, find_line
from volfs.store.distributed.mending.inventory import Inventory, LogObjects, take_inventory
from volfs.store.distributed.mending.log_salvage import LogRemains, Salvager
from volfs.store.distributed.mending.pack_check import judge_records, read_footer
from volfs.store.distributed.mending.repair_notes import Noted, read_notes
from volfs.store.distributed.mending.stored_manifests import StoredManifests, read_manifests
from volfs.store.distributed.place.object_keys import gc_log
from volfs.store.distributed.refs.condemned_packs import find_condemned

State = TypeVar("State")


class FoundLease(NamedTuple):
    """The newest line of the log of a lease."""

    key: str
    lease: LeaseMade | None
    """None if no lease is in force, or if it cannot be read."""
    problem: str


class StoreSurvey:
    """What is left of the logs of a store. StoreError; UnsupportedFormatError."""

    def __init__(self, bucket: Bucket) -> None:
        self.bucket = bucket
        self.objects: Inventory = take_inventory(bucket)
        self.noted: Noted = read_notes(bucket)
        self.line_damage: dict[str, list[Damage]] = {}
        """What is wrong with the records of lines, by the lines' names as packs."""
        self._condemned: dict[int, frozenset[str]] = {}
        self._sources: dict[str, VolumeCreated] = {}
        """How each volume began."""
        self.catalog: LogRemains[CatalogState] = self._read_catalog()
        self.gc: LogRemains[GcState | None] = self._read_gc()
        self.tables: LogRemains[TablesState] = self._read_tables()
        self.leases: list[FoundLease] = list(self._read_leases())
        self.volumes: dict[str, LogRemains[VolumeState | None]] = {
            volume: self._read_volume(volume) for volume in list(self.objects.volumes)
        }
        self._read_sources_again()

    # --- what is there ---------------------------------------------------

    def iter_living(self) -> Iterator[tuple[str, VolumeState]]:
        """The volumes that are not deleted, each with its state."""
        for volume, found in self.volumes.items():
            state = found.known.state
            if state is None or state.facts is None or state.is_deleted:
                continue
            if self.has_versions(volume):
                yield volume, state

    def has_versions(self, volume: str) -> bool:
        """Whether any version is left of what a volume's log had, or the volume was deleted."""
        found = self.volumes.get(volume)
        state = found.known.state if found else None
        return state is not None and (state.is_deleted or state.versions.head >= 0)

    def list_logs(self) -> list[tuple[LogObjects, LogRemains[object]]]:
        """Every log of the store that has a state."""
        logs: list[tuple[LogObjects, LogRemains[object]]] = [
            (self.objects.catalog, self.catalog),  # type: ignore[list-item]
            (self.objects.gc, self.gc),  # type: ignore[list-item]
            (self.objects.secrets, self.tables),  # type: ignore[list-item]
        ]
        for volume, found in self.volumes.items():
            logs.append((self.objects.volumes[volume].log, found))  # type: ignore[arg-type]
        return logs

    def find_condemned(self, after: int, upto: int) -> Collection[str]:
        """The packs that gc has condemned in the eras after the first, up to the second, as far as
        the lines of its log are left."""
        eras = range(after + 1, upto + 1)
        return frozenset(name for era in eras for name in self._condemned.get(era, ()))

    def find_newly_condemned(self, after: int, upto: int) -> frozenset[str]:
        """As ``find_condemned``, in lines that gc may have written since. StoreError; DataError."""
        log = Log(self.bucket, gc_log())
        return find_condemned(log, after, upto) if upto > after else frozenset()

    def read_gc_anew(self) -> GcState | None:
        """The log of gc up to its end, which may have moved since; as far as it can be read."""
        state, end, digest, _ = self.gc.known
        with suppress(DataError):
            for number, line in Log(self.bucket, gc_log()).read_after(end, digest):
                state = GC_RULES.apply(state, number, line.era, GC_RULES.codec.decode(line.body))
        return state

    def says_deleted(self, volume: str) -> bool:
        """Whether the last line of a volume, which is damaged, says just that it is deleted."""
        log = self.objects.volumes[volume].log
        found = find_line(self.bucket, log, log.end)
        try:
            changes = VOLUME_CHANGES.decode(found.said.body) if found.said else ()
        except DataError:
            return False
        return changes == (VolumeDeleted(),)

    # --- reading logs ----------------------------------------------------

    def _read_catalog(self) -> LogRemains[CatalogState]:
        log, form = self.objects.catalog, catalog_form(self.bucket)
        return Salvager(self.bucket, log, CATALOG_RULES, form, CatalogBridge()).run()

    def _read_gc(self) -> LogRemains[GcState | None]:
        log, form = self.objects.gc, gc_form(self.bucket)
        return Salvager(self.bucket, log, GC_RULES, form, GcBridge()).run(self._look_at_gc)

    def _read_tables(self) -> LogRemains[TablesState]:
        log, form = self.objects.secrets, tables_form(self.bucket)
        return Salvager(self.bucket, log, TABLE_RULES, form, TablesBridge()).run()

    def _look_at_gc(self, found: FoundLine) -> None:
        try:
            changes = GC_CHANGES.decode(found.any_line.body) if found.any_line else ()
        except DamagedObjectError:
            return
        self._condemned[found.number] = list_condemned([changes])

    def _read_leases(self) -> Iterator[FoundLease]:
        """The newest line of each lease: no other counts, and gc deletes old logs."""
        for log in self.objects.leases.values():
            found = find_line(self.bucket, log, log.end)
            if found.problem == GONE:
                continue
            try:
                changes = LEASE_CHANGES.decode(found.line.body) if found.line else ()
                state = begin_at(found.number, changes)
            except (DamagedObjectError, ConflictError) as error:
                yield FoundLease(found.key, None, found.problem or str(error))
                continue
            if state.lease is not None:
                self._tell(state.lease.volume, state.lease.upto)
            yield FoundLease(found.key, state.in_force, "")

    def _read_volume(self, volume: str) -> LogRemains[VolumeState | None]:
        clues = VolumeClues(
            self.catalog.known.state.volumes.get(volume),
            lambda: self.manifests,
            self._find_pack,
            self.find_condemned,
        )
        log, form = self.objects.volumes[volume].log, volume_form(self.bucket, volume)
        salvager = Salvager(self.bucket, log, volume_rules(volume), form, VolumeBridge(clues))
        return salvager.run(partial(self._look_at_records, volume))

    def _look_at_records(self, volume: str, found: FoundLine) -> None:
        name = name_line(volume, found.number)
        if found.number == 0 and found.line is not None:
            self._note_source(volume, found.line)
        if len(found.records):
            judged = judge_records(f"line {found.key}", found.records)
            if judged.damage:
                self.line_damage[name] = judged.damage
        if found.line is None:
            problem = f"its records cannot be read: {found.problem}"
            self.line_damage.setdefault(name, []).append(Damage(None, found.key, problem))

    def _read_sources_again(self) -> None:
        """Read those logs again that must be longer, as their forks tell."""
        for created in list(self._sources.values()):
            if created.source and self._tell(created.source, created.source_line):
                self.volumes[created.source] = self._read_volume(created.source)

    def _tell(self, volume: str, number: int) -> bool:
        """Note that a line was there once. Whether that is news."""
        objects = self.objects.volumes.get(volume)
        if objects is None or objects.log.end >= number:
            return False
        objects.log.told = number
        return True

    def _find_pack(self, name: str) -> LoggedPack | None:
        info = self.objects.packs.get(name)
        try:
            return None if info is None else read_footer(self.bucket, name, info.size)[0]
        except DataError:
            return None

    def _note_source(self, volume: str, line: Line) -> None:
        try:
            (first, *_) = VOLUME_CHANGES.decode(line.body)
        except (DamagedObjectError, ValueError):
            return
        if isinstance(first, VolumeCreated):
            self._sources[volume] = first

    @cached_property
    def manifests(self) -> StoredManifests:
        """All manifests that are stored, read when they are first asked for."""
        return read_manifests(self.bucket, self.objects)
