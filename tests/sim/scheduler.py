"""Seeded schedules: who goes on, what becomes of a request, who dies."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.sim.door import Request
from tests.sim.faults import DISTURBANCES, Fate, Weather
from tests.sim.ranks import Ranks
from tests.sim.simulation import Client, Simulation
from tests.sim.tasks import Died, Task

MOST_STEPS = 5000
"""A schedule that takes more does not end."""
STORMY_STEPS = 600
"""After so many steps, nothing is disturbed any more, so that all can end."""
STALL = 60.0
"""How many seconds may pass at once while anybody can go on."""
LIVES = 4
STALLS = (20, 60, 200)
"""For how many steps a client may stall while others go on."""


class ScheduleError(AssertionError):
    """A schedule in which something was wrong: its seed, and what happened."""

    def __init__(self, seed: int, sim: Simulation, cause: BaseException) -> None:
        lines = "\n".join(sim.trace)
        super().__init__(
            f"seed {seed}: {type(cause).__name__}: {cause}\n"
            f"again: VOLFS_SEED={seed} VOLFS_ROUNDS=1\n{lines}"
        )
        self.seed = seed
        self.cause = cause


@contextmanager
def telling_schedule(sim: Simulation, seed: int) -> Iterator[None]:
    """Turn an error in the block into a ``ScheduleError``, which tells how to see it again."""
    try:
        yield
    except Exception as error:
        raise ScheduleError(seed, sim, error) from error


@contextmanager
def making_disks() -> Iterator[Path]:
    """A directory for the disks of the clients of one schedule, until the end of the block. It is
    in memory, because a series has many schedules."""
    with TemporaryDirectory(
        prefix="volfs-sim-", dir="/dev/shm", ignore_cleanup_errors=True
    ) as place:
        yield Path(place)


class Scheduler:
    """Moves a simulation until all its clients are done."""

    def __init__(
        self,
        sim: Simulation,
        seed: int,
        *,
        kinds: Sequence[Fate] = DISTURBANCES,
        deaths: bool = True,
        calm: float | None = None,
        stalls: float = 0.0,
        ranked: float = 0.0,
    ) -> None:
        """``calm`` is the share of requests that nothing happens to, if chance is not to say.
        ``stalls`` is the chance that a client stalls at a step, ``ranked`` the chance that the
        clients have ranks."""
        self.sim = sim
        self.chance = random.Random(f"schedule {seed}")
        self.weather = Weather(self.chance, kinds, deaths)
        if calm is not None:
            self.weather.calm = calm
        is_ranked = ranked > 0 and self.chance.random() < ranked
        self._ranks = Ranks(self.chance, sim.clients) if is_ranked else None
        self._stalls = 0.0 if is_ranked else stalls
        self._stalled: dict[Client, int] = {}
        """For how many more steps clients stall."""

    def run(self, *, stormy: int = STORMY_STEPS, most: int = MOST_STEPS) -> None:
        """Run to the end. Requests that are still on their way arrive or get lost then."""
        for step in range(most):
            if all(client.is_done for client in self.sim.clients):
                break
            self._step(is_calm=step >= stormy)
            for client in self.sim.clients:
                self._check(client)
        else:
            raise AssertionError(f"not over after {most} steps")
        while self.sim.flying:
            index = self.chance.randrange(len(self.sim.flying))
            if self.chance.random() < 0.5:
                self.sim.land(index)
            else:
                del self.sim.flying[index]

    def _step(self, *, is_calm: bool) -> None:
        if not is_calm and self.chance.random() < self.weather.death and self._kill():
            return
        if self.sim.flying and self.chance.random() < self.weather.landing:
            self.sim.land(self.chance.randrange(len(self.sim.flying)))
            return
        task = self._choose_task()
        if isinstance(task.wait, Request):
            fate = self._choose_fate(task.wait) if not is_calm else Fate.DONE
            self.sim.settle(task, fate)
        else:
            self.sim.run(task)

    def _choose_fate(self, request: Request) -> Fate:
        return self.weather.choose(self.chance, writes=request.writes)

    def _choose_task(self) -> Task:
        """One of the tasks that can go on. Of those that sleep, only the first to wake can, most
        of the time: time passes for all."""
        tasks = self._list_tasks()
        ready, asleep = [], []
        for task in tasks:
            wait = task.wait
            assert wait is not None
            if isinstance(wait, Request) or wait.is_so():
                ready.append(task)
            elif wait.until is not None:
                asleep.append((wait.until, task))
        asleep.sort(key=lambda pair: pair[0])
        start = self.sim.now if ready else asleep[0][0] if asleep else 0.0
        asleep = [pair for pair in asleep if pair[0] <= start + STALL]
        if asleep and (not ready or self.chance.random() < 0.2):
            return self.chance.choice(asleep)[1] if self.chance.random() < 0.1 else asleep[0][1]
        stuck = ", ".join(f"{task.name} {task.wait.what}" for task in tasks if task.wait)
        assert ready, f"nobody can go on: {stuck}"
        return self.chance.choice(self._ranks.choose(ready) if self._ranks else ready)

    def _list_tasks(self) -> list[Task]:
        """The tasks of clients that do not stall; of all clients if no other can go on."""
        clients = [client for client in self.sim.clients if not client.is_done]
        if self._stalls and self.chance.random() < self._stalls:
            self._stalled[self.chance.choice(clients)] = self.chance.choice(STALLS)
        self._stalled = {each: left - 1 for each, left in self._stalled.items() if left > 1}
        awake = [task for each in clients if each not in self._stalled for task in each.tasks]
        if any(
            isinstance(task.wait, Request) or (task.wait and task.wait.is_so()) for task in awake
        ):
            return [task for task in awake if not task.is_over]
        return [task for client in clients for task in client.tasks if not task.is_over]

    def _kill(self) -> bool:
        alive = [
            client for client in self.sim.clients if not client.is_done and client.lives < LIVES
        ]
        if not alive:
            return False
        client = self.chance.choice(alive)
        keep = self.chance.random() < 0.7
        self.sim.kill(client, keep_disk=keep, arrives=self.chance.choice((True, False, None)))
        self.sim.revive(client)
        return True

    def _check(self, client: Client) -> None:
        error = client.main.error
        if error is not None and not isinstance(error, Died):
            raise error


def count_schedules(short: int) -> int:
    """How many schedules to run. ``VOLFS_ROUNDS`` says another number; ``VOLFS_PROVE=long`` is a
    hundred times as many."""
    named = os.environ.get("VOLFS_ROUNDS")
    if named:
        return int(named)
    return short * 100 if os.environ.get("VOLFS_PROVE") == "long" else short


def first_seed() -> int:
    return int(os.environ.get("VOLFS_SEED", "1"))


def run_schedules(count: int, run: Callable[[int], Simulation]) -> int:
    """Run schedules of a series of seeds. The number of steps of all."""
    steps = 0
    for seed in range(first_seed(), first_seed() + count):
        steps += len(run(seed).trace)
    return steps
