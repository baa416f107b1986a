"""A source whose answers a test holds back, counts, damages and refuses."""

from __future__ import annotations

import threading
from collections.abc import Callable

from volfs.model.objects import Buffer

WAIT = 30.0


class Gate:
    """``get_range`` over bytes. Closed, it keeps every request until it is opened."""

    def __init__(self, data: bytes, *, is_open: bool = True) -> None:
        self.data = data
        self.asked: list[tuple[int, int]] = []
        self.answer: Callable[[int, int], Buffer] = lambda start, end: self.data[start:end]
        """What it answers, or raises."""
        self._turn = threading.Condition()
        self._is_open = is_open
        self._waiting = 0

    def get_range(self, key: str, offset: int, length: int, *, etag: str | None = None) -> Buffer:
        with self._turn:
            self.asked.append((offset, offset + length))
            self._waiting += 1
            self._turn.notify_all()
            assert self._turn.wait_for(lambda: self._is_open, WAIT)
            self._waiting -= 1
        return self.answer(offset, offset + length)

    def open(self) -> None:
        with self._turn:
            self._is_open = True
            self._turn.notify_all()

    def wait_for_requests(self, count: int) -> None:
        """Until so many are held back."""
        with self._turn:
            assert self._turn.wait_for(lambda: self._waiting >= count, WAIT)

    def close(self) -> None:
        with self._turn:
            self._is_open = False
