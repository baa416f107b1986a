"""The world of a simulated client: time that the scheduler moves, and chance that a seed gives."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar, cast

from tests.sim.tasks import Wait

if TYPE_CHECKING:
    from tests.sim.simulation import Client

T = TypeVar("T")


class SimWorld:
    """``volfs.system.world.World`` of one life of a client."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._sim = client.sim

    def now(self) -> float:
        return self._sim.now

    def wall_ns(self) -> int:
        return self._sim.wall_ns() + self._client.clock_error_ns

    def pause(self, seconds: float, ended: threading.Event) -> bool:
        wait = Wait("pauses", ended.is_set, self._sim.now + seconds)
        self._client.park(wait)
        return ended.is_set()

    def wait_for(
        self, condition: threading.Condition, is_so: Callable[[], bool], seconds: float
    ) -> bool:
        until = self._sim.now + seconds
        while not is_so():
            if self._sim.now >= until:
                return False
            condition.release()
            try:
                self._client.park(Wait("waits for others", is_so, until))
            finally:
                condition.acquire()
        return True

    def gather(self, calls: Sequence[Callable[[], T]]) -> list[T]:
        if len(calls) == 1:
            return [calls[0]()]
        tasks = [self._client.begin_task(call) for call in calls]
        self._client.park(Wait("gathers", lambda: all(task.is_over for task in tasks)))
        for task in tasks:
            if task.error is not None:
                raise task.error
        return [cast(T, task.result) for task in tasks]

    def start(self, work: Callable[[], None]) -> None:
        self._client.begin_task(work)

    def uniform(self, low: float, high: float) -> float:
        return self._sim.chance.uniform(low, high)

    def random_bytes(self, size: int) -> bytes:
        return self._sim.chance.randbytes(size)
