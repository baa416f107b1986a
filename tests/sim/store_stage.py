"""A store with clients that each do one thing with it, for interleavings that have a name."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from tests.sim.by_hand import finish
from tests.sim.host_actions import (
    FIRST_MACHINE,
    SOURCE,
    Ledger,
    begin_store,
    judge,
    list_chunks,
)
from tests.sim.plain_packs import open_plain_engine
from tests.sim.simulation import Client, Simulation
from tests.sim.store_gc import StoreCollector
from volfs.errors import HeadMovedError, VolfsError
from volfs.model.objects import Kind, Oid
from volfs.store.contract.lease import Lease, LeaseKind
from volfs.store.contract.refs import Head, VolumeRecord
from volfs.store.distributed.data.bucket_upload import BucketUpload
from volfs.store.distributed.opened import BucketEngine

__all__ = ["FIRST_MACHINE"]
Act = Callable[[BucketEngine], object]


class StoreStage:
    """The source has the versions 0, 1 and 2; its log has the lines 0, 1 and 2. If version 1
    ``expires``, line 3 says so."""

    def __init__(self, place: Path, *, expires: bool = False) -> None:
        self.sim, self.ledger, self.place = Simulation(), Ledger(), place
        self.results: dict[str, object] = {}
        begin_store(self.sim.direct_bucket(), place, expires=expires)

    def add(self, name: str, act: Act, machine: str = "") -> Client:
        """A client that does this. What comes of it, or the error of volfs, is in ``results``."""

        def live(client: Client) -> None:
            engine = open_plain_engine(client.bucket, self.place / (machine or name))
            try:
                self.results[name] = act(engine)
            except VolfsError as error:
                self.results[name] = error
            finally:
                engine.close_parts()

        return self.sim.add(name, live)

    def add_gc(self, name: str = "gc", *, revokes: bool = False) -> Client:
        """A gc that revokes all leases that it may, or none."""
        return self.sim.add(name, StoreCollector(1, self.place, lambda: 1.0 - revokes).live)

    def ask(self, act: Act, machine: str = "") -> object:
        """Do this now, with nobody in between. An error of volfs is the answer, too."""
        name = f"asker {len(self.sim.clients)}"
        finish(self.add(name, act, machine))
        return self.results[name]

    def judge(self) -> None:
        judge(self.sim.direct_bucket(), self.ledger, self.place / f"{random.random()}")

    def list_versions(self, volume: str = SOURCE) -> object:
        return self.ask(lambda engine: [head.version for head in engine.refs.iter_versions(volume)])

    def note_mount(self, name: str) -> None:
        """If a client has a lease, it is told that the lease's versions are kept."""
        lease = self.results[name]
        if isinstance(lease, Lease):
            self.ledger.mounted[lease.session] = lease, set(lease.versions)

    def find(self, name: str) -> object:
        return self.ask(lambda engine: engine.refs.get_volume(name).id)


def commit(text: bytes, volume: str = SOURCE, lease: Lease | None = None) -> Act:
    """A commit of one chunk. The version."""

    def act(engine: BucketEngine) -> int:
        with engine.volumes.open_upload(volume) as upload:
            oid = upload.put_object(Kind.CHUNK, text)
            return publish_chunks(engine, upload, volume, oid, lease)

    return act


def publish_chunks(
    engine: BucketEngine, upload: BucketUpload, volume: str, oids: bytes, lease: Lease | None
) -> int:
    """Publish a version of these chunks on whichever head is there. The version."""
    while True:
        head = engine.refs.guess_head(volume)
        said = engine.bucket.world.random_bytes(16) + oids
        new = Head(head.version + 1, upload.put_object(Kind.MANIFEST, said))
        with suppress(HeadMovedError):
            engine.refs.publish(upload, volume, head, new, lease=lease)
            return new.version


def read(volume: str, version: int, manifest: Oid | None = None) -> Act:
    """How many chunks of a version can be read: all of them."""

    def act(engine: BucketEngine) -> int:
        oid = manifest or engine.refs.find_version(volume, version)
        assert oid is not None, f"{volume}: no version {version}"
        objects = engine.volumes.open(volume).objects
        return len([objects.load_object(each) for each in list_chunks(engine, volume, oid)])

    return act


def mount(
    session: str,
    volume: str = SOURCE,
    version: int | None = None,
    kind: LeaseKind = LeaseKind.KEPT,
) -> Callable[[BucketEngine], Lease]:
    """Put a lease on the head, or on another version. The lease."""

    def act(engine: BucketEngine) -> Lease:
        mounted = engine.refs.get_head(volume).version if version is None else version
        lease = Lease(session, volume, (mounted,), began_ns=1, host=session, kind=kind)
        engine.leases.put(lease)
        return lease

    return act


def delete(name: str) -> Act:
    return lambda engine: engine.refs.delete_volume(name)


def create(volume: str, name: str) -> Act:
    return lambda engine: engine.refs.create_volume(make_record(volume, name), b"manifest 0")


def fork(volume: str, name: str, version: int = 2, source: str = SOURCE) -> Act:
    def act(engine: BucketEngine) -> None:
        manifest = engine.refs.find_version(source, version)
        chunks = list_chunks(engine, source, manifest) if manifest is not None else []
        manifests = (b"manifest 0", bytes(16) + b"".join(chunks))
        engine.refs.fork_volume(make_record(volume, name), manifests, source, version)

    return act


def make_record(volume: str, name: str) -> VolumeRecord:
    return VolumeRecord(volume, name, 2, 20, 0, "sim")
