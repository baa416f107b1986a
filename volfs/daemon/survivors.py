"""The processes that outlive a container's first process, because the kernel does not end them
with it.

They are in the mount namespaces that have the mount at another place than the host does. A copy of
the host's mounts, in another container or a service, has it at the private place.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from volfs.control.mounts import list_mount_points
from volfs.system.namespaces import find_namespace, kill_all, list_pids

PATIENCE = 5.0
"""Seconds for all of them to die."""


def kill_survivors(mountpoint: str, device: tuple[int, int]) -> None:
    """Kill all survivors, until there are none or some do not die. Blocking."""
    kill_all(lambda: _iter_survivors(mountpoint, device), PATIENCE)


def _iter_survivors(mountpoint: str, device: tuple[int, int]) -> Iterator[int]:
    known = {find_namespace("self"): False}
    for pid in list_pids():
        namespace = find_namespace(pid)
        if namespace is None:
            continue
        if namespace not in known:
            known[namespace] = _is_shown(pid, mountpoint, device)
        if known[namespace]:
            yield pid


def _is_shown(pid: int, mountpoint: str, device: tuple[int, int]) -> bool:
    try:
        mounts = list_mount_points(pid)
    except OSError:
        return False
    # A process that sees our directories at another path still sees their last two, random names.
    private = Path(mountpoint).parts[-2:]
    return any(m.device == device and Path(m.path).parts[-2:] != private for m in mounts)
