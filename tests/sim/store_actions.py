"""Clients that commit, mount, expire, fork, revoke, delete and collect, all in one store.

gc has no grace here and spares no orphans, so it takes everything that it may. A ledger has what
the clients were told. ``tests/sim/store_judge.py`` judges by it.
"""

from __future__ import annotations

import random
import shutil
from contextlib import suppress
from pathlib import Path

import msgspec

from tests.sim.listed_content import (
    AT_ONCE,
    CHUNKS,
    LARGE,
    STAMP,
    Content,
    SimMachine,
    list_chunks,
    make_record,
)
from tests.sim.simulation import Client
from volfs.buckets.access import Bucket
from volfs.errors import (
    DataError,
    HeadMovedError,
    StoreError,
    StoreUncertainError,
    UserError,
)
from volfs.model.logs.gc_log import GC_CHANGES
from volfs.model.logs.line import NO_LINE
from volfs.model.objects import Kind, Oid
from volfs.store.contract.lease import Lease, LeaseKind
from volfs.store.contract.refs import Head
from volfs.store.distributed.care.bucket_collector import BucketCollector
from volfs.store.distributed.log.log import Log
from volfs.store.distributed.place.object_keys import gc_log

VOLUME = "vo-" + "0" * 22
ACTIONS = ("commit",) * 5 + ("mount",) * 2 + ("expire",) * 2 + ("fork", "tag", "delete", "revoke")
TOO_LATE = (StoreError, DataError, UserError)
"""What a client may be told when others were faster, or the network is bad."""


class StoreLedger:
    """What the clients were told."""

    def __init__(self) -> None:
        self.volumes: list[str] = [VOLUME]
        self.committed: dict[tuple[str, int], tuple[Oid, Content]] = {}
        """The manifest and content of each acknowledged version."""
        self.refused: set[Oid] = set()
        self.expired: set[tuple[str, int]] = set()
        """Versions that may have been expired."""
        self.deleted: set[str] = set()
        """Volumes that may have been deleted."""
        self.sessions: list[str] = []
        self.lost: list[str] = []
        """What a mount could not read though its lease was in force."""


class Actor:
    """What one machine can do."""

    def __init__(self, machine: SimMachine, ledger: StoreLedger, chance: random.Random) -> None:
        self.machine = machine
        self.ledger = ledger
        self.chance = chance
        self.shown: dict[Oid, bytes] = {}
        """What the present mount shows."""

    # --- commits ---------------------------------------------------------------------

    def commit(self, volume: str, content: Content, lease: Lease | None = None) -> Lease | None:
        """Publish content, as a commit does: after a lost race, the manifest is made anew on the
        new head. With a lease, everything that its first version has is kept, and not put again.

        The lease after it.
        """
        sent: set[Oid] = set()
        base = self.shown if lease is not None else {}
        try:
            with self.machine.engine.volumes.open_upload(volume) as upload:
                while True:
                    head = self.machine.refs.guess_head(volume)
                    chunks = [upload.put_object(Kind.CHUNK, chunk) for chunk in content]
                    manifest = self.chance.randbytes(STAMP) + b"".join((*base, *chunks))
                    new = Head(head.version + 1, upload.put_object(Kind.MANIFEST, manifest))
                    sent.add(new.manifest)
                    later = lease and _widen(lease, new.version)
                    try:
                        self.machine.refs.publish(upload, volume, head, new, lease=later)
                    except HeadMovedError:
                        continue
                    told = new.manifest, (*base.values(), *content)
                    self.ledger.committed[volume, new.version] = told
                    return later
        except StoreUncertainError:
            raise
        except TOO_LATE:
            self.ledger.refused |= sent
            raise

    # --- mounts ----------------------------------------------------------------------

    def mount(self, volume: str, session: str) -> Lease:
        """Put a lease on the head as it is known, and read what it shows. NotFoundError."""
        head = self.machine.refs.guess_head(volume)
        lease = Lease(session, volume, (head.version,), began_ns=1, kind=LeaseKind.KEPT)
        self.machine.leases.put(lease)
        self.show(lease, head.manifest)
        return lease

    def use(self, lease: Lease, manifest: Oid, actions: int) -> None:
        """Read and commit for a while, then end."""
        for _ in range(actions):
            if self.chance.random() < 0.5:
                lease = self.commit(lease.volume_id, self.draw(), lease) or lease
            else:
                self.show(lease, manifest)
        self.machine.leases.drop(lease.session)

    def show(self, lease: Lease, manifest: Oid) -> None:
        """Read what a mount shows. That can fail only if its lease is not in force any more."""
        objects = self.machine.objects_of(lease.volume_id)
        try:
            chunks = list_chunks(objects.load_object(manifest))
            self.shown = {oid: objects.load_object(oid) for oid in chunks}
        except DataError as error:
            if self.machine.leases.is_in_force(lease):
                self.ledger.lost.append(f"{lease.session}: {error}")
            raise

    # --- others ----------------------------------------------------------------------

    def expire(self, volume: str) -> None:
        versions = [head.version for head in self.machine.list_versions(volume)][1:]
        if versions:
            version = self.chance.choice(versions)
            self.ledger.expired.add((volume, version))
            self.machine.refs.remove_versions(volume, [version])

    def fork(self, source: str, new: str) -> None:
        heads = self.machine.list_versions(source)
        if not heads:
            return
        version = self.chance.choice(heads)
        content = list_chunks(self.machine.objects_of(source).load_object(version.manifest))
        manifests = (self.chance.randbytes(STAMP), self.chance.randbytes(STAMP) + b"".join(content))
        self.machine.refs.fork_volume(make_record(new), manifests, source, version.version)
        self.ledger.volumes.append(new)

    def delete(self, volume: str) -> None:
        self.ledger.deleted.add(volume)
        self.machine.refs.delete_volume(make_record(volume).name)

    def revoke(self, session: str) -> None:
        """As a gc may do to a lease that nobody renews."""
        lease = self.machine.leases.find(session)
        if lease is not None:
            self.machine.leases.revoke(session, lease)

    def tag(self, volume: str) -> None:
        head = self.machine.refs.get_head(volume)
        self.machine.refs.put_tag(volume, "t", head.version, move=True)

    def draw(self) -> Content:
        content = tuple(self.chance.sample(CHUNKS, self.chance.randint(1, 3)))
        if self.chance.random() < 0.5:
            content += (self.chance.choice(LARGE),)
        return content


