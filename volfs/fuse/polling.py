"""Looking for the next request a moment longer before going to sleep.

A program that works on many small files sends its next request some tens of microseconds after our
answer. The way through the event loop's epoll costs more than that. So the session first looks at
the device briefly, and lets the other tasks run every so often (docs/decisions/0006).
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
"""The most requests between two turns of the other tasks."""

WaitForRequest = Callable[[], Awaitable[bool]]


_wait_in_loop: WaitForRequest = pyfuse3._wait_fuse_readable  # type: ignore[attr-defined]


def install(
    device: int | None,
    prepare: Callable[[], bool] = lambda: True,
    is_busy: Callable[[], bool] = lambda: False,
) -> None:
    """Let pyfuse3's session, which has just been mounted, wait as ``make_wait`` does.

    ``prepare`` is called before each wait, until it returns True.
    """
    wait = make_wait(_find_device() if device is None else device, _wait_in_loop, is_busy)

    async def wait_prepared() -> bool:
        if prepare():
            pyfuse3._wait_fuse_readable = wait  # type: ignore[attr-defined]
        return await wait()

    pyfuse3._wait_fuse_readable = wait_prepared  # type: ignore[attr-defined]


def make_wait(
    device: int, wait_in_loop: WaitForRequest, is_busy: Callable[[], bool] = lambda: False
) -> WaitForRequest:
    """Make an awaitable that is True once ``device`` can be read, and False if ``wait_in_loop``
    is.

    While ``is_busy``, there is one look alone: each look hands the interpreter to a thread that
    wants it, and waits to get it back.
    """
    poller = select.poll()
    poller.register(device, select.POLLIN)
    served = 0

    async def wait() -> bool:
        nonlocal served
        served += 1
        if served % FAIRNESS:
            deadline = time.perf_counter() + PATIENCE
            while True:
                if poller.poll(0):
                    return True
                if is_busy() or time.perf_counter() >= deadline:
                    break
        while await wait_in_loop():
            # Another task may have taken the request since the loop saw it. A read would then
            # block the only thread until somebody uses the mount again.
            if poller.poll(0):
                return True
        return False

    return wait


def _find_device() -> int:
    """The device descriptor of our session. MountError if there is none."""
    for descriptor in list_descriptors():
        try:
            if os.readlink(f"/proc/self/fd/{descriptor}") == "/dev/fuse":
                return descriptor
        except OSError:
            continue  # This is the listing's own descriptor.
    raise MountError("the session has no device")
