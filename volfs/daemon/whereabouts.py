"""The place of a daemon's mount, found by the kernel's number and not by the path that was given.

Blocking. Reads the mount table, and asks no file system.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
from collections.abc import Iterator
from pathlib import Path

import trio

from volfs.control.mounts import MountPoint, list_mount_points, open_place
from volfs.daemon.attached import describe_mount, find_nested
from volfs.errors import MountError
from volfs.fuse import mounting
from volfs.fuse.mount_anchor import MountAnchor
from volfs.model.text import show
from volfs.system.mountinfo import read_mount_table
from volfs.system.proc import read_mount_number

_TABLE = Path("/proc/self/mountinfo")
"""The mount table, which is watched."""


class Whereabouts:
    """The places of one mount, in this process's mount namespace, once it ``begin``s."""

    def __init__(self, mountpoint: str) -> None:
        self.mountpoint = mountpoint
        """The path at which it was mounted."""
        self.device = (0, 0)
        self.number = 0
        self.anchor = MountAnchor(self._enter)

    def begin(self) -> None:
        """Note the mount that has just been made at the path. MountError if it is gone."""
        try:
            with open_place(self.mountpoint) as place:
                self.number = read_mount_number(place)
                self.anchor.clone(place)
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
        """The present path of the mount, or the last known one."""
        found = self.find() if self.number else None
        return found.path if found else self.mountpoint

    def _enter(self) -> int | None:
        """Enter the mount by any path that leads into it; None if there is none."""
        for seen in self.list_places():
            with contextlib.suppress(OSError), open_place(seen.path) as place:
                if seen.root == "/" and read_mount_number(place) == seen.number:
                    return os.dup(place)
        return None

    # --- unmounting --------------------------------------------------------

    def unmount(self, *, lazy: bool = False) -> bool:
        """Unmount the mount at its present place. False if it is in use; True also if it is
        nowhere.

        MountError if no path leads to it, or nobody here may unmount it.
        """
        place = self.find()
        if place is None:
            return True
        cover = find_cover(place)
        if cover is not None:
            raise MountError(
                f"{show(place.path)}: {describe_mount(cover)} is mounted over it, at "
                f"{show(cover.path)}: unmount that first"
            )
        if lazy:
            check_empty(place)
        return mounting.unmount(place.path, lazy=lazy)


def check_empty(place: MountPoint) -> None:
    """MountError if something is mounted in a mount, because a lazy unmount would take it away,
    too."""
    nested = find_nested(place.device)
    if nested:
        inner = nested[0]
        raise MountError(
            f"{show(place.path)}: {describe_mount(inner)} is mounted in it, at "
            f"{show(inner.path)}: unmount that first"
        )


def find_cover(place: MountPoint) -> MountPoint | None:
    """The mount that covers a mount, or a directory above it; None if the path leads to the
    mount."""
    path = place.path
    while True:
        with contextlib.suppress(OSError):
            with open_place(path) as place_there:
                reached = read_mount_number(place_there)
            if reached == place.number:
                return None
            return next((m for m in list_mount_points() if m.number == reached), None)
        if path == "/":
            return None
        path = os.fspath(Path(path).parent)


# --- watching -----------------------------------------------------------------


def is_shown(device: tuple[int, int]) -> bool:
    """Whether this process sees a mount of the device anywhere."""
    line = rb"^\d+ \d+ %d:%d " % device
    return re.search(line, read_mount_table(), re.MULTILINE) is not None


async def wait_until_nowhere(device: tuple[int, int]) -> None:
    """Return when the last mount point of a device is gone."""
    with _watching() as changes:
        while await trio.to_thread.run_sync(is_shown, device):
            await trio.lowlevel.wait_readable(changes)


@contextlib.contextmanager
def _watching() -> Iterator[int]:
    """A descriptor that becomes readable when the mount table has changed.

    The table itself is always readable, and reports a change by POLLPRI.
    """
    with _TABLE.open("rb") as table, select.epoll() as changes:
        changes.register(table, select.EPOLLPRI)
        yield changes.fileno()
