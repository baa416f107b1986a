"""Time, waiting, chance and threads, as code that speaks to a bucket sees them.

Code that asks a ``World`` for these, and has no threads of its own, can be run by a simulation
that decides them all.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

T = TypeVar("T")


class World(Protocol):
    """Where a process is: what its clock says, how it waits, and what chance gives it."""

    def now(self) -> float:
        """Seconds by a clock that nobody sets."""

    def wall_ns(self) -> int:
        """Nanoseconds since 1970 by the wall clock, which may be wrong."""

    def pause(self, seconds: float, ended: threading.Event) -> bool:
        """Wait, but no longer than until the event is set. Whether it is set."""

    def wait_for(
        self, condition: threading.Condition, is_so: Callable[[], bool], seconds: float
    ) -> bool:
        """As ``Condition.wait_for``."""

    def gather(self, calls: Sequence[Callable[[], T]]) -> list[T]:
        """Make all calls at once, and return their results in the order of the calls.

        Raises the error of the first call that failed, when all have ended.
        """

    def start(self, work: Callable[[], None]) -> None:
        """Do something beside the caller. ``work`` raises nothing. The end of the process does not
        wait for it."""

    def uniform(self, low: float, high: float) -> float:
        """A random number between two."""

    def random_bytes(self, size: int) -> bytes:
        """Bytes that nobody else has drawn."""


class RealWorld:
    """The machine on which this process runs."""

    def now(self) -> float:
        return time.monotonic()

    def wall_ns(self) -> int:
        return time.time_ns()

    def pause(self, seconds: float, ended: threading.Event) -> bool:
        return ended.wait(seconds)

    def wait_for(
        self, condition: threading.Condition, is_so: Callable[[], bool], seconds: float
    ) -> bool:
        return condition.wait_for(is_so, seconds)

    def gather(self, calls: Sequence[Callable[[], T]]) -> list[T]:
        if len(calls) == 1:
            return [calls[0]()]
        with ThreadPoolExecutor(max(len(calls), 1)) as pool:
            begun = [pool.submit(call) for call in calls]
        return [call.result() for call in begun]

    def start(self, work: Callable[[], None]) -> None:
        threading.Thread(target=work, name="beside", daemon=True).start()

    def uniform(self, low: float, high: float) -> float:
        return random.uniform(low, high)

    def random_bytes(self, size: int) -> bytes:
        return os.urandom(size)


REAL: World = RealWorld()
