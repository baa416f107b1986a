"""How many requests are on their way at once, how long one waits, and when none is tried.

The number falls to half when the service asks for less, and grows by one a second while all of
it is used. While nothing has answered for some time, requests fail at once, but for one in
``PROBE`` seconds that finds out whether the service is back.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

FIRST, MOST, LEAST = 16, 48, 1
GROWTH = 1.0
"""Seconds for one more."""
IN_A_ROW, WITHIN, PROBE = 3, 10.0, 5.0
PAUSE_FIRST, PAUSE_MOST = 0.1, 5.0

Clock = Callable[[], float]


class Throttle:
    """The requests of one bucket that are on their way."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._turn = threading.Condition()
        self._limit = FIRST
        self._flying = 0
        self._changed = clock()
        self._halved = self._changed - GROWTH

    @property
    def limit(self) -> int:
        """How many may be on their way now."""
        return self._limit

    @property
    def flying(self) -> int:
        """How many are on their way now."""
        return self._flying

    @contextmanager
    def slot(self, seconds: float) -> Iterator[None]:
        """Wait for a place among the requests, and have it. TimeoutError."""
        with self._turn:
            if not self._turn.wait_for(self._has_room, seconds):
                raise TimeoutError
            self._flying += 1
        try:
            yield
        finally:
            with self._turn:
                self._flying -= 1
                self._turn.notify()

    def slow_down(self) -> None:
        """The service asks for less. What was sent before it said so counts once."""
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
    """Whether a service is away: ``IN_A_ROW`` calls have failed, the last just now."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._failures = 0
        self._failed = 0.0
        self._probed = 0.0
        self._since: float | None = None

    @property
    def since_ns(self) -> int | None:
        """When the first of the failures was, by the time of day; None after a success."""
        since = self._since
        return None if since is None else int(since * 1e9)

    def may_try(self) -> bool:
        """Whether a call may be sent: while it is away, one each ``PROBE`` seconds may."""
        with self._lock:
            now = self._clock()
            if self._failures < IN_A_ROW:
                return True
            if now - max(self._failed, self._probed) >= PROBE:
                self._probed = now
                return True
            return False

    def succeed(self) -> None:
        if self._failures:
            with self._lock:
                self._failures, self._since = 0, None

    def fail(self) -> None:
        with self._lock:
            now = self._clock()
            if self._failures and self._failures < IN_A_ROW and now - self._failed > WITHIN:
                self._failures = 0
            if not self._failures:
                self._since = time.time()
            self._failures += 1
            self._failed = now


def pause_before(attempt: int, asked: float | None) -> float:
    """Seconds before an attempt (2, 3 …): random, up to twice as long each time."""
    most = min(PAUSE_MOST, PAUSE_FIRST * 2 ** min(attempt - 1, 16))
    return max(random.uniform(most / 2, most), min(asked or 0.0, 2 * PAUSE_MOST))
