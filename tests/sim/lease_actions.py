"""Clients that put, widen, narrow, renew and drop leases, while others expire what they stand on.

A gc beside them revokes leases by clocks that are wrong, deletes old logs, and removes the content
of all versions that it may. A client that was told that its lease is in force must find everything
that the lease has, until gc has tried to revoke it.
"""

from __future__ import annotations

import random
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

from msgspec.structs import replace

from tests.sim.scheduler import Scheduler, telling_schedule
from tests.sim.simulation import Client, Life, Simulation
from tests.sim.volume_actions import VOLUME, list_versions, make_facts
from volfs.buckets.access import Bucket
from volfs.errors import DataError, LeaseLostError, NotFoundError, StoreError, UserError
from volfs.model.logs.volume_changes import VersionPublished, VersionsExpired, VolumeCreated
from volfs.model.logs.volume_log import VolumeState
from volfs.store.contract.lease import Lease, LeaseKind
from volfs.store.distributed.leases.bucket_leases import BucketLeases
from volfs.store.distributed.leases.revocation import delete_old_lines, revoke_stale
from volfs.store.distributed.leases.session_logs import SessionLogs
from volfs.store.distributed.refs.volume_logs import VolumeLogs
from volfs.store.holds import Holds

DAY_NS = 86_400 * 10**9
MakeLeases = Callable[[Client, VolumeLogs], BucketLeases]
HOLDS = Path(tempfile.gettempdir()) / "no-holds"


def make_leases(client: Client, logs: VolumeLogs) -> BucketLeases:
    return BucketLeases(SessionLogs(client.bucket), logs, Holds(HOLDS), client.name)


class Ledger:
    """What gc has removed, and what clients were told that nobody removes."""

    def __init__(self) -> None:
        self.published = 0
        self.removed: set[int] = set()
        self.kept: dict[str, frozenset[int]] = {}
        """The versions that each session may rely on."""

    def rely(self, session: str, versions: frozenset[int], told: str) -> None:
        assert not versions & self.removed, f"{session}: {told}, and {versions & self.removed} gone"
        self.kept[session] = versions

    def remove(self, versions: set[int], in_force: set[str]) -> None:
        """gc removes versions, while these sessions have a lease."""
        for session in in_force & self.kept.keys():
            kept = self.kept[session]
            assert not kept & versions, f"{session} relies on {kept & versions}, which gc removes"
        self.removed |= versions


class Mount:
    """One session, by life after life."""

    def __init__(
        self, name: str, seed: int, actions: int, ledger: Ledger, make: MakeLeases
    ) -> None:
        self.session = f"m.{name}"
        self._chance = random.Random(f"{name} {seed}")
        self._left = actions
        self._ledger = ledger
        self._make = make
        self._kind = self._chance.choice((LeaseKind.RENEWED, LeaseKind.RENEWED, LeaseKind.KEPT))

    def live(self, client: Client) -> None:
        logs = VolumeLogs(client.bucket)
        leases = self._make(client, logs)
        lease: Lease | None = None
        while self._left:
            self._left -= 1
            try:
                # A life takes over what the life before has left.
                lease = lease or leases.find(self.session)
                lease = self._do(leases, logs, lease)
            except LeaseLostError:
                self._ledger.kept.pop(self.session, None)
                lease = None
            except NotFoundError:
                pass
            except (StoreError, DataError):
                pass
            client.world.pause(self._chance.choice((0.0, 1.0, 30.0)), threading.Event())

    def _do(self, leases: BucketLeases, logs: VolumeLogs, lease: Lease | None) -> Lease | None:
        action = self._chance.choice(("widen", "widen", "narrow", "renew", "renew", "drop"))
        if lease is None:
            return self._put(leases, self._begin(), logs, ())
        if action == "renew":
            leases.renew(lease)
            self._ledger.rely(self.session, frozenset(lease.versions), "renewed")
            return lease
        if action == "drop" and self._chance.random() < 0.5:
            self._ledger.kept.pop(self.session, None)
            leases.drop(self.session)
            return None
        return self._put(leases, lease, logs, lease.versions if action == "widen" else ())

    def _put(
        self, leases: BucketLeases, lease: Lease, logs: VolumeLogs, stay: tuple[int, ...]
    ) -> Lease:
        versions = list_versions(logs.get(VOLUME))
        chosen = self._chance.choice((versions[-1], *versions[-3:]))
        new = replace(lease, versions=tuple(sorted({*stay, chosen})))
        kept = self._ledger.kept.get(self.session, frozenset())
        if kept:
            self._ledger.kept[self.session] = kept & frozenset(new.versions)
        leases.put(new)
        self._ledger.rely(self.session, frozenset(new.versions), "put")
        return new

    def _begin(self) -> Lease:
        began = self._chance.getrandbits(60)
        return Lease(self.session, VOLUME, began_ns=began, kind=self._kind, place="/mnt")


