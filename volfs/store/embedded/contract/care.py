"""The embedded engine's ``Care``."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress

from volfs.errors import DataError
from volfs.model.objects import Kind, Oid
from volfs.model.progress import Report, report_nothing
from volfs.store.checked_lmdb.environment import store_errors
from volfs.store.clock import now_ns, read_steady
from volfs.store.contract.care import (
    Damage,
    GcOptions,
    GcReport,
    Live,
    Named,
    RepairReport,
    Space,
    StoredSize,
    Tell,
    Undeleted,
    tell_nobody,
)
from volfs.store.contract.refs import Head, VolumeRecord
from volfs.store.embedded.care.collector import collect
from volfs.store.embedded.care.damage import iter_damage
from volfs.store.embedded.care.purge import undelete
from volfs.store.embedded.care.repair import repair
from volfs.store.embedded.data.pack_files import measure_files
from volfs.store.embedded.opened import Engine, describe_missed
from volfs.store.embedded.refs.refs import naming_of
from volfs.store.packs.rows import decode_entry


class EmbeddedCare:
    """``store.contract.care.Care``."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def prove(self) -> None:
        self._engine.proof.check()

    def find_missed(self) -> str:
        missed = self._engine.missed
        return describe_missed(self._engine.path, missed) if missed else ""

    def accept_missed(self) -> None:
        for note in self._engine.notes.values():
            note.accept()
        self._engine.missed = None

    def find_space(self) -> Space | None:
        with store_errors(f"store {self._engine.path}"):
            disk = os.fstatvfs(self._engine.handle.directory)
        return Space(disk.f_blocks * disk.f_frsize, disk.f_bavail * disk.f_frsize)

    def measure(self) -> StoredSize:
        packs = self._engine.packs
        with packs.environment.read() as txn:
            waiting = set(packs.index.quarantine.list_ids(txn))
        return StoredSize.add_up(measure_files(packs.directory), waiting)

    def iter_damage(
        self,
        *,
        read_data: bool = True,
        quick: bool = False,
        report: Report = report_nothing,
        tell: Tell = tell_nobody,
    ) -> Iterator[Damage]:
        engine = self._engine
        return iter_damage(engine.packs, engine.refs, read_data, report, is_quick=quick)

    def is_lost(self, oid: Oid) -> bool:
        return self._engine.index.is_lost(oid)

    def collect(self, live: Live, options: GcOptions, report: Report = report_nothing) -> GcReport:
        if not options.dry_run:
            self._engine.environment.check_writable()
        engine = self._engine
        return collect(engine.packs, engine.refs, engine.roots, live, options, report)

    def undelete(self) -> Undeleted:
        self._engine.environment.check_writable()
        return undelete(self._engine.packs)

    def repair(self, report: Report = report_nothing) -> RepairReport:
        self._engine.environment.check_writable()
        engine = self._engine
        return repair(engine.packs, engine.refs, engine.tags, now_ns(), read_steady(), report)

    # --- recovery --------------------------------------------------------

    def iter_manifests(self) -> Iterator[tuple[Oid, bytes]]:
        for oid, row in self._engine.index.iter_rows():
            if decode_entry(oid, row).kind is Kind.MANIFEST:
                with suppress(DataError):  # The check reports a manifest that cannot be read.
                    yield oid, self._engine.objects.load_object(oid)

    def recover_volume(
        self, record: VolumeRecord, versions: Collection[Head], tags: Mapping[str, int]
    ) -> None:
        with self._engine.environment.write() as txn:
            self._engine.refs.recover(txn, record, versions)
            self._engine.tags.recover(txn, record.id, tags)
            # The volume may have got a name that no manifest tells.
            self._engine.refs.log_name(txn, naming_of(record))

    def list_named(self) -> dict[str, Named]:
        return self._engine.names.read()

    def has_lost_refs(self) -> bool:
        return self._engine.index.has_lost_refs()

    def end_recovery(self) -> None:
        self._engine.index.set_lost_refs(False)
