"""The logs of volumes, by thousands of schedules: one history, and everybody is told the truth."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.sim.scheduler import ScheduleError, count_schedules, run_schedules
from tests.sim.simulation import Simulation
from tests.sim.volume_actions import (
    VOLUME,
    make_facts,
    make_follower,
    publish,
    run_volume,
)
from volfs.errors import DamagedObjectError, HeadMovedError, NotFoundError
from volfs.model.logs.line import Line
from volfs.model.logs.volume_changes import VersionTagged, VolumeChange, VolumeCreated
from volfs.model.logs.volume_log import VolumeState
from volfs.model.objects import Buffer
from volfs.store.distributed.log.follower import KnownLog, Won
from volfs.store.distributed.log.log import Log
from volfs.store.distributed.log.log_rules import VOLUME_RULES
from volfs.store.distributed.place.object_keys import volume_log
from volfs.store.distributed.refs.volume_logs import VolumeFollower

SCHEDULES = 600


def test_schedules_of_volumes() -> None:
    run_schedules(count_schedules(SCHEDULES), run_volume)


# --- mutations of the code ----------------------------------------------------------


class SendsBlindly(VolumeFollower):
    """What was decided before a lost race is sent again, to the next number."""

    def propose(
        self,
        known: KnownLog[VolumeState | None],
        changes: Sequence[VolumeChange],
        records: Buffer = b"",
        era: int | None = None,
    ) -> Won[VolumeState | None] | None:
        while True:
            number = known.number + 1
            line = self.log.make_line(known.digest, 0, VOLUME_RULES.codec.encode(changes))
            there = self.log.append(number, line)
            known = self._keep(KnownLog(known.state, number, b"", 0))
            if there.nonce == line.nonce:
                return Won(self.refresh(), line)
            known = self.refresh()


class BelievesItself(VolumeFollower):
    """A line that got no nonce of ours counts as ours."""

    def propose(
        self,
        known: KnownLog[VolumeState | None],
        changes: Sequence[VolumeChange],
        records: Buffer = b"",
        era: int | None = None,
    ) -> Won[VolumeState | None] | None:
        won = super().propose(known, changes, records, era)
        return won or Won(self.known, Line(b"", b"", 0, b""))


class LosesTheWinner(VolumeFollower):
    """After a lost race, the line that won is left out of the state."""

    def _follow(
        self, known: KnownLog[VolumeState | None], line: Line
    ) -> KnownLog[VolumeState | None]:
        after = super()._follow(known, line)
        return after._replace(state=known.state) if known.number > 0 else after


@pytest.mark.parametrize(
    "mutant", [SendsBlindly, BelievesItself, LosesTheWinner], ids=lambda mutant: mutant.__name__
)
def test_mutations_of_the_replica_are_found(mutant: type[VolumeFollower]) -> None:
    def find() -> None:
        for seed in range(1, 200):
            run_volume(seed, lambda log: mutant(log, VOLUME_RULES))

    with pytest.raises(ScheduleError):
        find()


# --- the follower alone ----------------------------------------------------------------


def make_volume() -> VolumeFollower:
    follower = make_follower(Log(Simulation().direct_bucket(), volume_log(VOLUME)))
    won = follower.propose(follower.known, [VolumeCreated(make_facts(VOLUME), ((0, bytes(32)),))])
    assert won is not None
    return follower


def test_what_the_rules_refuse_is_never_sent() -> None:
    follower = make_volume()
    known = follower.known
    with pytest.raises(NotFoundError):
        follower.propose(known, [VersionTagged("t", 7)])
    with pytest.raises(HeadMovedError):
        follower.propose(known, [publish(known.state, bytes(32))[0].__class__(3, bytes(32), 2)])
    assert follower.refresh() == known


def test_a_change_is_decided_anew_after_a_lost_race() -> None:
    follower, other = make_volume(), None
    heads = []

    def decide(state: VolumeState | None) -> list[VolumeChange]:
        nonlocal other
        assert state is not None
        heads.append(state.versions.head)
        if other is None:
            other = make_follower(follower.log)
            assert other.propose(other.known, publish(other.known.state, b"1" * 32))
        return publish(state, b"2" * 32)

    state = follower.change(decide)
    assert heads == [0, 1]
    assert state is not None
    assert state.versions.head == 2
    assert follower.change(lambda state: []) == state


def test_a_line_that_no_volfs_would_write_is_damage() -> None:
    follower = make_volume()
    known = follower.known
    body = VOLUME_RULES.codec.encode([VersionTagged("t", 7)])
    line = follower.log.make_line(known.digest, 0, body)
    follower.log.append(1, line)
    with pytest.raises(DamagedObjectError, match=r"log/0{15}1: no volfs would have written it"):
        follower.refresh()


def test_a_process_may_begin_elsewhere_than_at_line_0() -> None:
    """At a checkpoint, say. What does not agree with the line that it names is passed over."""
    follower = make_volume()
    here = follower.known
    assert follower.propose(here, publish(here.state, b"1" * 32)) is not None
    later = VolumeFollower(follower.log, VOLUME_RULES, lambda: [here])
    assert later.known == follower.known
    lies = [here._replace(digest=b"1" * 32, state=None), here._replace(number=7, state=None)]
    doubtful = VolumeFollower(follower.log, VOLUME_RULES, lambda: lies)
    assert doubtful.known == follower.known
