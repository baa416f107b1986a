"""Clients that commit, tag, expire, fork and delete, and what must be true of the logs afterwards.

The objects of a commit are left out: a manifest is a random id. What is tried here is that the
lines of volumes tell one history, whatever the network does, and that everybody is told the truth.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import NamedTuple

from tests.sim.faults import DISTURBANCES, Fate
from tests.sim.scheduler import ScheduleError, Scheduler
from tests.sim.simulation import Client, Simulation
from volfs.buckets.access import Bucket
from volfs.errors import ConflictError, NotFoundError, StoreError, StoreUncertainError, UserError
from volfs.model.logs.volume_changes import (
    VOLUME_CHANGES,
    VersionPublished,
    VersionsExpired,
    VersionTagged,
    VolumeChange,
    VolumeCreated,
    VolumeDeleted,
    VolumeForked,
    VolumeNamed,
)
from volfs.model.logs.volume_facts import VolumeFacts
from volfs.model.logs.volume_log import VolumeState, apply
from volfs.store.distributed.log.follower import Follower, KnownLog
from volfs.store.distributed.log.log import Log
from volfs.store.distributed.log.log_rules import VOLUME_RULES
from volfs.store.distributed.place.object_keys import volume_log
from volfs.store.distributed.refs.volume_logs import VolumeFollower

VOLUME = "vo-" + "0" * 22
SECONDS = (5.0, 20.0, 60.0)
MakeFollower = Callable[[Log], VolumeFollower]


def make_follower(log: Log) -> VolumeFollower:
    return Follower(log, VOLUME_RULES)


def make_facts(volume: str) -> VolumeFacts:
    return VolumeFacts(volume, f"name {volume[-4:]}", 2, 20, 0, "sim")


class Deed(NamedTuple):
    """One thing that a client was to do."""

    kind: str
    volume: str
    oid: bytes = b""
    """The manifest of a commit."""
    version: int = -1
    tag: str = ""
    number: int = -1
    """The line that did it, if the client was told so."""


class Ledger:
    """What the clients were told."""

    def __init__(self) -> None:
        self.done: list[Deed] = []
        self.doubtful: list[Deed] = []
        self.refused: list[Deed] = []
        self.seen: list[tuple[str, KnownLog[VolumeState | None]]] = []
        """What followers knew at the ends of deeds."""


class Worker:
    """One client. Which deeds it does depends on its seed alone, and on what it sees."""

    def __init__(
        self, name: str, seed: int, deeds: int, ledger: Ledger, make: MakeFollower
    ) -> None:
        self._name = name
        self._chance = random.Random(f"{name} {seed}")
        self._left = deeds
        self._ledger = ledger
        self._make = make
        self._forks = 0
        self._seconds = self._chance.choice(SECONDS)

    def live(self, client: Client) -> None:
        followers: dict[str, VolumeFollower] = {}

        def open_follower(volume: str) -> VolumeFollower:
            if volume not in followers:
                log = Log(client.bucket, volume_log(volume), self._seconds)
                followers[volume] = self._make(log)
            return followers[volume]

        while self._left:
            self._left -= 1
            self._do(open_follower)
            for volume, follower in followers.items():
                if follower.is_known:
                    self._ledger.seen.append((volume, follower.known))

    def _do(self, open_follower: Callable[[str], VolumeFollower]) -> None:
        deed = self._draw()
        try:
            number = self._carry_out(deed, open_follower)
        except StoreUncertainError:
            self._ledger.doubtful.append(deed)
        except (StoreError, UserError):
            self._ledger.refused.append(deed)
        else:
            if number >= 0:
                self._ledger.done.append(deed._replace(number=number))

    def _draw(self) -> Deed:
        kinds = ("commit",) * 6 + ("tag", "untag", "expire", "fork", "name", "delete")
        kind = self._chance.choice(kinds)
        if kind == "delete" and self._chance.random() < 0.7:
            kind = "commit"
        tag = self._chance.choice(("t", "u"))
        return Deed(kind, VOLUME, self._chance.randbytes(32), tag=tag)

    def _carry_out(self, deed: Deed, open_follower: Callable[[str], VolumeFollower]) -> int:
        follower = open_follower(deed.volume)
        if deed.kind == "commit":
            return self._commit(follower, deed)
        if deed.kind == "fork":
            return self._fork(follower, open_follower)
        return change(follower, lambda state: self._decide(deed, state))

    def _commit(self, follower: VolumeFollower, deed: Deed) -> int:
        """As a publisher does: the head is guessed, and after a lost race it is merged anew."""
        known = follower.known
        while True:
            won = follower.propose(known, publish(known.state, deed.oid))
            if won is not None:
                return won.known.number
            known = follower.known

    def _fork(
        self, follower: VolumeFollower, open_follower: Callable[[str], VolumeFollower]
    ) -> int:
        self._forks += 1
        new = f"vo-{self._name}{self._forks:021d}"
        made: list[VolumeChange] = []

        def decide(state: VolumeState | None) -> Sequence[VolumeChange]:
            version = self._choose(alive(state))
            row = alive(state).versions.find(version)
            assert row is not None
            number = alive(state).number + 1
            manifests = ((0, bytes(32)), (1, bytes(row.manifest)))
            made[:] = [VolumeCreated(make_facts(new), manifests, VOLUME, number)]
            return [VolumeForked(new, version)]

        number = change(follower, decide)
        created = open_follower(new)
        if created.propose(created.known, made) is None:
            raise ConflictError("another has taken line 0")
        return number

    def _decide(self, deed: Deed, state: VolumeState | None) -> Sequence[VolumeChange]:
        state = alive(state)
        if deed.kind == "tag":
            return [VersionTagged(deed.tag, self._choose(state), move=True)]
        if deed.kind == "untag":
            return [VersionTagged(deed.tag)] if deed.tag in state.tags else []
        if deed.kind == "expire":
            free = [v for v in list_versions(state)[:-1] if v not in state.tagged]
            chosen = self._chance.choice(free) if free else None
            return [] if chosen is None else [VersionsExpired(((chosen, chosen),))]
        if deed.kind == "name":
            return [VolumeNamed(self._name, "main")]
        return [VolumeDeleted()]

    def _choose(self, state: VolumeState) -> int:
        return self._chance.choice(list_versions(state))


def change(
    follower: VolumeFollower, decide: Callable[[VolumeState | None], Sequence[VolumeChange]]
) -> int:
    """Make a change; the number of its line, or -1 if there was nothing to change."""
    known = follower.refresh()
    while True:
        changes = decide(known.state)
        if not changes:
            return -1
        won = follower.propose(known, changes)
        if won is not None:
            return won.known.number
        known = follower.known


def publish(state: VolumeState | None, oid: bytes) -> list[VolumeChange]:
    head = alive(state).versions.head
    return [VersionPublished(head + 1, oid, head)]


def alive(state: VolumeState | None) -> VolumeState:
    if state is None or state.is_deleted:
        raise NotFoundError("no such volume")
    return state


def list_versions(state: VolumeState) -> list[int]:
    return [v for first, last in state.versions.iter_ranges() for v in range(first, last + 1)]


# --- the judge ------------------------------------------------------------------------


class History:
    """A volume's log as it lies in the bucket: its changes, and the state after each line."""

    def __init__(self, bucket: Bucket, volume: str) -> None:
        self.lines: list[Sequence[VolumeChange]] = []
        self.states: list[VolumeState] = []
        state: VolumeState | None = None
        for number, line in Log(bucket, volume_log(volume)).read_after(-1):
            self.lines.append(VOLUME_CHANGES.decode(line.body))
            state = apply(state, number, line.era, self.lines[-1])
            self.states.append(state)

    def count(self, oid: bytes) -> int:
        """How often a manifest was published."""
        found = (change for changes in self.lines for change in changes)
        return sum(isinstance(each, VersionPublished) and each.manifest == oid for each in found)


