"""Mount points whose daemon has died, and the place where the next mount is to be.

A dead mount stays until the moment at which the next mount takes its place. Until then everybody
who uses the path gets an error. If the bare directory were there meanwhile, what a program writes
would go into it, and would be hidden below the next mount.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

from volfs.control.mount_liveness import is_dead
from volfs.control.mounts import FS_TYPE, MountPoint, find_mount_point
from volfs.control.sockets import remove_left_socket
from volfs.daemon.whereabouts import check_empty
from volfs.errors import MountError
from volfs.fuse.mounting import unmount

log = logging.getLogger(__name__)


def find_dead_mount(mountpoint: str) -> MountPoint | None:
    """The mount of ours at a place whose daemon has died. None if there is no mount of ours.
    MountError if its daemon lives, or if something is mounted in it."""
    found = find_mount_point(mountpoint)
    if found is None or found.fs_type != FS_TYPE:
        return None
    if not is_dead(found):
        raise MountError(f"{mountpoint}: {found.source} is already mounted there")
    check_empty(found)
    return found


def clear_dead_mount(mountpoint: str) -> None:
    """Take away a mount of ours whose daemon has died. MountError if the daemon lives."""
    while (found := find_dead_mount(mountpoint)) is not None:
        log.info("%s: taking away the mount of a daemon that died", mountpoint)
        for path in found.sockets:
            # This comes before the kernel gives the number to another mount.
            remove_left_socket(path, found.user)
        if not unmount(mountpoint, lazy=True):
            raise MountError(f"{mountpoint}: the dead mount there cannot be unmounted")


def check_mount_place(mountpoint: str, *, nonempty: bool) -> None:
    """MountError unless there is a directory, and nothing in it unless ``nonempty``."""
    place = Path(mountpoint)
    if not place.is_dir():
        problem = "not a directory" if os.path.lexists(mountpoint) else "no such directory"
        raise MountError(f"{mountpoint}: {problem}")
    if not nonempty and any(place.iterdir()):
        raise MountError(f"{mountpoint}: not empty; --nonempty mounts over what is there")


def make_way(mountpoint: str, *, nonempty: bool) -> None:
    """Take away a dead mount at the place of a mount that comes next. MountError."""
    clear_dead_mount(mountpoint)
    check_mount_place(mountpoint, nonempty=nonempty)
