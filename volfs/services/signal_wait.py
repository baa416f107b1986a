"""Waiting for another process to change something, until a deadline or a cancellation."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextvars import ContextVar
from typing import TypeVar

from volfs.store.tables import Signal

T = TypeVar("T")
LOOK_AGAIN = 1.0
"""Seconds after which a waiter looks by itself, because a wake can die with the process that it
woke."""


class CancelledWaitError(BaseException):
    """The wait was cancelled. Like KeyboardInterrupt, this is no failure."""


class Cancellation:
    """Ends the waits of one call, from another thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._signal: Signal | None = None
        self._cancelled = False

    def cancel(self) -> None:
        with self._lock:
            self._cancelled = True
            if self._signal is not None:
                # All waiters: the one that is woken may leave the item to the others.
                self._signal.wake()

    def enter(self, signal: Signal) -> None:
        """Let ``cancel`` wake this signal from now on. CancelledWaitError if it was called
        before."""
        with self._lock:
            self._signal = signal
            if self._cancelled:
                raise CancelledWaitError


current: ContextVar[Cancellation | None] = ContextVar("volfs_cancellation", default=None)
"""The cancellation of the call that this thread works for."""


def wait_for(look: Callable[[], T | None], signal: Signal, seconds: float | None) -> T | None:
    """What ``look`` returns once that is not None; None after ``seconds`` (None: never)."""
    deadline = None if seconds is None else time.monotonic() + seconds
    cancellation = current.get()
    while True:
        ticket = signal.ticket()
        found = look()
        if found is not None:
            return found
        left = LOOK_AGAIN if deadline is None else deadline - time.monotonic()
        if left <= 0:
            return None
        if cancellation is not None:
            cancellation.enter(signal)
        signal.wait(ticket, min(left, LOOK_AGAIN))
