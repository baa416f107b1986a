"""Where a container's volumes are mounted on the host, and what dead containers left there.

``<runtime directory>/containers/<place>/<mount>``. The process that a container
belongs to holds a lock on its place; the kernel lets go of it whatever the
process dies of.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
from pathlib import Path

from volfs.control.client import MountClient
from volfs.control.mounts import containers_directory, find_mount_point, make_runtime_directory
from volfs.errors import MountError


class Place:
    """A new directory for one container's mounts; ``remove`` takes it away when they are gone."""

    def __init__(self) -> None:
        make_runtime_directory()
        containers_directory().mkdir(mode=0o700, exist_ok=True)
        while True:
            self.path = containers_directory() / secrets.token_hex(4)
            self.path.mkdir(mode=0o700)
            lock = _find_lock(self.path)
            if lock is not None:
                self._lock = lock
                return

    def make_mountpoint(self, name: str) -> Path:
        path = self.path / name
        path.mkdir(mode=0o700)
        return path

    def remove(self) -> None:
        """Also with mounts in it that are left: the next ``clear_left`` looks after those."""
        if self._lock >= 0:
            _remove(self.path)
            os.close(self._lock)
            self._lock = -1


def clear_left() -> None:
    """Remove the places of containers whose process died; best effort.

    Where a daemon is still committing, its mount is let be.
    """
    try:
        places = list(containers_directory().iterdir())
    except FileNotFoundError:
        return
    for path in places:
        lock = _find_lock(path)
        if lock is not None:
            _remove(path)
            os.close(lock)


def _find_lock(path: Path) -> int | None:
    """The locked directory; None where somebody has it, or it is gone."""
    try:
        lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(lock), path.stat()):
            return lock
    except OSError:
        pass
    os.close(lock)
    return None


def _remove(path: Path) -> None:
    for mountpoint in path.iterdir():
        with contextlib.suppress(MountError, OSError):
            _take_away(os.fspath(mountpoint))
            mountpoint.rmdir()
    with contextlib.suppress(OSError):
        path.rmdir()


def _take_away(mountpoint: str) -> None:
    """Unmount what has no daemon. MountError if it has one."""
    found = find_mount_point(mountpoint)
    if found is None:
        return
    if MountClient(found).is_alive():
        raise MountError(f"{mountpoint}: its daemon has not ended yet")
    # Only here, where it is needed: the daemon's modules are many.
    from volfs.daemon.launch import clear_dead_mount

    clear_dead_mount(mountpoint)
