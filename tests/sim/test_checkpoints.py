"""Checkpoints by thousands of schedules: what begins with one knows what the lines say."""

from __future__ import annotations

import logging
import shutil
from functools import partial
from pathlib import Path

import pytest

from tests.sim.by_hand import finish, step, step_until
from tests.sim.checkpoint_actions import (
    EVERY,
    Credulous,
    TooSoon,
    judge_checkpoints,
    make_keeping,
)
from tests.sim.commit_actions import (
    CHUNKS,
    Content,
    Ledger,
    Machine,
    Scripted,
    begin_volume,
    judge,
    make_publisher,
    run_commits,
)
from tests.sim.faults import Fate
from tests.sim.scheduler import ScheduleError, count_schedules, run_schedules
from tests.sim.simulation import Client, Simulation
from tests.sim.volume_actions import VOLUME, run_volume
from volfs.buckets.access import Bucket
from volfs.store.distributed.place.object_keys import volume_log

SCHEDULES = 120
OF_COMMITS = 40
PLACE = volume_log(VOLUME)


def open_keeping(bucket: Bucket, directory: Path, seconds: float) -> Machine:
    return Machine(bucket, directory, seconds, EVERY)


def test_schedules_with_checkpoints() -> None:
    made: list[int] = []

    def run(seed: int) -> Simulation:
        sim = run_volume(seed, make_keeping)
        made.append(judge_checkpoints(sim.direct_bucket()))
        return sim

    run_schedules(count_schedules(SCHEDULES), run)
    assert sum(made) > len(made) / 2


def test_schedules_of_commits_with_checkpoints(caplog: pytest.LogCaptureFixture) -> None:
    """Index segments and history; readers that lose their disks, and begin with a checkpoint."""
    made: list[int] = []

    def run(seed: int) -> Simulation:
        sim = run_commits(seed, open_machine=open_keeping)
        made.append(judge_checkpoints(sim.direct_bucket()))
        return sim

    run_schedules(count_schedules(OF_COMMITS), run)
    assert sum(made) > len(made) / 2
    assert [each for each in caplog.records if each.levelno >= logging.ERROR] == []


# --- mutations of the code ------------------------------------------------------------


def test_a_checkpoint_of_a_state_that_lost_is_passed_over() -> None:
    """Nobody writes one. If somebody did, nobody would believe it."""
    wrong = 0
    for seed in range(1, 60):
        sim = run_volume(seed, partial(make_keeping, kind=TooSoon))
        try:
            judge_checkpoints(sim.direct_bucket())
        except AssertionError:
            wrong += 1
    assert wrong > 2


def test_without_the_look_at_the_line_it_is_believed() -> None:
    def find() -> None:
        for seed in range(1, 300):
            run_volume(seed, partial(make_keeping, kind=Credulous))

    with pytest.raises(ScheduleError):
        find()


# --- interleavings by name --------------------------------------------------------------


class Stage:
    """Clients that commit, with a checkpoint every few lines."""

    def __init__(self, place: Path, **contents: list[Content]) -> None:
        self.sim, self.ledger, self.place = Simulation(), Ledger(), place
        begin_volume(self.sim.direct_bucket())
        for name, each in contents.items():
            self.sim.add(name, self.script(name, each).live)
        self.clients = self.sim.clients

    def script(self, name: str, contents: list[Content]) -> Scripted:
        return Scripted(
            name, contents, self.ledger, self.place, make_publisher, open_machine=open_keeping
        )

    def judge(self) -> int:
        """How many checkpoints there are. Each version reads, by a machine that begins with
        them."""
        judge(self.sim.direct_bucket(), self.ledger, self.place)
        return judge_checkpoints(self.sim.direct_bucket())

    def count(self, text: str) -> int:
        return sum(text in each for each in self.sim.trace)


COMMITS: list[Content] = [(CHUNKS[number],) for number in range(5)]


class Keeper:
    """A client that finds a checkpoint missing, and writes it."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self.kept: object = None

    def live(self, client: Client) -> None:
        machine = open_keeping(client.bucket, self._place / client.name, 60.0)
        try:
            machine.book.refresh()
            machine.keeper.keep(VOLUME)
            checkpoints = machine.logs.open_whole(VOLUME).checkpoints
            self.kept = checkpoints.newest
        finally:
            machine.close()


@pytest.mark.parametrize("fate", [Fate.DONE, Fate.UNANSWERED, Fate.TWICE], ids=lambda it: it.name)
def test_20_two_write_one_checkpoint(tmp_path: Path, fate: Fate) -> None:
    """The first one counts, for both: nobody else knows what the second one names."""
    stage = Stage(tmp_path)
    bucket = stage.sim.direct_bucket()
    script = stage.sim.add("w", stage.script("w", COMMITS[:2]).live)
    finish(script)
    keepers = [Keeper(tmp_path), Keeper(tmp_path)]
    a, b = (stage.sim.add(name, each.live) for name, each in zip("ab", keepers, strict=True))
    key = PLACE.checkpoint(2)
    step_until(a, "PUT", key)
    step_until(b, "PUT", key)
    step(a, fate)
    finish(b, a)
    assert keepers[0].kept == keepers[1].kept
    assert bucket.head(key).size > 0
    assert stage.judge() == 1


def test_20_a_line_that_lost_leaves_no_checkpoint(tmp_path: Path) -> None:
    """Line 3 makes a checkpoint due. Its loser writes none of what it had in mind."""
    stage = Stage(tmp_path, a=COMMITS[:3], b=COMMITS[3:4])
    a, b = stage.clients
    step_until(a, "PUT", PLACE.line(3))
    finish(b)
    assert stage.count("PUT " + PLACE.checkpoint(3)) == 1
    finish(a)
    assert sorted(stage.ledger.committed) == [1, 2, 3, 4]
    assert stage.judge() == 1


def test_20_the_writer_dies_before_its_checkpoint_is_there(tmp_path: Path) -> None:
    """Nobody misses it. If it arrives later, it is as true as it was."""
    stage = Stage(tmp_path, a=COMMITS[:4])
    (a,) = stage.clients
    step_until(a, "PUT", PLACE.checkpoints)
    stage.sim.kill(a, keep_disk=True, arrives=None)
    stage.sim.revive(a)
    finish(a)
    assert stage.judge() == 0
    while stage.sim.flying:
        stage.sim.land()
    assert stage.judge() == 1


def test_26_the_cache_is_wiped_under_a_machine(tmp_path: Path) -> None:
    """It costs requests, and nothing else."""
    stage = Stage(tmp_path, a=COMMITS)
    (a,) = stage.clients
    step_until(a, "PUT", PLACE.line(5))
    shutil.rmtree(tmp_path / "a")
    finish(a)
    assert sorted(stage.ledger.committed) == [1, 2, 3, 4, 5]
    assert stage.judge() == 1