def judge(bucket: Bucket, ledger: Ledger) -> None:
    """That the lines are one history, and that everybody was told the truth."""
    history = History(bucket, VOLUME)  # Raises for a line that cannot follow.
    for deed in ledger.done:
        judge_done(bucket, history, deed)
    for deed in ledger.refused:
        assert deed.kind != "commit" or history.count(deed.oid) == 0, f"refused, and done: {deed}"
    for deed in ledger.doubtful:
        assert history.count(deed.oid) <= 1, f"done twice: {deed}"
    histories = {VOLUME: history}
    for volume, known in ledger.seen:
        there = histories.setdefault(volume, History(bucket, volume))
        if known.number >= 0:
            assert there.states[known.number] == known.state, "N4: a state is not that of its lines"


def judge_done(bucket: Bucket, history: History, deed: Deed) -> None:
    assert deed.number < len(history.lines), f"acknowledged, and gone: {deed}"
    changes, state = history.lines[deed.number], history.states[deed.number]
    (line,) = changes
    match line:
        case VersionPublished():
            assert deed.kind == "commit"
            assert line.manifest == deed.oid
            assert history.count(deed.oid) == 1, f"committed twice: {deed}"
            judge_version(history, line.version, deed)
        case VersionTagged():
            assert deed.kind in ("tag", "untag")
            assert state.tags.get(deed.tag) == (line.version if deed.kind == "tag" else None)
        case VolumeForked():
            created = History(bucket, line.volume)
            row = history.states[deed.number - 1].versions.find(line.version)
            version = created.states[0].versions.find(1)
            assert row is not None
            assert version is not None
            assert row.manifest == version.manifest
        case _:
            kinds = {"expire": VersionsExpired, "name": VolumeNamed, "delete": VolumeDeleted}
            assert isinstance(line, kinds[deed.kind])


def judge_version(history: History, version: int, deed: Deed) -> None:
    """Every acknowledged commit is a version, or was expired by a deed, or its volume deleted."""
    last = history.states[-1]
    if last.is_deleted or last.versions.has(version):
        return
    expired = [
        span
        for changes in history.lines[deed.number :]
        for change in changes
        if isinstance(change, VersionsExpired)
        for span in change.versions
    ]
    assert any(first <= version <= end for first, end in expired), f"vanished: {deed}"


def run_volume(seed: int, make: MakeFollower = make_follower) -> Simulation:
    """One schedule: a volume is there, and two to four clients change it. ``ScheduleError``."""
    chance = random.Random(f"volume {seed}")
    sim, ledger = Simulation(seed), Ledger()
    made = make_follower(Log(sim.direct_bucket(), volume_log(VOLUME)))
    assert made.propose(made.known, [VolumeCreated(make_facts(VOLUME), ((0, bytes(32)),))])
    for name in "abcd"[: chance.randint(2, 4)]:
        worker = Worker(name, seed, chance.randint(1, 4), ledger, make)
        sim.add(name, worker.live)
    try:
        Scheduler(sim, seed, kinds=(*DISTURBANCES, Fate.DENIED)).run()
        judge(sim.direct_bucket(), ledger)
    except Exception as error:
        raise ScheduleError(seed, sim, error) from error
    return sim
