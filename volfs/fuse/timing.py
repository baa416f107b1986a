"""The timings of a mount's operations, by name."""

from __future__ import annotations

from volfs.model.activity import Timing


def list_timings(operations: object) -> dict[str, Timing]:
    """The timings of operations that were called, by name. If one handler calls another, only the
    outer one counts."""
    kind = type(operations)
    found = {name: getattr(getattr(kind, name), "timing", None) for name in dir(kind)}
    return {name: timing for name, timing in found.items() if timing and timing.count}
