"""The mounts of volfs that the kernel lists, and the sockets that belong to them.

A mount's control socket is named after its device number, which every process
sees alike, in whatever mount namespace and under whatever path.
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import NamedTuple

from volfs.model.text import to_text

FS_TYPE = "fuse.volfs"
_ESCAPE = re.compile(rb"\\([0-7]{3})")


class MountPoint(NamedTuple):
    """One line of a mountinfo."""

    path: str
    device: tuple[int, int]
    fs_type: str
    source: str
    number: int
    """What the kernel calls it, in fdinfo for example."""
    root: str
    """The directory of the file system that is shown; ``/`` unless it is a bind mount of less."""

    @property
    def socket(self) -> Path:
        return socket_path(self.device)

    @property
    def is_private(self) -> bool:
        """Whether it is there only to be bound into a container."""
        return self.path.startswith(f"{os.path.realpath(containers_directory())}/")


def runtime_directory() -> Path:
    """Where this user's sockets are: ``VOLFS_RUNTIME_DIR``, /run/volfs, or under XDG's."""
    named = os.environ.get("VOLFS_RUNTIME_DIR")
    if named:
        return Path(named)
    if os.geteuid() == 0:
        return Path("/run/volfs")
    base = os.environ.get("XDG_RUNTIME_DIR")
    return Path(base) / "volfs" if base else Path(f"/tmp/volfs-{os.geteuid()}")


def make_runtime_directory() -> Path:
    """The runtime directory, private to its owner. PermissionError if it is somebody else's."""
    path = runtime_directory()
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = path.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
        raise PermissionError(f"{path} belongs to another user")
    return path


def containers_directory() -> Path:
    """Where volumes are mounted for this user's containers, which see them elsewhere."""
    return runtime_directory() / "containers"


def socket_path(device: tuple[int, int]) -> Path:
    return runtime_directory() / f"{device[0]}-{device[1]}.sock"


def list_mount_points(process: int | str = "self") -> list[MountPoint]:
    """Every mount that a process sees, in the kernel's order: later ones lie on top. OSError."""
    lines = Path(f"/proc/{process}/mountinfo").read_bytes().split(b"\n")
    return [parse_mount_line(line) for line in lines if line]


def list_volfs_mounts() -> list[MountPoint]:
    """The mounts of volfs; a private one only where it is not seen elsewhere, too."""
    mounts = [mount for mount in list_mount_points() if mount.fs_type == FS_TYPE]
    elsewhere = {mount.device for mount in mounts if not mount.is_private}
    return [mount for mount in mounts if not (mount.is_private and mount.device in elsewhere)]


def find_mount_point(path: str) -> MountPoint | None:
    """The mount at exactly this path (made absolute), the topmost one. Asks no file system."""
    wanted = resolve_mount_path(path)
    found = [mount for mount in list_mount_points() if mount.path == wanted]
    return found[-1] if found else None


def resolve_mount_path(path: str) -> str:
    """The absolute path with its symlinks resolved.

    A mount point is not looked at: a dead one would answer ENOTCONN.
    """
    parent, name = os.path.split(os.path.abspath(path))
    near = os.path.join(os.path.realpath(parent), name)
    if any(mount.path == near for mount in list_mount_points()):
        return near
    return os.path.realpath(near)


def parse_mount_line(line: bytes) -> MountPoint:
    """A line of mountinfo, whatever others have mounted: any byte but NUL may be in it."""
    fields, _, tail = line.partition(b" - ")
    parts, rest = fields.split(b" "), tail.split(b" ")
    major, minor = parts[2].split(b":")
    return MountPoint(
        _unescape(parts[4]),
        (int(major), int(minor)),
        _unescape(rest[0]),
        _unescape(rest[1]),
        int(parts[0]),
        _unescape(parts[3]),
    )


def _unescape(field: bytes) -> str:
    return to_text(_ESCAPE.sub(lambda match: bytes((int(match[1], 8),)), field))
