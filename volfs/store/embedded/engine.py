"""The embedded engine: a directory of packs and one LMDB environment, wired together."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

from volfs.errors import (
    StoreError,
    VolumeInUseError,
)
from volfs.errors.fault_points import reached
from volfs.model.names import MAIN
from volfs.model.objects import Kind, Oid
from volfs.store.base import (
    CheckProgress,
    Damage,
    Head,
    Lease,
    Named,
    Objects,
    Space,
    Tag,
    Upload,
    VolumeRecord,
)
from volfs.store.care import GcOptions, GcProgress, GcReport, Live, RepairReport, Undeleted
from volfs.store.checked_lmdb.environment import Transaction, store_errors
from volfs.store.clock import now_ns, read_steady
from volfs.store.embedded.care.collector import collect
from volfs.store.embedded.care.damage import iter_damage
from volfs.store.embedded.care.purge import undelete
from volfs.store.embedded.care.repair import repair
from volfs.store.embedded.data.upload import PackUpload
from volfs.store.embedded.opened import Engine, describe_missed
from volfs.store.embedded.place.handle import Identity, identify
from volfs.store.embedded.place.layout import create_store
from volfs.store.embedded.refs.refs import naming_of
from volfs.store.packs.rows import decode_entry


class EmbeddedStore:
    """``store.base.Store``: one handle on an engine."""

    def __init__(self, engine: Engine, address: Path) -> None:
        self.url = str(engine.path)
        self._address = address
        self.objects: Objects = engine.objects
        self._engine = engine
        self._refs = engine.refs
        self._leases = engine.leases
        self._tags = engine.tags
        self._closed = False

    @property
    def is_writable(self) -> bool:
        return self._engine.environment.is_writable

    def check_writable(self) -> None:
        self._engine.environment.check_writable()

    # --- volumes ---------------------------------------------------------

    def create_volume(self, record: VolumeRecord, manifest: bytes) -> None:
        with self.open_upload() as upload:
            oid = upload.put_object(Kind.MANIFEST, manifest)
            self._publish(upload, self._refs.creation(record, oid))

    def fork_volume(
        self, record: VolumeRecord, manifests: tuple[bytes, bytes], source: str, version: int
    ) -> None:
        with self.open_upload() as upload:
            oids = [upload.put_object(Kind.MANIFEST, manifest) for manifest in manifests]
            create = self._refs.creation(record, *oids)

            def fork(txn: Transaction) -> Oid:
                self._refs.check_versions(txn, source, (version,))
                return create(txn)

            self._publish(upload, fork)

    def get_volume(self, name: str, environment: str = MAIN) -> VolumeRecord:
        return self._refs.get_volume(name, environment)

    def find_volume_by_id(self, volume_id: str) -> VolumeRecord | None:
        return self._refs.find_volume_by_id(volume_id)

    def list_volumes(self) -> list[VolumeRecord]:
        return self._refs.list_volumes()

    def rename_volume(
        self, old: str, new: str, environment: str = MAIN, to: str | None = None
    ) -> None:
        self._refs.rename_volume(old, new, environment, to or environment)

    def rename_environment(self, old: str, new: str) -> None:
        self._refs.rename_environment(old, new)

    def delete_volume(
        self, name: str, stale: Collection[str] = (), environment: str = MAIN
    ) -> None:
        def delete(txn: Transaction) -> None:
            record = self._refs.find_in(txn, name, environment)
            for lease in self._leases.list_in(txn):
                if lease.volume_id == record.id and lease.session not in stale:
                    raise VolumeInUseError(
                        f"{record.full_name}: the mount {lease.session} is beginning, or died as "
                        "it began; `volfs overlays` shows it"
                    )
            self._refs.delete(txn, record)

        self._engine.environment.free(delete)

    # --- versions --------------------------------------------------------

    def get_head(self, volume_id: str) -> Head:
        return self._refs.get_head(volume_id)

    def find_head_ready(self, volume_id: str) -> Head | None:
        return self._refs.get_head(volume_id)

    def find_version(self, volume_id: str, version: int) -> Oid | None:
        return self._refs.find_version(volume_id, version)

    def iter_versions(self, volume_id: str) -> Iterator[Head]:
        return self._refs.iter_versions(volume_id)

    def remove_versions(self, volume_id: str, versions: Collection[int]) -> list[int]:
        def remove(txn: Transaction) -> list[int]:
            kept = {tag.version for tag in self._tags.list_in(txn, volume_id)}
            for lease in self._leases.list_in(txn):
                if lease.volume_id == volume_id:
                    kept.update(filter(lease.has, versions))
            held = self._engine.holds.list_held()
            kept.update(self._refs.list_held(txn, volume_id, versions, held))
            removed = self._refs.remove_versions(txn, volume_id, set(versions) - kept)
            reached("expire.unmoved")
            return removed

        removed = self._engine.environment.free(remove)
        reached("expire.moved")
        return removed

    # --- tags ------------------------------------------------------------

    def put_tag(self, volume_id: str, tag: str, version: int, *, move: bool = False) -> None:
        self._tags.put(volume_id, tag, version, move=move)

    def find_tag(self, volume_id: str, tag: str) -> int | None:
        return self._tags.find(volume_id, tag)

    def list_tags(self, volume_id: str) -> list[Tag]:
        return self._tags.list_all(volume_id)

    def delete_tag(self, volume_id: str, tag: str) -> None:
        self._tags.delete(volume_id, tag)

    # --- publishing ------------------------------------------------------

    def open_upload(self) -> Upload:
        if self._closed:
            raise StoreError(f"store {self.url}: closed")
        self._engine.environment.check_usable()
        self._engine.environment.check_writable()
        engine = self._engine
        engine.proof.check()
        return PackUpload(engine.index, engine.objects, engine.packs, engine.pool)

    def publish(
        self,
        upload: Upload,
        volume_id: str,
        expected: Head,
        new: Head,
        *,
        shares: Collection[int] = (),
        lease: Lease | None = None,
    ) -> None:
        advance = self._refs.advance(volume_id, expected, new, shares)

        def move(txn: Transaction) -> Oid:
            manifest = advance(txn)
            if lease is not None:
                self._leases.put_in(txn, lease)
            return manifest

        self._publish(upload, move)

    def _publish(self, upload: Upload, move: Callable[[Transaction], Oid]) -> None:
        if not isinstance(upload, PackUpload) or not upload.belongs_to(self._engine.pool):
            raise ValueError("an upload of another store")
        with upload.publishing() as batch:
            self._engine.index.publish(batch, move)

    # --- leases ----------------------------------------------------------

    def put_lease(self, lease: Lease) -> None:
        if self.is_writable:
            self._leases.put(lease)
        else:
            self._engine.held_leases.put(lease)

    def find_lease(self, session: str) -> Lease | None:
        return self._engine.held_leases.find(session) or self._leases.find(session)

    def list_leases(self) -> list[Lease]:
        return self._leases.list_all()

    def drop_lease(self, session: str, expected: Lease | None = None) -> None:
        if self.is_writable:
            self._leases.drop(session, expected)
        else:
            self._engine.held_leases.drop(session)

    def list_damaged_leases(self, sessions: Iterable[str]) -> list[str | None]:
        return self._leases.list_damaged(sessions)

    # --- holds -----------------------------------------------------------

    def hold(self, manifest: Oid) -> AbstractContextManager[None]:
        return self._engine.holds.hold(manifest)

    def is_held(self, manifest: Oid) -> bool:
        return self._engine.holds.is_held(manifest)

    # --- care ------------------------------------------------------------

    def prove(self) -> None:
        self._engine.proof.check()

    def find_missed(self) -> str:
        missed = self._engine.missed
        return describe_missed(self._engine.path, missed) if missed else ""

    def accept_missed(self) -> None:
        for note in self._engine.notes.values():
            note.accept()
        self._engine.missed = None

    def get_space(self) -> Space:
        with store_errors(f"store {self.url}"):
            disk = os.fstatvfs(self._engine.handle.directory)
        return Space(disk.f_blocks * disk.f_frsize, disk.f_bavail * disk.f_frsize)

    def iter_damage(self, *, read_data: bool = True) -> Iterator[Damage | CheckProgress]:
        return iter_damage(self._engine.parts, read_data)

    def is_lost(self, oid: Oid) -> bool:
        return self._engine.index.is_lost(oid)

    def collect(self, live: Live, options: GcOptions) -> Iterator[GcProgress | GcReport]:
        if not options.dry_run:
            self._engine.environment.check_writable()
        return collect(self._engine.parts, live, options)

    def undelete(self) -> Undeleted:
        self._engine.environment.check_writable()
        return undelete(self._engine.parts)

    def repair(self) -> Iterator[CheckProgress | RepairReport]:
        self._engine.environment.check_writable()
        return repair(self._engine.parts, now_ns(), read_steady())

    # --- recovery --------------------------------------------------------

    def iter_manifests(self) -> Iterator[Oid]:
        for oid, row in self._engine.index.iter_rows():
            if decode_entry(oid, row).kind is Kind.MANIFEST:
                yield oid

    def recover_volume(
        self, record: VolumeRecord, versions: Collection[Head], tags: Mapping[str, int]
    ) -> None:
        with self._engine.environment.write() as txn:
            self._refs.recover(txn, record, versions)
            self._tags.recover(txn, record.id, tags)
            # It may have got one that nothing else tells.
            self._refs.log_name(txn, naming_of(record))

    def list_named(self) -> dict[str, Named]:
        return self._engine.names.read()

    def has_lost_refs(self) -> bool:
        return self._engine.index.has_lost_refs()

    def end_recovery(self) -> None:
        self._engine.index.set_lost_refs(False)

    def close(self) -> None:
        """Idempotent. The last handle in the process closes the engine."""
        if not self._closed:
            self._closed = True
            _let_go(self._engine, self._address)


# --- one engine per directory and process -----------------------------------

_engines: dict[Identity, Engine] = {}
"""By their directories, so that two ways to one directory meet in one engine."""
_lock = threading.Lock()


def open_embedded(location: str, create: bool) -> EmbeddedStore:
    """A handle on the store in a directory; see ``store.registry.open_store``."""
    address = Path(location).absolute()
    with _lock:
        if create:
            create_store(address)
        engine = _find_engine(address)
        if engine is None:
            engine = Engine(address)
            _engines[engine.handle.identity] = engine
        else:
            engine.environment.check_usable()
            engine.handle.add_address(address)
            engine.compare_at(address)
        engine.handles += 1
        return EmbeddedStore(engine, address)


def _find_engine(address: Path) -> Engine | None:
    """The one that has the directory open as it is now. Others end with their handles."""
    try:
        engine = _engines.get(identify(address.stat()))
    except OSError:
        return None  # whoever opens it says why
    return engine if engine is not None and engine.is_intact else None


def _let_go(engine: Engine, address: Path) -> None:
    with _lock:
        engine.handles -= 1
        engine.handle.drop_address(address)
        if engine.handles == 0:
            if _engines.get(engine.handle.identity) is engine:
                del _engines[engine.handle.identity]
            engine.close()
