"""Looking for the next request a moment longer before going to sleep.

A program that works on many small files sends its next request some tens of
microseconds after our answer; going through the event loop's epoll each time
costs more than that. So the session looks at the device first, briefly, and
every so often lets the other tasks run (docs/decisions/0006).
"""

from __future__ import annotations

import os
import select
import time
from collections.abc import Awaitable, Callable

import pyfuse3

from volfs.errors import MountError
from volfs.system.proc import list_descriptors

PATIENCE = 80e-6
"""Seconds to look for the next request before waiting for it."""
FAIRNESS = 32
"""At the latest after so many requests the other tasks have their turn."""

Wait = Callable[[], Awaitable[bool]]


_wait_in_loop: Wait = pyfuse3._wait_fuse_readable  # type: ignore[attr-defined]


def install(device: int | None, prepare: Callable[[], bool] = lambda: True) -> None:
    """Let pyfuse3's session, which has just been mounted, wait as ``make_wait`` does.

    ``prepare`` is called before each wait, until it has said that it need not be any more.
    """
    wait = make_wait(_find_device() if device is None else device, _wait_in_loop)

    async def wait_prepared() -> bool:
        if prepare():
            pyfuse3._wait_fuse_readable = wait  # type: ignore[attr-defined]
        return await wait()

    pyfuse3._wait_fuse_readable = wait_prepared  # type: ignore[attr-defined]


def make_wait(device: int, wait_in_loop: Wait) -> Wait:
    """An awaitable that is true once ``device`` can be read; what else ``wait_in_loop`` says."""
    poller = select.poll()
    poller.register(device, select.POLLIN)
    served = 0

    async def wait() -> bool:
        nonlocal served
        served += 1
        if served % FAIRNESS:
            deadline = time.perf_counter() + PATIENCE
            while time.perf_counter() < deadline:
                if poller.poll(0):
                    return True
        while await wait_in_loop():
            # Another task may have looked and taken the request since the loop saw it: to
            # read now would block the only thread, until somebody uses the mount again.
            if poller.poll(0):
                return True
        return False

    return wait


def _find_device() -> int:
    """The descriptor of our session. MountError if there is none."""
    for descriptor in list_descriptors():
        try:
            if os.readlink(f"/proc/self/fd/{descriptor}") == "/dev/fuse":
                return descriptor
        except OSError:
            continue  # the listing's own descriptor
    raise MountError("the session has no device")
