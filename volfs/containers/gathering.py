"""The calls that wait for a container, and the choice of those that it takes together.

Calls of a batched function are taken as a *batch*: as soon as there are enough of them, or when
the first has waited long enough. Any other call is a batch of its own. This module is pure: the
caller says what time it is.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar


@dataclass(frozen=True)
class Batching:
    """The limits of a batch: at most ``size`` calls, of which the first waits ``wait`` seconds for
    others."""

    size: int
    wait: float


_ALONE = Batching(1, 0.0)


class WaitingCall(Protocol):
    """A call, as far as this module needs to know it."""

    since: float
    """The time at which the call began to wait."""

    @property
    def method(self) -> str:
        """The method that the call calls. Only calls of one method are taken together."""

    @property
    def batching(self) -> Batching | None:
        """The limits of the call's batch. None: the call is taken alone. The same for all calls of
        a method."""


T = TypeVar("T", bound=WaitingCall)


class Gathering(Generic[T]):
    """Waiting calls, in the order in which they came, for each method. Threads may not share it
    without a lock."""

    def __init__(self) -> None:
        self._groups: dict[str, deque[T]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._groups.values()))

    def count_batches(self) -> int:
        """The number of batches if all calls were taken now."""
        return sum(-(-len(group) // _get_batching(group).size) for group in self._groups.values())

    def add(self, call: T) -> None:
        self._groups.setdefault(call.method, deque()).append(call)

    def remove(self, call: T) -> bool:
        """Remove a call. False if it was not waiting."""
        group = self._groups.get(call.method, deque())
        if call not in group:
            return False
        group.remove(call)
        self._forget_empty(call.method)
        return True

    def take(self, now: float) -> tuple[T, ...]:
        """The next batch; empty if none is to be taken yet."""
        ripe = [group for group in self._groups.values() if _compute_wait(group, now) <= 0]
        return self._take_from(ripe)

    def take_any(self) -> tuple[T, ...]:
        """The next batch, even if it could wait for others; empty only if no call waits."""
        return self._take_from(list(self._groups.values()))

    def _take_from(self, groups: list[deque[T]]) -> tuple[T, ...]:
        if not groups:
            return ()
        group = min(groups, key=lambda one: one[0].since)
        method, size = group[0].method, _get_batching(group).size
        batch = tuple(group.popleft() for _ in range(min(size, len(group))))
        self._forget_empty(method)
        return batch

    def take_all(self) -> Iterator[T]:
        """Every call, batch by batch."""
        while batch := self.take_any():
            yield from batch

    def compute_wait(self, now: float) -> float | None:
        """Seconds until a batch is to be taken if no call is added; None if no call waits."""
        waits = [_compute_wait(group, now) for group in self._groups.values()]
        return min(waits) if waits else None

    def _forget_empty(self, method: str) -> None:
        if not self._groups[method]:
            del self._groups[method]


def _get_batching(group: deque[T]) -> Batching:
    return group[0].batching or _ALONE


def _compute_wait(group: deque[T], now: float) -> float:
    batching = _get_batching(group)
    if len(group) >= batching.size:
        return 0.0
    return max(0.0, group[0].since + batching.wait - now)
