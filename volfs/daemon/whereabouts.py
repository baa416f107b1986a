"""Where the kernel has a daemon's mount: found by its number, not by the path it was given.

Blocking; asks the mount table, and no file system.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
from collections.abc import Iterator
from pathlib import Path

import trio

from volfs.control.mounts import MountPoint, list_mount_points
from volfs.errors import MountError
from volfs.fuse import mounting
from volfs.fuse.anchor import Anchor, read_mount_number
from volfs.model.text import show

_TABLE = Path("/proc/self/mountinfo")


class Whereabouts:
    """Of one mount, in this process's mount namespace, once it ``begin``s."""

    def __init__(self, mountpoint: str) -> None:
        self.mountpoint = mountpoint
        """Where it was mounted."""
        self.device = (0, 0)
        self.number = 0
        self.anchor = Anchor(self._list_paths)

    def begin(self) -> None:
        """Note what has just been mounted there. MountError if it is gone."""
        try:
            self.number = self.anchor.open(self.mountpoint)
        except OSError as error:
            raise MountError(f"{show(self.mountpoint)}: {error.strerror}") from error
        found = next((m for m in list_mount_points() if m.number == self.number), None)
        if found is None:
            raise MountError(f"{show(self.mountpoint)}: the mount was taken away")
        self.device = found.device

    # --- finding ---------------------------------------------------------

    def list_places(self) -> list[MountPoint]:
        """The mount and its bind mounts, as this process sees them."""
        return [mount for mount in list_mount_points() if mount.device == self.device]

    def find(self) -> MountPoint | None:
        """The mount itself, wherever it is by now; None if it is nowhere."""
        return next((place for place in self.list_places() if place.number == self.number), None)

    @property
    def path(self) -> str:
        """Where it is by now, or was last known to be."""
        found = self.find() if self.number else None
        return found.path if found else self.mountpoint

    def _list_paths(self) -> list[tuple[str, int]]:
        return [(place.path, place.number) for place in self.list_places() if place.root == "/"]

    # --- taking away -------------------------------------------------------

    def unmount(self, *, lazy: bool = False) -> bool:
        """Unmount it where it is; False if it is in use. True also if it is nowhere.

        MountError where no path leads to it, or nobody here may.
        """
        place = self.find()
        if place is None:
            return True
        cover = find_cover(place)
        if cover is not None:
            raise MountError(
                f"{show(place.path)}: {show(cover.fs_type)} of {show(cover.source)} is mounted "
                f"over it, at {show(cover.path)}: unmount that first"
            )
        return mounting.unmount(place.path, lazy=lazy)


def find_cover(place: MountPoint) -> MountPoint | None:
    """What is mounted over a mount, or over a directory above it; None if its path leads there."""
    path = place.path
    while True:
        with contextlib.suppress(OSError):
            reached = _read_number(path)
            if reached == place.number:
                return None
            return next((m for m in list_mount_points() if m.number == reached), None)
        if path == "/":
            return None
        path = os.fspath(Path(path).parent)


def _read_number(path: str) -> int:
    descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        return read_mount_number(descriptor)
    finally:
        os.close(descriptor)


# --- watching -----------------------------------------------------------------


def is_shown(device: tuple[int, int]) -> bool:
    """Whether this process sees a mount of the device at any place."""
    line = rb"^\d+ \d+ %d:%d " % device
    return re.search(line, _TABLE.read_bytes(), re.MULTILINE) is not None


async def wait_until_nowhere(device: tuple[int, int]) -> None:
    """Return when the last mount point of a device is gone."""
    with _watching() as changes:
        while await trio.to_thread.run_sync(is_shown, device):
            await trio.lowlevel.wait_readable(changes)


@contextlib.contextmanager
def _watching() -> Iterator[int]:
    """A descriptor that is readable when the mount table has changed.

    The table itself is always readable, and says that it has changed by POLLPRI.
    """
    with _TABLE.open("rb") as table, select.epoll() as changes:
        changes.register(table, select.EPOLLPRI)
        yield changes.fileno()
