"""For each operation of a mount: the number of calls and errors, and the time that they took."""

from __future__ import annotations

_BUCKETS = 64
"""Enough for any number of microseconds that a clock counts."""


class Timing:
    """The timing of one operation since the mount began. The guard counts, and only the trio
    thread reads."""

    __slots__ = ("errors", "histogram", "total_ns")

    def __init__(self) -> None:
        self.errors = 0
        self.total_ns = 0
        self.histogram = [0] * _BUCKETS
        """The number of requests that took less than 1, 2, 4, 8 … microseconds, each counted
        once."""

    @property
    def count(self) -> int:
        return sum(self.histogram)


def list_timings(operations: object) -> dict[str, Timing]:
    """The timings of operations that were called, by name. If one handler calls another, only the
    outer one counts."""
    kind = type(operations)
    found = {name: getattr(getattr(kind, name), "timing", None) for name in dir(kind)}
    return {name: timing for name, timing in found.items() if timing and timing.count}
