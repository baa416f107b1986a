"""Clients that commit, tag, expire, fork and delete, and what must be true of the logs afterwards.

The objects of a commit are left out: a manifest is a random id. What is tried here is that the
lines of volumes tell one history, whatever the network does, and that everybody is told the truth.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import NamedTuple

from tests.sim.faults import DISTURBANCES, Fate
from tests.sim.scheduler import Scheduler, telling_schedule
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


class Action(NamedTuple):
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
        self.done: list[Action] = []
        self.doubtful: list[Action] = []
        self.refused: list[Action] = []
        self.seen: list[tuple[str, KnownLog[VolumeState | None]]] = []
        """What followers knew at the ends of actions."""


class Worker:
    """One client. Which actions it does depends on its seed alone, and on what it sees."""

    def __init__(
        self, name: str, seed: int, actions: int, ledger: Ledger, make: MakeFollower
    ) -> None:
        self._name = name
        self._chance = random.Random(f"{name} {seed}")
        self._left = actions
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
        action = self._draw()
        try:
            number = self._carry_out(action, open_follower)
        except StoreUncertainError:
            self._ledger.doubtful.append(action)
        except (StoreError, UserError):
            self._ledger.refused.append(action)
        else:
            if number >= 0:
                self._ledger.done.append(action._replace(number=number))

    def _draw(self) -> Action:
        kinds = ("commit",) * 6 + ("tag", "untag", "expire", "fork", "name", "delete")
        kind = self._chance.choice(kinds)
        if kind == "delete" and self._chance.random() < 0.7:
            kind = "commit"
        tag = self._chance.choice(("t", "u"))
        return Action(kind, VOLUME, self._chance.randbytes(32), tag=tag)

    def _carry_out(self, action: Action, open_follower: Callable[[str], VolumeFollower]) -> int:
        follower = open_follower(action.volume)
        if action.kind == "commit":
            return self._commit(follower, action)
        if action.kind == "fork":
            return self._fork(follower, open_follower)
        return change(follower, lambda state: self._decide(action, state))

    def _commit(self, follower: VolumeFollower, action: Action) -> int:
        """As a publisher does: the head is guessed, and after a lost race it is merged anew."""
        known = follower.known
        while True:
            won = follower.propose(known, publish(known.state, action.oid))
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

    def _decide(self, action: Action, state: VolumeState | None) -> Sequence[VolumeChange]:
        state = alive(state)
        if action.kind == "tag":
            return [VersionTagged(action.tag, self._choose(state), move=True)]
        if action.kind == "untag":
            return [VersionTagged(action.tag)] if action.tag in state.tags else []
        if action.kind == "expire":
            free = [v for v in list_versions(state)[:-1] if v not in state.tagged]
            chosen = self._chance.choice(free) if free else None
            return [] if chosen is None else [VersionsExpired(((chosen, chosen),))]
        if action.kind == "name":
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
    for action in ledger.done:
        judge_done(bucket, history, action)
    for action in ledger.refused:
        assert action.kind != "commit" or history.count(action.oid) == 0, (
            f"refused, and done: {action}"
        )
    for action in ledger.doubtful:
        assert history.count(action.oid) <= 1, f"done twice: {action}"
    histories = {VOLUME: history}
    for volume, known in ledger.seen:
        there = histories.setdefault(volume, History(bucket, volume))
        if known.number >= 0:
            assert there.states[known.number] == known.state, "N4: a state is not that of its lines"


def judge_done(bucket: Bucket, history: History, action: Action) -> None:
    assert action.number < len(history.lines), f"acknowledged, and gone: {action}"
    changes, state = history.lines[action.number], history.states[action.number]
    (line,) = changes
    match line:
        case VersionPublished():
            assert action.kind == "commit"
            assert line.manifest == action.oid
            assert history.count(action.oid) == 1, f"committed twice: {action}"
            judge_version(history, line.version, action)
        case VersionTagged():
            assert action.kind in ("tag", "untag")
            assert state.tags.get(action.tag) == (line.version if action.kind == "tag" else None)
        case VolumeForked():
            created = History(bucket, line.volume)
            row = history.states[action.number - 1].versions.find(line.version)
            version = created.states[0].versions.find(1)
            assert row is not None
            assert version is not None
            assert row.manifest == version.manifest
        case _:
            kinds = {"expire": VersionsExpired, "name": VolumeNamed, "delete": VolumeDeleted}
            assert isinstance(line, kinds[action.kind])


def judge_version(history: History, version: int, action: Action) -> None:
    """An acknowledged commit is a version, unless it was expired, or its volume deleted."""
    last = history.states[-1]
    if last.is_deleted or last.versions.has(version):
        return
    expired = [
        span
        for changes in history.lines[action.number :]
        for change in changes
        if isinstance(change, VersionsExpired)
        for span in change.versions
    ]
    assert any(first <= version <= end for first, end in expired), f"vanished: {action}"


def run_volume(seed: int, make: MakeFollower = make_follower) -> Simulation:
    """One schedule: a volume is there, and two to four clients change it. ``ScheduleError``."""
    chance = random.Random(f"volume {seed}")
    sim, ledger = Simulation(seed), Ledger()
    made = make_follower(Log(sim.direct_bucket(), volume_log(VOLUME)))
    assert made.propose(made.known, [VolumeCreated(make_facts(VOLUME), ((0, bytes(32)),))])
    for name in "abcd"[: chance.randint(2, 4)]:
        worker = Worker(name, seed, chance.randint(1, 4), ledger, make)
        sim.add(name, worker.live)
    with telling_schedule(sim, seed):
        Scheduler(sim, seed, kinds=(*DISTURBANCES, Fate.DENIED)).run()
        judge(sim.direct_bucket(), ledger)
    return sim
