"""Processes by their mount namespace: finding them, and killing all of them.

The guard of containers loads this file alone (``containers/guard.py``). So it imports nothing of
ours, and only modules that load at once.
"""

# ruff: noqa: SIM105 - contextlib takes longer to load than the rest
from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Callable, Iterable

LOOK_AGAIN = 0.005
"""Seconds between two looks."""


def list_pids() -> list[int]:
    """The numbers of all processes that /proc shows, ascending."""
    return sorted(int(name) for name in os.listdir("/proc") if name.isdigit())


def find_namespace(process: int | str) -> str | None:
    """The mount namespace of a process; None if it has ended, or is another user's."""
    try:
        return os.readlink(f"/proc/{process}/ns/mnt")
    except OSError:
        return None


def find_members(namespace: str) -> list[int]:
    """The processes in a mount namespace."""
    return [pid for pid in list_pids() if find_namespace(pid) == namespace]


def kill_all(find: Callable[[], Iterable[int]], patience: float | None = None) -> None:
    """Send SIGKILL to all that ``find`` finds, until it finds none, or for ``patience``
    seconds."""
    end = None if patience is None else time.monotonic() + patience
    while (found := list(find())) and (end is None or time.monotonic() < end):
        for pid in found:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        select.select((), (), (), LOOK_AGAIN)


def kill_members(namespace: str) -> None:
    """Kill all processes in a namespace, which the caller has open. Returns when there are
    none."""
    kill_all(lambda: find_members(namespace))
