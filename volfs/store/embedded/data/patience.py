"""Waiting a moment for a disk in the serving thread, before another thread is made to wait.

A fast disk returns a small piece in less time than it takes to wake a thread and to be woken by it
(docs/decisions/0044-small-reads.md). Waiting for a slow disk is left to threads.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter

MOMENT = 250e-6
"""Seconds that handing the work to a thread costs."""
PER_BYTE = 2e-9
"""Seconds more for each byte, which a thread would wait for as well."""
GIVE_UP = 8
"""After this many pieces in a row that took longer, the disk counts as slow."""
RETRY = 64
"""For a slow disk, one in this many pieces is waited for, to see whether the disk has become
faster."""


class Patience:
    """Patience with one disk. Threads may share it: a count that is lost does no harm."""

    def __init__(self, moment: float = MOMENT) -> None:
        self._moment = moment
        self._late = 0
        self._skipped = 0

    def wait_for(self, is_there: Callable[[], bool], length: int = 0) -> bool:
        """Whether ``is_there``, which is asked again and again, becomes true within the moment
        that a disk needs for ``length`` bytes."""
        if self._late >= GIVE_UP:
            self._skipped += 1
            if self._skipped % RETRY:
                return False
        in_time = self._look(is_there, self._moment + length * PER_BYTE)
        self._late = 0 if in_time else self._late + 1
        return in_time

    def _look(self, is_there: Callable[[], bool], moment: float) -> bool:
        deadline = perf_counter() + moment
        while not is_there():
            if perf_counter() >= deadline:
                return False
        return True
