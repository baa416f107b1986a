"""Locks of things: no two threads work on the same thing at the same time."""

from __future__ import annotations

import threading
from collections.abc import Hashable, Iterator
from contextlib import contextmanager


class OneAtATime:
    """Threads that work on the same thing take turns; others do not wait."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._taken: set[Hashable] = set()

    @contextmanager
    def working_on(self, thing: Hashable) -> Iterator[None]:
        with self._changed:
            self._changed.wait_for(lambda: thing not in self._taken)
            self._taken.add(thing)
        try:
            yield
        finally:
            with self._changed:
                self._taken.discard(thing)
                self._changed.notify_all()
