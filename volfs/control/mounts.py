"""The mounts of volfs that the kernel lists, and the sockets that belong to them.

The control socket of a mount is named after the mount's device number, which every process sees
alike, in every mount namespace and under every path.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from volfs.control.runtime import (
    list_runtime_directories,
    make_runtime_directory,
    runtime_directory,
)
from volfs.system.mountinfo import MountLine, parse_mount_table, read_mount_table
from volfs.system.proc import read_mount_number

__all__ = [
    "FS_TYPE",
    "MountPoint",
    "containers_directory",
    "find_mount_point",
    "list_mount_points",
    "list_volfs_mounts",
    "make_runtime_directory",
    "resolve_mount_path",
    "runtime_directory",
    "socket_path",
]

FS_TYPE = "fuse.volfs"


class MountPoint(MountLine):
    """A mount, and where the daemon listens that serves it, if that is one of ours."""

    __slots__ = ()

    @property
    def socket(self) -> Path:
        """The place of the socket, if this user has mounted it."""
        return socket_path(self.device)

    @property
    def sockets(self) -> list[Path]:
        """The places where the socket may be, as far as we may ask; the likeliest first."""
        places = list_runtime_directories(self.user)
        return [place / socket_name(self.device) for place in places]

    @property
    def user(self) -> int:
        """The user who has mounted it; -1 if the kernel does not say."""
        return self._find_number("user_id")

    @property
    def group(self) -> int:
        return self._find_number("group_id")

    @property
    def lets_others_in(self) -> bool:
        return "allow_other" in self.options.split(",")

    def _find_number(self, name: str) -> int:
        for option in self.options.split(","):
            key, _, value = option.partition("=")
            if key == name and value.isdecimal():
                return int(value)
        return -1

    @property
    def is_private(self) -> bool:
        """Whether the mount exists only to be bound into a container."""
        return self.path.startswith(f"{os.path.realpath(containers_directory())}/")


def containers_directory() -> Path:
    """The directory in which volumes are mounted for this user's containers, which see them
    elsewhere."""
    return runtime_directory() / "containers"


def socket_name(device: tuple[int, int]) -> str:
    return f"{device[0]}-{device[1]}.sock"


def socket_path(device: tuple[int, int]) -> Path:
    """The path of the socket of a mount of this user."""
    return runtime_directory() / socket_name(device)


def list_mount_points(process: int | str = "self") -> list[MountPoint]:
    """Every mount that a process sees, in the kernel's order: later ones lie on top. OSError."""
    return _parse(read_mount_table(process))


def list_mounts_beside(process: int, device: tuple[int, int]) -> list[MountPoint]:
    """As ``list_mount_points``, but nothing if none of them is of the device. OSError."""
    table = read_mount_table(process)
    return _parse(table) if b" %d:%d " % device in table else []


def _parse(table: bytes) -> list[MountPoint]:
    return [MountPoint(*line) for line in parse_mount_table(table)]


def list_volfs_mounts() -> list[MountPoint]:
    """The mounts of volfs. A private mount is among them only if it is not also seen elsewhere."""
    mounts = [mount for mount in list_mount_points() if mount.fs_type == FS_TYPE]
    elsewhere = {mount.device for mount in mounts if not mount.is_private}
    return [mount for mount in mounts if not (mount.is_private and mount.device in elsewhere)]


def find_mount_point(path: str) -> MountPoint | None:
    """The topmost mount at exactly this path (made absolute). No file system is asked."""
    wanted = resolve_mount_path(path)
    found = [mount for mount in list_mount_points() if mount.path == wanted]
    return found[-1] if found else None


def find_meant(path: str) -> MountPoint | None:
    """The mount that a path means: one at the path, covered or not, or else the one that the path
    is in."""
    wanted = resolve_mount_path(path)
    found = [mount for mount in list_mount_points() if mount.path == wanted]
    own = [mount for mount in found if mount.fs_type == FS_TYPE]
    if found:
        return (own or found)[-1]
    try:
        with open_place(path) as place:
            number = read_mount_number(place)
    except OSError:
        return None
    around = next((mount for mount in list_mount_points() if mount.number == number), None)
    return around if around is not None and around.fs_type == FS_TYPE else None


def leads_to(path: str, mount: MountPoint) -> bool:
    """Whether a path leads into a mount, and not into another one that covers it."""
    try:
        with open_place(path) as place:
            return read_mount_number(place) == mount.number
    except OSError:
        return False


@contextmanager
def open_place(path: str) -> Iterator[int]:
    """Open a path as a descriptor that only names the place. OSError."""
    place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        yield place
    finally:
        os.close(place)


def resolve_mount_path(path: str) -> str:
    """The absolute path with its symlinks resolved.

    The last component is not looked at, because a dead mount point would answer ENOTCONN.
    """
    parent, name = os.path.split(os.path.abspath(path))
    near = os.path.join(os.path.realpath(parent), name)
    if any(mount.path == near for mount in list_mount_points()):
        return near
    return os.path.realpath(near)
