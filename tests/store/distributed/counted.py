"""A bucket in memory that counts requests, and whose answers a test damages, delays or refuses."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import NamedTuple

from volfs.buckets.doors.memory import MemoryDoor
from volfs.buckets.objects import Condition, ObjectHead, ObjectInfo
from volfs.model.objects import Buffer

Span = tuple[int, int] | None


class Asked(NamedTuple):
    verb: str
    key: str
    span: Span = None


class CountedDoor(MemoryDoor):
    """``damage`` changes what a GET answers; ``before_put`` may wait, or raise."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[Asked] = []
        self.damage: Callable[[str, Span, bytes], bytes] = lambda key, span, data: data
        self.before_put: Callable[[str], None] = lambda key: None
        self.most_puts = 0
        """How many PUTs were on their way at the same time, at most."""
        self._puts = 0
        self._counting = threading.Lock()

    def count(self, verb: str, key: str = "") -> int:
        return sum(asked.verb == verb and key in asked.key for asked in self.asked)

    def get(
        self, key: str, span: Span, etag: str | None, timeout: float
    ) -> tuple[ObjectInfo, Buffer]:
        self.asked.append(Asked("GET", key, span))
        info, data = super().get(key, span, etag, timeout)
        return info, self.damage(key, span, bytes(data))

    def head(self, key: str, timeout: float) -> ObjectHead:
        self.asked.append(Asked("HEAD", key))
        return super().head(key, timeout)

    def put(
        self, key: str, data: Buffer, condition: Condition, mark: str, timeout: float
    ) -> ObjectInfo:
        self.asked.append(Asked("PUT", key))
        with self._counting:
            self._puts += 1
            self.most_puts = max(self.most_puts, self._puts)
        try:
            self.before_put(key)
            return super().put(key, data, condition, mark, timeout)
        finally:
            with self._counting:
                self._puts -= 1
