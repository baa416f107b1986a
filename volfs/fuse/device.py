"""Mounting by ourselves: the open device of a session, before libfuse knows of it."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path

from volfs.errors import MountError
from volfs.system.libc import mount

DEVICE = Path("/dev/fuse")
_SYSTEM_PATHS = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"
_READ_ONLY, _NO_SUID, _NO_DEVICES, _NO_EXEC, _POSIX_ACL = 1, 2, 4, 8, 1 << 16
_COMMFD = "_FUSE_COMMFD"
"""The variable that tells fusermount3 the socket for the device."""


@dataclass(frozen=True, slots=True)
class MountRequest:
    """A volume to mount, the place, and the options."""

    mountpoint: str
    volume: str
    read_only: bool
    allow_other: bool
    no_exec: bool = False

    def list_options(self) -> list[str]:
        """The options as libfuse and fusermount3 take them."""
        asked = {"ro": self.read_only, "allow_other": self.allow_other, "noexec": self.no_exec}
        fixed = ["default_permissions", "nosuid", "nodev", "subtype=volfs"]
        return [*fixed, f"fsname={self.volume}", *(name for name, on in asked.items() if on)]


def mount_by_call(request: MountRequest) -> int | None:
    """Mount as root, so that the kernel leaves the umask to us, and return the session's device.

    None if that is not possible (docs/decisions/0022).
    """
    try:
        device = os.open(DEVICE, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None
    data = f"fd={device},rootmode=40000,user_id={os.getuid()},group_id={os.getgid()}"
    data += ",default_permissions" + ",allow_other" * request.allow_other
    flags = _NO_SUID | _NO_DEVICES | _POSIX_ACL
    flags |= _READ_ONLY * request.read_only | _NO_EXEC * request.no_exec
    try:
        mount(request.volume, request.mountpoint, "fuse.volfs", flags, data.encode())
    except OSError:
        os.close(device)
        return None
    return device


def mount_by_program(request: MountRequest) -> int | None:
    """Let fusermount3 mount and send us the device, as it does for libfuse.

    None if it refuses. libfuse then asks it again, and reports why.
    """
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    with near, far, contextlib.suppress(MountError, OSError):
        options = ",".join(request.list_options())
        done = subprocess.run(
            [find_fusermount(), "-o", options, "--", request.mountpoint],
            env={**os.environ, _COMMFD: str(far.fileno())},
            pass_fds=[far.fileno()],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
        if done.returncode == 0:
            return _receive(near)
    return None


def _receive(line: socket.socket) -> int | None:
    flags = socket.MSG_CMSG_CLOEXEC | socket.MSG_DONTWAIT
    _, devices, _, _ = socket.recv_fds(line, 1, 1, flags)
    return devices[0] if devices else None


def find_fusermount() -> str:
    """The path of the program that mounts for users other than root, whatever PATH says.

    MountError if it is missing.
    """
    paths = (None, _SYSTEM_PATHS)
    found = next(filter(None, (shutil.which("fusermount3", path=path) for path in paths)), None)
    if found is None:
        raise MountError("fusermount3 is missing: install the package fuse3")
    return found
