"""The places on the host where containers' volumes are mounted, and what dead containers left
there.

A mount is at ``<runtime directory>/containers/<place>/<mount>``. The process that a container
belongs to holds a lock on its place; the kernel releases the lock however the process dies.
Everything is reached by descriptor from the runtime directory, once that is known to be ours
alone, and no link in it is followed.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from volfs.control.mount_client import MountClient
from volfs.control.mounts import containers_directory, find_mount_point
from volfs.control.runtime import open_directory, runtime_directory
from volfs.errors import MountError
from volfs.system.directories import OPEN_DIRECTORY
from volfs.system.locks import lock_directory


class Place:
    """A new directory for one container's mounts. ``remove`` takes it away when they are gone."""

    def __init__(self) -> None:
        """MountError if others can change the runtime directory."""
        with _opened_containers(create=True) as places:
            while True:
                name = secrets.token_hex(4)
                os.mkdir(name, 0o700, dir_fd=places)
                lock = lock_directory(name, places)
                if lock is not None:
                    break
        self.path = containers_directory() / name
        self._lock = lock

    def make_mountpoint(self, name: str) -> Path:
        os.mkdir(name, 0o700, dir_fd=self._lock)
        return self.path / name

    def remove(self) -> None:
        """Remove the place. If mounts are left in it, the next ``clear_left`` removes them."""
        if self._lock < 0:
            return
        lock, self._lock = self._lock, -1
        try:
            with _opened_containers() as places:
                _remove(self.path.name, lock, places)
        finally:
            os.close(lock)


def clear_left() -> None:
    """Remove the places of containers whose process died. Best effort.

    A mount whose daemon is still committing is left alone. MountError if others can change the
    runtime directory, because its contents may not be ours then.
    """
    with suppress(FileNotFoundError), _opened_containers() as places:
        for name in os.listdir(places):
            lock = lock_directory(name, places)
            if lock is not None:
                try:
                    _remove(name, lock, places)
                finally:
                    os.close(lock)


@contextmanager
def _opened_containers(*, create: bool = False) -> Iterator[int]:
    """Open the directory of all places. FileNotFoundError; MountError if it is not ours alone."""
    above = open_directory(runtime_directory(), {os.geteuid()}, create=create)
    try:
        name = containers_directory().name
        if create:
            with suppress(FileExistsError):
                os.mkdir(name, 0o700, dir_fd=above)
        descriptor = _open_own(name, above)
    finally:
        os.close(above)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _open_own(name: str, above: int) -> int:
    shown = containers_directory()
    try:
        descriptor = os.open(name, OPEN_DIRECTORY, dir_fd=above)
    except NotADirectoryError:  # the answer for a link, too
        raise MountError(f"{shown}: not a directory; remove it") from None
    status = os.fstat(descriptor)
    if status.st_uid != os.geteuid() or status.st_mode & 0o022:
        os.close(descriptor)
        raise MountError(f"{shown}: others can change it; `chmod 700` or remove it")
    return descriptor


def _remove(name: str, place: int, places: int) -> None:
    for mount in os.listdir(place):
        with suppress(MountError, OSError):
            _take_away(os.fspath(containers_directory() / name / mount))
            os.rmdir(mount, dir_fd=place)
    with suppress(OSError):
        os.rmdir(name, dir_fd=places)


def _take_away(mountpoint: str) -> None:
    """Unmount a mount that has no daemon. MountError if it has one."""
    found = find_mount_point(mountpoint)
    if found is None:
        return
    if MountClient(found).is_alive():
        raise MountError(f"{mountpoint}: its daemon has not ended yet")
    # This import is here because it loads many modules of the daemon, and is seldom needed.
    from volfs.daemon.dead_mounts import clear_dead_mount

    clear_dead_mount(mountpoint)
