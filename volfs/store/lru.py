"""A map with a limit of weight, which forgets the values that were not used for longest."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class LruMap(Generic[K, V]):
    """A map that keeps recently used values. Thread-safe. Values are never None. A value heavier
    than the limit is not kept."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._weight = 0
        self._items: OrderedDict[K, tuple[V, int]] = OrderedDict()
        self._lock = threading.Lock()

    def find(self, key: K) -> V | None:
        with self._lock:
            item = self._items.get(key)
            if item is None:
                return None
            self._items.move_to_end(key)
            return item[0]

    def put(self, key: K, value: V, weight: int = 1) -> None:
        if weight > self._limit:
            return
        with self._lock:
            former = self._items.pop(key, None)
            self._items[key] = (value, weight)
            self._weight += weight if former is None else weight - former[1]
            while self._weight > self._limit:
                self._weight -= self._items.popitem(last=False)[1][1]

    def forget(self, key: K) -> None:
        with self._lock:
            item = self._items.pop(key, None)
            if item is not None:
                self._weight -= item[1]

    def list_values(self) -> list[V]:
        with self._lock:
            return [value for value, _ in self._items.values()]

    def clear(self) -> None:
        with self._lock:
            self._items.clear()
            self._weight = 0
