"""How many requests are on their way at once, how long a request waits, and when none is sent.

The number is halved when the service asks for less. While the whole number is in use, it grows by
one a second. If nothing has answered for some time, requests fail at once, except one in ``PROBE``
seconds, which finds out whether the service is back.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

FIRST, MOST, LEAST = 16, 48, 1
GROWTH = 1.0
"""Seconds until the limit grows by one."""
IN_A_ROW, WITHIN, PROBE = 3, 10.0, 5.0
PAUSE_FIRST, PAUSE_MOST = 0.1, 5.0

ReadSeconds = Callable[[], float]
WaitFor = Callable[[threading.Condition, Callable[[], bool], float], bool]


class Throttle:
    """A limit on the requests of one bucket that are on their way."""

    def __init__(
        self, clock: ReadSeconds = time.monotonic, wait_for: WaitFor = threading.Condition.wait_for
    ) -> None:
        self._clock = clock
        self._wait_for = wait_for
        self._turn = threading.Condition()
        self._limit = FIRST
        self._flying = 0
        self._changed = clock()
        self._halved = self._changed - GROWTH

    @property
    def limit(self) -> int:
        """How many requests may be on their way now."""
        return self._limit

    @property
    def flying(self) -> int:
        """How many requests are on their way now."""
        return self._flying

    @contextmanager
    def slot(self, seconds: float) -> Iterator[None]:
        """Wait for a place among the requests, and keep it for the block. TimeoutError."""
        with self._turn:
            if not self._wait_for(self._turn, self._has_room, seconds):
                raise TimeoutError
            self._flying += 1
        try:
            yield
        finally:
            self.leave()

    def try_enter(self) -> bool:
        """Take a place among the requests if there is one, without waiting. ``leave`` gives it
        back."""
        with self._turn:
            if not self._has_room():
                return False
            self._flying += 1
            return True

    def leave(self) -> None:
        """Give a place back."""
        with self._turn:
            self._flying -= 1
            self._turn.notify()

    def slow_down(self) -> None:
        """Halve the limit, because the service asks for less. Answers to requests from before the
        last halving count once."""
        with self._turn:
            now = self._clock()
            if now - self._halved >= GROWTH:
                self._limit = max(LEAST, min(self._limit, self._flying) // 2)
                self._halved = self._changed = now

    def _has_room(self) -> bool:
        if self._flying < self._limit:
            return True
        now = self._clock()
        if self._limit < MOST and now - self._changed >= GROWTH:
            self._limit += 1
            self._changed = now
        return self._flying < self._limit


class Outage:
    """Whether a service is away: a call was given up whose requests, ``IN_A_ROW`` of them, and with
    those of others just before, had no answer.

    Requests are repeated until the deadline of their call, so a service that begins anew within
    that time is never away.
    """

    def __init__(self, clock: ReadSeconds = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._failures = 0
        self._failed = 0.0
        self._probed = 0.0
        self._since: float | None = None

    @property
    def since_ns(self) -> int | None:
        """The time of day of the first failure, in nanoseconds. None after a success."""
        since = self._since
        return None if since is None else int(since * 1e9)

    @property
    def is_away(self) -> bool:
        """Whether only a few calls may be sent, to find out whether the service is back."""
        return self._failures >= IN_A_ROW

    def may_try(self) -> bool:
        """Whether a call may be sent. While the service is away, one call in ``PROBE`` seconds
        may."""
        with self._lock:
            now = self._clock()
            if self._failures < IN_A_ROW:
                return True
            if now - max(self._failed, self._probed) >= PROBE:
                self._probed = now
                return True
            return False

    def succeed(self) -> None:
        if self._failures or self._since is not None:
            with self._lock:
                self._failures, self._since = 0, None

    def miss(self) -> None:
        """A request has had no answer, and may be sent again."""
        with self._lock:
            if self._since is None:
                self._since = time.time()

    def fail(self, requests: int = 1) -> None:
        """A call was given up, after so many requests in a row without an answer."""
        self.miss()
        with self._lock:
            now = self._clock()
            if self._failures and self._failures < IN_A_ROW and now - self._failed > WITHIN:
                self._failures = 0
            self._failures += requests
            self._failed = now


def pause_before(
    attempt: int, asked: float | None, uniform: Callable[[float, float], float] = random.uniform
) -> float:
    """Seconds before an attempt (2, 3 …): random, and up to twice as many each time."""
    most = min(PAUSE_MOST, PAUSE_FIRST * 2 ** min(attempt - 1, 16))
    return max(uniform(most / 2, most), min(asked or 0.0, 2 * PAUSE_MOST))
