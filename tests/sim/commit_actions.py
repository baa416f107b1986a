"""Clients that commit content to one volume, and whether every version reads byte for byte.

A version is a manifest that lists the ids of chunks. Chunks are drawn from few, so that most
commits find some that others have put. Some are too large for a line, so packs are put for them.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

from tests.sim.listed_content import CHUNKS, LARGE, Content
from tests.sim.plain_packs import open_plain_packs
from tests.sim.scheduler import Scheduler, making_disks, telling_schedule
from tests.sim.simulation import Client, Simulation
from tests.sim.volume_actions import VOLUME, list_versions, make_facts
from volfs.buckets.access import Bucket
from volfs.errors import DataError, HeadMovedError, StoreError, StoreUncertainError
from volfs.model.logs.volume_changes import VersionsExpired, VersionTagged, VolumeCreated
from volfs.model.objects import Kind, Oid
from volfs.store.contract.refs import Head
from volfs.store.distributed.data.bucket_data import BucketData
from volfs.store.distributed.data.bucket_upload import BucketUpload
from volfs.store.distributed.log.follower import Follower
from volfs.store.distributed.log.log import Log
from volfs.store.distributed.log.log_rules import VOLUME_RULES
from volfs.store.distributed.place.object_keys import gc_log, volume_log
from volfs.store.distributed.refs.checkpoint_keeper import CheckpointKeeper
from volfs.store.distributed.refs.condemned_packs import find_condemned
from volfs.store.distributed.refs.open_volumes import OpenVolumes
from volfs.store.distributed.refs.volume_logs import VolumeLogs
from volfs.store.distributed.refs.volume_publisher import (
    GcFacts,
    HeadToPublish,
    VolumePublisher,
)
from volfs.store.distributed.refs.volume_view import VolumeBook, VolumeView

MakePublisher = Callable[[VolumeBook, Client], VolumePublisher]
OpenMachine = Callable[[Bucket, Path, float], "Machine"]


def open_book(log: Log) -> VolumeBook:
    return VolumeBook(Follower(log, VOLUME_RULES), VOLUME)


def make_facts_of_gc(client: Client) -> GcFacts:
    return GcFacts(partial(find_condemned, Log(client.bucket, gc_log())), lambda session: True)


def make_publisher(book: VolumeBook, client: Client) -> VolumePublisher:
    return VolumePublisher(book, make_facts_of_gc(client), client.world)


NO_GC = GcFacts(lambda after, upto: (), lambda session: True)


class Ledger:
    """What the clients were told."""

    def __init__(self) -> None:
        self.committed: dict[int, tuple[Oid, Content]] = {}
        """The manifest and the content of each acknowledged version."""
        self.refused: set[Oid] = set()
        self.expired: set[int] = set()
        """Versions that may have been expired."""


class Machine:
    """What one life of a client has: the volume's log, and the data path with rows on its disk."""

    def __init__(
        self, bucket: Bucket, directory: Path, seconds: float = 60.0, lines: int = 0
    ) -> None:
        """There is a checkpoint every so many lines, if a number is said."""
        self.data = BucketData(bucket, directory, open_plain_packs(bucket))
        logs = VolumeLogs(bucket, seconds)
        volumes = OpenVolumes(logs, self.data, NO_GC, bucket.world)
        self.keeper = CheckpointKeeper(logs, volumes, bucket.world, lines)
        logs.listen(self.keeper)
        self.book, self.objects, _ = volumes.open(VOLUME)
        self.logs = logs

    def close(self) -> None:
        try:
            self.keeper.close()
        finally:
            self.data.close()

    def get_head(self) -> Head:
        versions = self.book.packs.alive.versions
        row = versions.find(versions.head)
        assert row is not None
        return Head(versions.head, row.manifest)

    def list_oids(self, version: int) -> list[Oid]:
        """The manifest of a version, and the chunks that it lists. DataError."""
        row = self.logs.find_row(VOLUME, self.book.packs.alive, version)
        assert row is not None
        listed = self.objects.load_object(row.manifest)[16:]
        return [row.manifest, *(Oid(listed[at : at + 32]) for at in range(0, len(listed), 32))]

    def read(self, version: int) -> tuple[Oid, Content]:
        """The manifest of a version, and its content. DataError."""
        manifest, *chunks = self.list_oids(version)
        return manifest, tuple(map(self.objects.load_object, chunks))


