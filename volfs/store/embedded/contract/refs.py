"""The embedded engine's ``Refs``: each change is one transaction of the index."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator

from volfs.errors import VolumeInUseError
from volfs.errors.fault_points import reached
from volfs.model.names import MAIN
from volfs.model.objects import Kind, Oid
from volfs.store.checked_lmdb.environment import Transaction
from volfs.store.contract.lease import Lease
from volfs.store.contract.objects import Upload
from volfs.store.contract.refs import Head, Tag, VolumeRecord
from volfs.store.embedded.opened import Engine
from volfs.store.embedded.refs.publisher import Publisher
from volfs.store.embedded.refs.refs import Creation, HeadMove


class EmbeddedRefs:
    """``store.contract.refs.Refs``."""

    def __init__(self, engine: Engine, open_upload: Callable[[str], Upload]) -> None:
        self._engine = engine
        self._open_upload = open_upload
        self._refs = engine.refs
        self._leases = engine.leases
        self._tags = engine.tags
        self._publisher = Publisher(engine.index, engine.refs, engine.leases)

    # --- volumes ---------------------------------------------------------

    def create_volume(self, record: VolumeRecord, manifest: bytes) -> None:
        with self._open_upload(record.id) as upload:
            oid = upload.put_object(Kind.MANIFEST, manifest)
            self._publisher.run(upload, Creation(record, (oid,)))

    def fork_volume(
        self, record: VolumeRecord, manifests: tuple[bytes, bytes], source: str, version: int
    ) -> None:
        with self._open_upload(record.id) as upload:
            oids = tuple(upload.put_object(Kind.MANIFEST, manifest) for manifest in manifests)
            self._publisher.run(upload, Creation(record, oids, (source, version)))

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

    def delete_volume(self, name: str, environment: str = MAIN) -> None:
        def delete(txn: Transaction) -> None:
            record = self._refs.find_in(txn, name, environment)
            for lease in self._leases.list_in(txn):
                if lease.volume_id == record.id:
                    raise VolumeInUseError(
                        f"{record.full_name}: the mount {lease.session} is beginning, or died as "
                        "it began; `volfs overlays` shows it"
                    )
            self._refs.delete(txn, record)

        self._engine.environment.free(delete)

    # --- versions --------------------------------------------------------

    def get_head(self, volume_id: str) -> Head:
        return self._refs.get_head(volume_id)

    def guess_head(self, volume_id: str) -> Head:
        return self._refs.get_head(volume_id)  # A look at the head costs nothing here.

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

    def list_tags(self, volume_id: str) -> list[Tag]:
        return self._tags.list_all(volume_id)

    def delete_tag(self, volume_id: str, tag: str) -> None:
        self._tags.delete(volume_id, tag)

    # --- publishing ------------------------------------------------------

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
        if new.version <= expected.version:
            raise ValueError(f"version {new.version} cannot follow {expected.version}")
        self._publisher.run(upload, HeadMove(volume_id, expected, new, shares), lease)