class StoreClient:
    """One client that does what its seed says."""

    def __init__(
        self, name: str, seed: int, actions: int, ledger: StoreLedger, place: Path
    ) -> None:
        self._name = name
        self._chance = random.Random(f"{name} {seed}")
        self._left = actions
        self._ledger = ledger
        self._place = place / name
        self._forks = 0

    def live(self, client: Client) -> None:
        machine = open_machine(client, self._place)
        try:
            actor = Actor(machine, self._ledger, self._chance)
            while self._left:
                self._left -= 1
                with suppress(*TOO_LATE):
                    self._do(actor, self._chance.choice(ACTIONS))
        finally:
            machine.close()

    def _do(self, actor: Actor, action: str) -> None:
        volume = self._chance.choice(self._ledger.volumes)
        match action:
            case "commit":
                actor.commit(volume, actor.draw())
            case "mount":
                self._mount(actor, volume)
            case "expire":
                actor.expire(volume)
            case "fork":
                self._forks += 1
                actor.fork(volume, f"vo-{self._name}{self._forks:021d}")
            case "delete" if volume != VOLUME:
                actor.delete(volume)
            case "revoke" if self._ledger.sessions:
                actor.revoke(self._chance.choice(self._ledger.sessions))
            case _:
                actor.tag(volume)

    def _mount(self, actor: Actor, volume: str) -> None:
        session = f"{self._name}-{len(self._ledger.sessions)}"
        self._ledger.sessions.append(session)
        manifest = actor.machine.refs.guess_head(volume).manifest
        lease = actor.mount(volume, session)
        actor.use(lease, manifest, self._chance.randint(1, 3))


class Impatient(BucketCollector):
    """A gc that takes the place of each fork that has no log yet."""

    fork_patience_ns = 0


class GcClient:
    """A client that collects some times, and brings back what was condemned now and then."""

    def __init__(self, name: str, seed: int, runs: int, place: Path) -> None:
        self._chance = random.Random(f"{name} {seed}")
        self._left = runs
        self._place = place / name
        self._collector = self._chance.choice((BucketCollector, Impatient))

    def live(self, client: Client) -> None:
        machine = open_machine(client, self._place)
        try:
            while self._left:
                self._left -= 1
                with suppress(*TOO_LATE):  # Any error ends gc. The next run goes on.
                    if self._chance.random() < 0.15:
                        machine.engine.care.undelete()
                    elif self._chance.random() < 0.15:
                        machine.collect(AT_ONCE._replace(grace_ns=1 << 60), self._collector)
                    else:
                        machine.collect(AT_ONCE, self._collector)
        finally:
            machine.close()


def open_machine(client: Client, place: Path) -> SimMachine:
    """The machine of a life of a client, whose disk may be lost."""
    if not client.disk:
        shutil.rmtree(place, ignore_errors=True)
        client.disk["rows"] = True
    return SimMachine(client.bucket, place)


def begin_store(bucket: Bucket, place: Path) -> None:
    """A store with one volume."""
    log = Log(bucket, gc_log())
    log.append(0, log.make_line(NO_LINE, 0, GC_CHANGES.encode(())))
    machine = SimMachine(bucket, place / "beginning")
    machine.refs.create_volume(make_record(VOLUME), bytes(STAMP))
    machine.close()


def _widen(lease: Lease, version: int) -> Lease:
    return msgspec.structs.replace(lease, versions=(*lease.versions, version))
