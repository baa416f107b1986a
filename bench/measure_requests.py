"""What it takes to guard a request: its errors, its timing, and the question if it is a line."""

from __future__ import annotations

import os
from collections.abc import Callable, Coroutine, Iterator
from contextlib import suppress
from time import clock_gettime_ns, process_time_ns
from typing import Any

from bench.figures import Figure, FigureTarget
from bench.workplace import Workplace
from volfs.fuse.request_guard import guarded

CALLS = 2_000
ROUNDS = 40
TARGET = FigureTarget(1)

Handler = Callable[..., Coroutine[Any, Any, Any]]


async def getattr_bare(_: object, inode: int, __: object) -> int:
    return inode


def measure_requests(place: Workplace) -> Iterator[Figure]:
    """The bare and the guarded handler in turn, and requests of a mount beside them.

    In processor time, of which others on the machine take little away.
    """
    getattr_guarded = guarded(getattr_bare)
    with place.mounted(place.make_volume("requests")) as mount:
        daemon = mount.client.status().pid
        rounds = [
            (_drive(getattr_bare), _drive(getattr_guarded), _ask(mount.path, daemon))
            for _ in range(ROUNDS)
        ]
    bare, guard, request = map(min, zip(*rounds, strict=True))
    note = f"the least of {ROUNDS} rounds"
    yield Figure("the daemon for a request, the quickest", request / 1000, "us", note=note)
    yield Figure("its guard", (guard - bare) / 1000, "us", note=note)
    yield Figure("the guard, of that request", (guard - bare) / request * 100, "%", TARGET)


def _drive(handler: Handler) -> float:
    """Nanoseconds for a call of a handler that waits for nothing."""
    began = process_time_ns()
    for _ in range(CALLS):
        with suppress(StopIteration):
            handler(None, 1, None).send(None)
    return (process_time_ns() - began) / CALLS


def _ask(path: os.PathLike[str], daemon: int) -> float:
    """Nanoseconds of the daemon's processor time for a request that no cache answers."""
    clock = ~daemon << 3 | 2  # as clock_getcpuclockid(3) makes it
    began = clock_gettime_ns(clock)
    for _ in range(CALLS // 10):
        with suppress(OSError):
            os.getxattr(path, "user.none")
    return (clock_gettime_ns(clock) - began) / (CALLS // 10)
