"""Hosts that use a whole store: commits, mounts, expiry, forks and deletion, beside gc.

A version is a manifest that lists the ids of chunks, so whatever reads is what was committed: an
id is the hash of the content. Chunks are drawn from few, and some are too large for a line.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import msgspec

from tests.sim.commit_actions import CHUNKS, LARGE
from tests.sim.plain_packs import open_plain_engine
from tests.sim.scheduler import Scheduler, making_disks, telling_schedule
from tests.sim.simulation import Client, Life, Simulation
from tests.sim.store_gc import History, StoreCollector, Undeleter
from volfs.buckets.access import Bucket, iter_objects
from volfs.errors import HeadMovedError, MissingObjectError, StoreUncertainError, VolfsError
from volfs.model.logs.gc_log import GC_CHANGES
from volfs.model.logs.line import NO_LINE
from volfs.model.objects import Kind, Oid
from volfs.store.contract.lease import Lease, LeaseKind
from volfs.store.contract.refs import Head, VolumeRecord
from volfs.store.distributed.data.bucket_upload import BucketUpload
from volfs.store.distributed.log.log import Log
from volfs.store.distributed.machine import CACHE
from volfs.store.distributed.opened import BucketEngine
from volfs.store.distributed.place.object_keys import VOLUMES, find_volume_id, gc_log

SOURCE = "vo-" + "0" * 22
FIRST = b"manifest 0"
FIRST_MACHINE = "first"
ACTIONS = ("commit",) * 5 + ("mount",) * 3 + ("expire",) * 3 + ("fork", "unmount", "delete", "tag")
Version = tuple[str, int]


class Ledger:
    """What the hosts were told."""

    def __init__(self) -> None:
        self.volumes = [SOURCE]
        self.committed: dict[Version, Oid] = {}
        self.refused: set[Oid] = set()
        self.expired: set[Version] = set()
        """Versions that may have been expired."""
        self.deleted: set[str] = set()
        self.mounted: dict[str, tuple[Lease, set[int]]] = {}
        """The lease of each session, and the versions that it keeps for sure if it is in force."""


class Mounted(NamedTuple):
    """What a host knows of its mount, on its disk."""

    lease: Lease
    base: Head
    content: tuple[Oid, ...]


class Host:
    """One machine, with one session."""

    def __init__(
        self,
        name: str,
        seed: int,
        actions: int,
        ledger: Ledger,
        place: Path,
        kinds: tuple[str, ...],
    ) -> None:
        self._name = name
        self._chance = random.Random(f"host {name} {seed}")
        self._left = actions
        self._ledger = ledger
        self._place = place / name
        self._kinds = kinds
        self._count = 0

    def live(self, client: Client) -> None:
        if not client.disk:
            shutil.rmtree(self._place, ignore_errors=True)
            if client.lives == 1:
                copy_rows(self._place)
            client.disk["mount"] = None
        engine = open_plain_engine(client.bucket, self._place)
        try:
            while self._left:
                self._left -= 1
                self._do(client, engine)
        finally:
            engine.close_parts()

    def _do(self, client: Client, engine: BucketEngine) -> None:
        kind = self._chance.choice(self._kinds)
        volume = self._chance.choice(self._ledger.volumes)
        try:
            if kind == "commit" and client.disk["mount"] is not None:
                self._commit_of_mount(client, engine)
            elif kind == "commit":
                self._commit(engine, volume)
            elif kind in ("mount", "unmount"):
                getattr(self, f"_{kind}")(client, engine)
            else:
                getattr(self, f"_{kind}")(engine, volume)
        except VolfsError:
            pass

    # --- commits ----------------------------------------------------------------------

    def _draw(self) -> list[bytes]:
        chunks = self._chance.sample(CHUNKS, self._chance.randint(1, 2))
        return [*chunks, self._chance.choice(LARGE)] if self._chance.random() < 0.7 else chunks

    def _commit(self, engine: BucketEngine, volume: str) -> None:
        """An edit, which stands on nothing."""
        chunks = self._draw()
        with engine.volumes.open_upload(volume) as upload:
            ids = [upload.put_object(Kind.CHUNK, chunk) for chunk in chunks]
            if self._chance.random() < 0.3:
                engine.refs.get_head(volume)  # Others of this process read on, too.
            self._publish(engine, volume, upload, lambda head: ids, None)

    def _commit_of_mount(self, client: Client, engine: BucketEngine) -> None:
        """A commit that keeps parts of its base, which nobody puts again."""
        mounted = client.disk["mount"]
        assert isinstance(mounted, Mounted)
        volume = mounted.lease.volume_id
        with engine.volumes.open_upload(volume) as upload:
            own = [upload.put_object(Kind.CHUNK, chunk) for chunk in self._draw()]

            def merge(head: Head) -> list[Oid]:
                theirs = list_chunks(engine, volume, head.manifest)
                return list(dict.fromkeys([*own, *mounted.content[:1], *theirs]))[:6]

            new = self._publish(engine, volume, upload, merge, mounted.lease)
        lease = widen(mounted.lease, new)
        client.disk["mount"] = mounted._replace(lease=lease)
        self._ledger.mounted[lease.session] = lease, {*lease.versions}

    def _publish(
        self,
        engine: BucketEngine,
        volume: str,
        upload: BucketUpload,
        choose: Callable[[Head], list[Oid]],
        lease: Lease | None,
    ) -> int:
        """After a lost race, the manifest is made anew on the new head. The version."""
        sent: set[Oid] = set()
        try:
            while True:
                head = engine.refs.guess_head(volume)
                text = self._chance.randbytes(16) + b"".join(choose(head))
                new = Head(head.version + 1, upload.put_object(Kind.MANIFEST, text))
                sent.add(new.manifest)
                wide = None if lease is None else widen(lease, new.version)
                try:
                    engine.refs.publish(upload, volume, head, new, lease=wide)
                except HeadMovedError:
                    continue
                self._ledger.committed[volume, new.version] = new.manifest
                return new.version
        except StoreUncertainError:
            raise
        except VolfsError:
            self._ledger.refused |= sent
            raise

    # --- mounts ------------------------------------------------------------------------

    def _mount(self, client: Client, engine: BucketEngine) -> None:
        """L1 to L3: the lease keeps a version from now on, whatever becomes of it."""
        self._count += 1
        volume = self._chance.choice(self._ledger.volumes)
        session = f"{self._name}.{volume[-6:]}"
        head = self._choose_version(engine, volume)
        kind = self._chance.choice(tuple(LeaseKind))
        lease = Lease(
            session, volume, (head.version,), began_ns=self._count, kind=kind, host=self._name
        )
        former = self._ledger.mounted.pop(session, None)
        client.disk["mount"] = None
        if former is not None:  # Until the new one is there, what both need is kept.
            both = former[1] & {head.version}
            self._ledger.mounted[session] = lease, both
        engine.leases.put(lease)
        self._ledger.mounted[session] = lease, {head.version}
        content = tuple(list_chunks(engine, volume, head.manifest))
        client.disk["mount"] = Mounted(lease, head, content)

    def _unmount(self, client: Client, engine: BucketEngine) -> None:
        mounted, client.disk["mount"] = client.disk["mount"], None
        if isinstance(mounted, Mounted):
            self._ledger.mounted.pop(mounted.lease.session, None)
            engine.leases.drop(mounted.lease.session)

    def _choose_version(self, engine: BucketEngine, volume: str) -> Head:
        """Any version. NotFoundError."""
        return self._chance.choice(
            [engine.refs.get_head(volume), *engine.refs.iter_versions(volume)]
        )

    # --- the rest ------------------------------------------------------------------------

    def _expire(self, engine: BucketEngine, volume: str) -> None:
        versions = [head.version for head in engine.refs.iter_versions(volume)][1:]
        chosen = self._chance.sample(versions, min(len(versions), 2))
        self._ledger.expired |= {(volume, version) for version in chosen}
        engine.refs.remove_versions(volume, chosen)

    def _tag(self, engine: BucketEngine, volume: str) -> None:
        engine.refs.put_tag(volume, self._name, engine.refs.get_head(volume).version, move=True)

    def _fork(self, engine: BucketEngine, volume: str) -> None:
        self._count += 1
        head = self._choose_version(engine, volume)
        new = f"vo-{self._name}{self._count:021d}"
        text = self._chance.randbytes(16)
        text += b"".join(list_chunks(engine, volume, head.manifest))
        record = VolumeRecord(new, f"fork-{new[3:]}", 2, 20, 0, "sim")
        engine.refs.fork_volume(record, (FIRST, text), volume, head.version)
        self._ledger.volumes.append(new)
        for each in engine.refs.iter_versions(new):
            self._ledger.committed[new, each.version] = each.manifest

    def _delete(self, engine: BucketEngine, volume: str) -> None:
        if volume != SOURCE:
            self._ledger.deleted.add(volume)
            record = engine.refs.find_volume_by_id(volume)
            if record is not None:
                engine.refs.delete_volume(record.name)


def copy_rows(place: Path) -> None:
    """Let a machine know where the objects of the first versions are."""
    shutil.copytree(place.parent / FIRST_MACHINE / CACHE, place / CACHE)


def widen(lease: Lease, version: int) -> Lease:
    return msgspec.structs.replace(lease, versions=(*lease.versions, version))


def list_chunks(engine: BucketEngine, volume: str, manifest: Oid) -> list[Oid]:
    """The chunks that a version has. DataError."""
    listed = engine.volumes.open(volume).objects.load_object(manifest)[16:]
    return [Oid(listed[at : at + 32]) for at in range(0, len(listed), 32)]


# --- the judge ------------------------------------------------------------------------


def judge(bucket: Bucket, ledger: Ledger, place: Path) -> None:
    """By a machine that knows nothing: every version and every lease in force reads, and nobody was
    told a lie."""
    engine = open_plain_engine(bucket, place / "judge")
    try:
        histories = {}
        for volume in sorted({find_volume_id(i.key) or "" for i in iter_objects(bucket, VOLUMES)}):
            histories[volume] = History(bucket, volume)
            histories[volume].read()
            judge_volume(engine, histories[volume], ledger)
        for (volume, version), manifest in ledger.committed.items():
            there = histories[volume].list_versions()
            assert (
                version in there
                or volume in ledger.deleted
                or ((volume, version) in ledger.expired)
            ), f"acknowledged, and gone: version {version} of {volume}"
            assert histories[volume].manifests[version] == manifest
        for lease, versions in ledger.mounted.values():
            judge_lease(engine, histories[lease.volume_id], lease, versions)
    finally:
        engine.close_parts()


def judge_volume(engine: BucketEngine, history: History, ledger: Ledger) -> None:
    for version in history.list_versions():
        manifest = history.manifests[version]
        assert manifest not in ledger.refused, f"refused, and there: version {version}"
        read_version(engine, history.volume, manifest, f"version {version}")


def judge_lease(engine: BucketEngine, history: History, lease: Lease, versions: set[int]) -> None:
    found = engine.leases.find(lease.session)
    if found is not None and found.began_ns == lease.began_ns:
        for version in versions:
            what = f"version {version}, which {lease.session} has mounted"
            read_version(engine, history.volume, history.manifests[version], what)


def read_version(engine: BucketEngine, volume: str, manifest: Oid, what: str) -> None:
    objects = engine.volumes.open(volume).objects
    try:
        for oid in list_chunks(engine, volume, manifest):
            objects.load_object(oid)
    except MissingObjectError as error:
        raise AssertionError(f"{volume}: {what}: content is lost: {error}") from error


# --- schedules ------------------------------------------------------------------------


class Cast(NamedTuple):
    """Who takes part in a schedule, beside what chance decides."""

    kinds: tuple[str, ...] = ACTIONS
    hosts: tuple[int, int] = (2, 3)
    actions: tuple[int, int] = (2, 6)
    collectors: tuple[int, int] = (1, 2)
    undeleters: int = 1
    calm: float | None = None
    """The share of requests that nothing happens to, if chance is not to say. Nobody dies then."""


EVERYBODY = Cast()
STALLS = 0.02
RANKED = 0.6
"""The share of the schedules in which clients have ranks."""
CALMS = (None, 1.0)
"""The shares of requests that nothing happens to; None if chance is to say."""
YEAR_NS = 365 * 86_400 * 10**9
"""By so much the clocks of some machines are wrong."""


def begin_store(bucket: Bucket, place: Path, *, expires: bool = False) -> None:
    """gc's line 0, and a volume with two versions, and one that has expired. Its pack is dead, and
    open to whoever finds it."""
    log = Log(bucket, gc_log())
    log.append(0, log.make_line(NO_LINE, 0, GC_CHANGES.encode(())))
    engine = open_plain_engine(bucket, place / FIRST_MACHINE)
    try:
        engine.refs.create_volume(VolumeRecord(SOURCE, "source", 2, 20, 0, "sim"), FIRST)
        for number in range(2):
            with engine.volumes.open_upload(SOURCE) as upload:
                oid = upload.put_object(Kind.CHUNK, LARGE[number])
                head = engine.refs.guess_head(SOURCE)
                new = Head(number + 1, upload.put_object(Kind.MANIFEST, bytes(16) + oid))
                engine.refs.publish(upload, SOURCE, head, new)
        if expires:
            engine.refs.remove_versions(SOURCE, [1])
    finally:
        engine.close_parts()


def run_store(seed: int, cast: Cast = EVERYBODY) -> Simulation:
    """One schedule. ``ScheduleError``."""
    chance = random.Random(f"store {seed}")
    sim, ledger = Simulation(seed), Ledger()
    with telling_schedule(sim, seed), making_disks() as place:
        begin_store(sim.direct_bucket(), place, expires=True)
        for name, live in choose_lives(cast, seed, chance, ledger, place).items():
            sim.add(name, live).clock_error_ns = chance.choice((0, YEAR_NS, -YEAR_NS))
        calm = chance.choice(CALMS) if cast.calm is None else cast.calm
        is_calm = calm is not None
        Scheduler(sim, seed, deaths=not is_calm, calm=calm, stalls=STALLS, ranked=RANKED).run()
        judge(sim.direct_bucket(), ledger, place)
    return sim


def choose_lives(
    cast: Cast, seed: int, chance: random.Random, ledger: Ledger, place: Path
) -> dict[str, Life]:
    lives: dict[str, Life] = {}
    for name in "abcd"[: chance.randint(*cast.hosts)]:
        actions = chance.randint(*cast.actions)
        lives[name] = Host(name, seed, actions, ledger, place, cast.kinds).live
    for number in range(chance.randint(*cast.collectors)):
        revoking = random.Random(f"gc {number} {seed}").random
        lives[f"gc{number}"] = StoreCollector(chance.randint(1, 3), place, revoking).live
    if chance.random() < 0.5:
        for number in range(cast.undeleters):
            lives[f"undelete{number}"] = Undeleter(chance.randint(1, 2), place).live
    return lives
