"""The answers of spawned calls, by id: those of running calls, those that a caller holds, and the
newest."""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict

from volfs.containers.answers import Answer

KEPT_CALLS = 10_000
KEPT_BYTES = 256 << 20


class Spawned:
    """The spawned calls of a program. Beyond ``calls`` results or ``size`` bytes, the oldest
    results that no caller holds are dropped.

    Results are kept because a caller may have kept only the id of a call. Threads may share it.
    """

    def __init__(self, calls: int = KEPT_CALLS, size: int = KEPT_BYTES) -> None:
        self._calls = calls
        self._size = size
        self._lock = threading.Lock()
        self._known: weakref.WeakValueDictionary[str, Answer] = weakref.WeakValueDictionary()
        self._kept: OrderedDict[str, tuple[Answer, int]] = OrderedDict()
        self._bytes = 0

    def add(self, call_id: str, answer: Answer) -> None:
        """Make a call known. The code that runs the call holds the answer until it is done."""
        self._known[call_id] = answer
        answer.when_done(lambda: self._keep(call_id, answer))

    def find(self, call_id: str) -> Answer | None:
        return self._known.get(call_id)

    def _keep(self, call_id: str, answer: Answer) -> None:
        dropped = []  # released outside the lock, because the release may run any code
        with self._lock:
            self._kept[call_id] = answer, answer.size
            self._bytes += answer.size
            while len(self._kept) > self._calls or self._bytes > self._size:
                dropped.append(self._kept.popitem(last=False)[1])
                self._bytes -= dropped[-1][1]
