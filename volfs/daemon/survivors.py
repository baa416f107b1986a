"""What outlived a container's process: its other processes, which the kernel does not end with it.

They are those in the mount namespaces that have the mount at another place than
the host does. A copy of the host's mounts, another container's or a service's,
has it at the private one.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from volfs.control.mounts import list_mount_points

LOOK_AGAIN, PATIENCE = 0.005, 5.0


def kill_survivors(mountpoint: str, device: tuple[int, int]) -> None:
    """SIGKILL to all of them, until there are none, or some will not die. Blocking."""
    end = time.monotonic() + PATIENCE
    while (found := list(_iter_survivors(mountpoint, device))) and time.monotonic() < end:
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        select.select((), (), (), LOOK_AGAIN)


def _iter_survivors(mountpoint: str, device: tuple[int, int]) -> Iterator[int]:
    known = {_find_namespace("self"): False}
    for pid in [path.name for path in Path("/proc").iterdir() if path.name.isdecimal()]:
        namespace = _find_namespace(pid)
        if namespace is None:
            continue
        if namespace not in known:
            known[namespace] = _is_shown(pid, mountpoint, device)
        if known[namespace]:
            yield int(pid)


def _is_shown(pid: str, mountpoint: str, device: tuple[int, int]) -> bool:
    try:
        mounts = list_mount_points(pid)
    except OSError:
        return False
    # Whoever sees our directories at another path still sees their two random names.
    private = Path(mountpoint).parts[-2:]
    return any(m.device == device and Path(m.path).parts[-2:] != private for m in mounts)


def _find_namespace(pid: str) -> Path | None:
    try:
        return Path(f"/proc/{pid}/ns/mnt").readlink()
    except OSError:  # it has ended, or is another user's
        return None
