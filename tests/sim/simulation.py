"""The simulation: clients, one bucket, the requests between them, and a list of what happened.

A ``Simulation`` can be moved by hand, for interleavings that have a name, or by a ``Scheduler``.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import NamedTuple

from tests.sim.door import Request, SimDoor
from tests.sim.faults import REFUSALS, SILENCES, Fate
from tests.sim.tasks import Died, Task, Turns, Wait
from tests.sim.world import SimWorld
from volfs.buckets.access import Bucket
from volfs.buckets.answers import RequestFailure
from volfs.buckets.doors.memory import MemoryDoor

BEGIN_NS = 1_700_000_000 * 10**9
STEP = 0.01
"""Simulated seconds that each step takes."""

Life = Callable[["Client"], None]


class Flying(NamedTuple):
    """A request that nobody waits for any more, and that may still arrive."""

    client: str
    request: Request


class Client:
    """One machine: what it does in a life, and a disk that may outlast the life."""

    def __init__(self, sim: Simulation, name: str, live: Life, deadline: float) -> None:
        self.sim = sim
        self.name = name
        self.disk: dict[str, object] = {}
        """What the client keeps. A new life finds it, unless the client lost its disk."""
        self.clock_error_ns = 0
        self.lives = 0
        self.tasks: list[Task] = []
        self._live = live
        self._deadline = deadline
        self.begin_life()

    def begin_life(self) -> None:
        """Begin to live: at the start, and again after each death."""
        self.lives += 1
        self._numbers = 0
        self.world = SimWorld(self)
        self.bucket = Bucket(
            SimDoor(self, self.sim.objects), deadline=self._deadline, world=self.world
        )
        self.tasks = [self._make_task(lambda: self._live(self))]

    @property
    def main(self) -> Task:
        return self.tasks[0]

    @property
    def is_done(self) -> bool:
        return all(task.is_over for task in self.tasks)

    def begin_task(self, work: Callable[[], object]) -> Task:
        task = self._make_task(work)
        self.tasks.append(task)
        return task

    def send(self, request: Request) -> None:
        self.sim.watch(self, request)
        self.park(request)

    def park(self, wait: Wait) -> None:
        self.sim.turns.running().park(wait)

    def iter_requests(self) -> Iterator[tuple[Task, Request]]:
        for task in self.tasks:
            if isinstance(task.wait, Request):
                yield task, task.wait

    def _make_task(self, work: Callable[[], object]) -> Task:
        name = f"{self.name}{self.lives if self.lives > 1 else ''}"
        if self._numbers:
            name = f"{name}.{self._numbers}"
        self._numbers += 1
        return Task(name, work, self.sim.turns)


class Simulation:
    """Clients and their bucket. Nothing happens in it that is not a call of these methods."""

    def __init__(self, seed: int = 0) -> None:
        self.chance = random.Random(seed)
        self.now = 0.0
        self.turns = Turns()
        self.objects = MemoryDoor("sim", self.wall_ns)
        self.clients: list[Client] = []
        self.flying: list[Flying] = []
        self.trace: list[str] = []
        self.watchers: list[Callable[[Client, Request], None]] = []
        """Called with each request when it is sent."""

    def wall_ns(self) -> int:
        return BEGIN_NS + int(self.now * 1e9)

    def add(self, name: str, live: Life, *, deadline: float = 60.0) -> Client:
        client = Client(self, name, live, deadline)
        self.clients.append(client)
        return client

    def watch(self, client: Client, request: Request) -> None:
        for watcher in self.watchers:
            watcher(client, request)

    def direct_bucket(self) -> Bucket:
        """The bucket as it is, for whoever looks at it from outside of the simulation."""
        return Bucket(self.objects)

    # --- what can happen -----------------------------------------------------------

    def run(self, task: Task) -> None:
        """Let a task go on that waits for no answer."""
        wait = task.wait
        assert wait is not None, f"{task.name} is over"
        assert not isinstance(wait, Request), f"{task.name} waits for an answer to {wait.what}"
        if not wait.is_so() and wait.until is not None:
            self.now = max(self.now, wait.until)
        self._note(f"{task.name}: {wait.what}")
        self._resume(task)

    def settle(self, task: Task, fate: Fate) -> None:
        """Let a request meet its fate, and its sender go on."""
        request = task.wait
        assert isinstance(request, Request), f"{task.name} has sent nothing"
        self._meet(task.name, request, fate)
        self._note(f"{task.name}: {request.what} -> {_describe(request, fate)}")
        self._resume(task)

    def land(self, index: int = 0) -> None:
        """Let a request arrive that nobody waits for any more."""
        flying = self.flying.pop(index)
        self._carry_out(flying.request)
        self._note(f"{flying.client}: {flying.request.what} arrives late")

    def kill(self, client: Client, *, keep_disk: bool, arrives: bool | None) -> None:
        """End the life of a client. Its requests arrive now, or may later (None), or never."""
        self._note(f"{client.name} dies, and {'keeps' if keep_disk else 'loses'} its disk")
        for task, request in list(client.iter_requests()):
            if arrives is None:
                self._let_fly(task.name, request)
            elif arrives:
                self._carry_out(request)
                self._note(f"{task.name}: {request.what} arrives")
        for task in client.tasks:
            task.is_dead = True
        while not client.is_done:
            for task in client.tasks:
                if not task.is_over:
                    self._resume(task)
        if not keep_disk:
            client.disk = {}

    def revive(self, client: Client) -> None:
        self._note(f"{client.name} lives again")
        client.begin_life()

    # --- inside ----------------------------------------------------------------------

    def _resume(self, task: Task) -> None:
        self.now += STEP
        task.resume()
        if task.error is not None and not isinstance(task.error, Died):
            self._note(f"{task.name} ends with {type(task.error).__name__}")

    def _meet(self, name: str, request: Request, fate: Fate) -> None:
        if fate in REFUSALS:
            kind, status = REFUSALS[fate]
            request.failure = RequestFailure(kind, status=status)
        elif fate is Fate.LOST:
            self._fall_silent(request)
        elif fate is Fate.LATE:
            self._let_fly(name, request)
            self._fall_silent(request)
        else:
            self._arrive(name, request, fate)

    def _arrive(self, name: str, request: Request, fate: Fate) -> None:
        self._carry_out(request)
        if fate is Fate.TWICE:
            self._carry_out(request)
        elif fate is Fate.ECHO:
            self._let_fly(name, request)
        elif fate is Fate.UNANSWERED:
            self._fall_silent(request)

    def _let_fly(self, name: str, request: Request) -> None:
        """Keep a request that may arrive later. A read that nobody waits for changes nothing."""
        if request.writes:
            self.flying.append(Flying(name, request))

    def _carry_out(self, request: Request) -> None:
        request.answer, request.failure = None, None
        try:
            request.answer = request.carry_out()
        except RequestFailure as failure:
            request.failure = failure

    def _fall_silent(self, request: Request) -> None:
        kind = self.chance.choice(SILENCES)
        if kind is SILENCES[0]:
            self.now += request.timeout
        request.failure = RequestFailure(kind)

    def _note(self, text: str) -> None:
        self.trace.append(f"{len(self.trace):4} {self.now:8.2f} {text}")


def _describe(request: Request, fate: Fate) -> str:
    if request.failure is None:
        return fate.name
    return f"{fate.name} {request.failure.kind.name}"
