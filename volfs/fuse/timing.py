"""How often each operation was asked of a mount, how often in vain, and how long it took."""

from __future__ import annotations

_BUCKETS = 64
"""Enough for any number of microseconds that a clock has."""


class Timing:
    """Of one operation, since the mount began. The guard counts; only the trio thread reads."""

    __slots__ = ("errors", "histogram", "total_ns")

    def __init__(self) -> None:
        self.errors = 0
        self.total_ns = 0
        self.histogram = [0] * _BUCKETS
        """How many requests took less than 1, 2, 4, 8 … microseconds, each counted once."""

    @property
    def count(self) -> int:
        return sum(self.histogram)


def list_timings(operations: object) -> dict[str, Timing]:
    """By operation, those that were asked for; of a handler that calls another, its own."""
    kind = type(operations)
    found = {name: getattr(getattr(kind, name), "timing", None) for name in dir(kind)}
    return {name: timing for name, timing in found.items() if timing and timing.count}