class Publisher:
    """Publishes versions and expires all but the newest, whatever leases say."""

    def __init__(self, seed: int, actions: int, ledger: Ledger) -> None:
        self._chance = random.Random(f"publisher {seed}")
        self._left = actions
        self._ledger = ledger

    def live(self, client: Client) -> None:
        log = VolumeLogs(client.bucket).open(VOLUME)
        while self._left:
            self._left -= 1
            try:
                log.change(self._publish if self._chance.random() < 0.6 else self._expire)
            except (StoreError, DataError, UserError):
                pass

    def _publish(self, state: VolumeState | None) -> list[VersionPublished]:
        assert state is not None
        head = state.versions.head
        self._ledger.published = max(self._ledger.published, head + 1)
        return [VersionPublished(head + 1, self._chance.randbytes(32), head)]

    def _expire(self, state: VolumeState | None) -> list[VersionsExpired]:
        assert state is not None
        old = list_versions(state)[:-1]
        chosen = self._chance.choice(old) if old else 0
        return [VersionsExpired(((chosen, chosen),))] if old else []


class Collector:
    """Removes what it may, by a clock that is right or wrong by a month and more."""

    def __init__(self, seed: int, runs: int, ledger: Ledger, direct: Bucket) -> None:
        """``direct`` is the bucket as it is: what gc does not see."""
        self._direct = direct
        self._chance = random.Random(f"gc {seed}")
        self._left = runs
        self._ledger = ledger

    def live(self, client: Client) -> None:
        while self._left:
            self._left -= 1
            try:
                self._collect(client.bucket)
            except (StoreError, DataError, UserError):
                pass

    def _collect(self, bucket: Bucket) -> None:
        logs, sessions = VolumeLogs(bucket), SessionLogs(bucket)
        late = self._chance.choice((0, 3, 40)) * DAY_NS
        revoke_stale(sessions, bucket.world.wall_ns() + late)
        before = set(list_versions(logs.get(VOLUME)))
        lines = sessions.list_newest()
        leased = {v for line in lines if line.lease for v, _ in line.lease.versions}
        state = logs.get(VOLUME)
        old = set(range(state.versions.head)) - self._ledger.removed
        direct = SessionLogs(self._direct).list_newest()
        in_force = {line.lease.session for line in direct if line.lease is not None}
        self._ledger.remove(old - before - leased - set(list_versions(state)), in_force)
        delete_old_lines(sessions, bucket.world.wall_ns() + late)


def begin_volume(bucket: Bucket) -> None:
    created = VolumeCreated(make_facts(VOLUME), ((0, bytes(32)),))
    assert VolumeLogs(bucket).begin(VOLUME, [created], b"")


def run_leases(seed: int, make: MakeLeases = make_leases) -> Simulation:
    """One schedule: mounts, one who publishes and expires, and gc. ``ScheduleError``."""
    chance = random.Random(f"leases {seed}")
    sim, ledger = Simulation(seed), Ledger()
    begin_volume(sim.direct_bucket())
    lives: list[tuple[str, Life]] = [
        (name, Mount(name, seed, chance.randint(2, 6), ledger, make).live)
        for name in "ab"[: chance.randint(1, 2)]
    ]
    lives.append(("p", Publisher(seed, chance.randint(3, 8), ledger).live))
    lives.append(("gc", Collector(seed, chance.randint(1, 4), ledger, sim.direct_bucket()).live))
    with telling_schedule(sim, seed):
        for name, live in lives:
            sim.add(name, live)
        Scheduler(sim, seed).run()
    return sim