class Committer:
    """One client."""

    def __init__(
        self,
        name: str,
        seed: int,
        actions: int,
        ledger: Ledger,
        place: Path,
        make: MakePublisher,
        open_machine: OpenMachine | None = None,
    ) -> None:
        self._open = open_machine or Machine
        self._chance = random.Random(f"{name} {seed}")
        self._left = actions
        self._ledger = ledger
        self._place = place / name
        self._make = make

    def live(self, client: Client) -> None:
        if not client.disk:
            shutil.rmtree(self._place, ignore_errors=True)
            client.disk["rows"] = True
        machine = self._open(client.bucket, self._place, self._chance.choice((5.0, 60.0)))
        try:
            publisher = self._make(machine.book, client)
            while self._left:
                self._left -= 1
                self._do(machine, publisher)
        finally:
            machine.close()

    def _do(self, machine: Machine, publisher: VolumePublisher) -> None:
        action = self._chance.choice(("commit", "commit", "commit", "expire", "tag"))
        try:
            if action == "commit":
                self._commit(machine, publisher, self._draw())
            else:
                change = self._expire if action == "expire" else _tag
                machine.book.follower.change(lambda state: change(VolumeView(VOLUME, state)))
        except (StoreError, DataError):
            pass

    def _draw(self) -> Content:
        content = tuple(self._chance.sample(CHUNKS, self._chance.randint(1, 4)))
        if self._chance.random() < 0.6:
            content += (self._chance.choice(LARGE),)
        return content

    def _commit(self, machine: Machine, publisher: VolumePublisher, content: Content) -> None:
        sent: set[Oid] = set()
        with publisher.open_upload(machine.data, machine.objects) as upload:
            try:
                self._publish(machine, publisher, upload, content, sent)
            except StoreUncertainError:
                raise
            except (StoreError, DataError):
                self._ledger.refused |= sent
                raise

    def _publish(
        self,
        machine: Machine,
        publisher: VolumePublisher,
        upload: BucketUpload,
        content: Content,
        sent: set[Oid],
    ) -> None:
        """As a commit does: after a lost race, the manifest is made anew on the new head."""
        while True:
            head = machine.get_head()
            manifest = self._chance.randbytes(16)
            manifest += b"".join(upload.put_object(Kind.CHUNK, chunk) for chunk in content)
            oid = upload.put_object(Kind.MANIFEST, manifest)
            sent.add(oid)
            new = Head(head.version + 1, oid)
            try:
                publisher.publish(upload, HeadToPublish(head, new))
            except HeadMovedError:
                continue
            self._ledger.committed[new.version] = oid, content
            return

    def _expire(self, view: VolumeView) -> list[VersionsExpired]:
        state = view.alive
        free = [v for v in list_versions(state)[1:-1] if v not in state.tagged]
        if not free:
            return []
        version = self._chance.choice(free)
        self._ledger.expired.add(version)
        return [VersionsExpired(((version, version),))]


class Scripted(Committer):
    """A client that commits what it is told."""

    def __init__(
        self,
        name: str,
        contents: list[Content],
        ledger: Ledger,
        place: Path,
        make: MakePublisher,
        open_machine: OpenMachine | None = None,
    ) -> None:
        super().__init__(name, 0, len(contents), ledger, place, make, open_machine)
        self._contents = contents

    def _do(self, machine: Machine, publisher: VolumePublisher) -> None:
        with suppress(DataError):
            self._commit(machine, publisher, self._contents[-self._left - 1])


def _tag(view: VolumeView) -> list[VersionTagged]:
    return [VersionTagged("t", view.alive.versions.head, True)]


def judge(bucket: Bucket, ledger: Ledger, place: Path) -> None:
    """By a machine that knows nothing: every version reads, and nobody was told a lie."""
    machine = Machine(bucket, place / "judge")
    try:
        there = list_versions(machine.book.refresh().alive)
        for version in there[1:]:
            found = machine.read(version)
            told = ledger.committed.get(version)
            assert told is None or told == found, f"version {version} is not what was committed"
            assert found[0] not in ledger.refused, f"version {version} was refused"
        gone = set(ledger.committed) - set(there)
        assert gone <= ledger.expired, f"acknowledged, and gone: {gone - ledger.expired}"
    finally:
        machine.close()


def begin_volume(bucket: Bucket) -> None:
    """Line 0."""
    book = open_book(Log(bucket, volume_log(VOLUME)))
    made = VolumeCreated(make_facts(VOLUME), ((0, bytes(32)),))
    assert book.follower.propose(book.follower.known, [made])


def run_commits(
    seed: int, make: MakePublisher = make_publisher, open_machine: OpenMachine | None = None
) -> Simulation:
    """One schedule: two or three clients commit to one volume. ``ScheduleError``."""
    chance = random.Random(f"commits {seed}")
    sim, ledger = Simulation(seed), Ledger()
    with telling_schedule(sim, seed), making_disks() as place:
        begin_volume(sim.direct_bucket())
        for name in "abc"[: chance.randint(2, 3)]:
            actions = chance.randint(1, 4)
            committer = Committer(name, seed, actions, ledger, place, make, open_machine)
            sim.add(name, committer.live)
        Scheduler(sim, seed).run()
        judge(sim.direct_bucket(), ledger, place)
    return sim
