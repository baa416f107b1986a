"""Taking a mount away without asking its daemon, which may never answer.

Nothing here opens a store or waits for the mount. ``abort`` lets the kernel answer all requests
with an error, and ``detach`` frees the mount point.
"""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import ExitStack, suppress
from pathlib import Path

from volfs.control.mounts import MountPoint, list_mount_points
from volfs.control.sockets import remove_left_socket
from volfs.errors import MountError
from volfs.system.libc import (
    DETACH,
    FORCE,
    FSCONFIG,
    FSMOUNT,
    FSOPEN,
    NO_FOLLOW,
    system_call,
    unmount,
)

_CONNECTIONS = Path("/sys/fs/fuse/connections")
_CLOEXEC, _CREATE = 1, 6
_SYSTEM_PATHS = "/usr/local/bin:/usr/bin:/bin"


def end_by_force(mount: MountPoint, pid: int | None) -> None:
    """Abort the mount, free the mount point, and kill the daemon if it is known. MountError if the
    mount stays."""
    abort(mount)
    remove_sockets(mount)
    is_free = detach(mount)
    if pid is not None:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    if not is_free:
        raise MountError(
            f"{mount.path}: its daemon is ended, but the mount point cannot be freed: another "
            "mount lies over it, or it is another user's"
        )


def find_again(mount: MountPoint) -> MountPoint | None:
    """The mount that was seen before, wherever it is by now, and never another one in its
    place."""
    return _find_among(list_mount_points(), mount)


def abort(mount: MountPoint) -> bool:
    """Fail every request of the mount, now and later. False if we may not: only its owner and root
    may."""
    control = f"{mount.device[1]}/abort"
    with suppress(OSError):
        (_CONNECTIONS / control).write_text("1")
        return True
    with suppress(OSError):
        _abort_unmounted(control)
        return True
    return False


def _abort_unmounted(control: str) -> None:
    """Abort where nobody has mounted the file system of connections, by a mount without a place.
    OSError."""
    with ExitStack() as stack:
        context = system_call(FSOPEN, b"fusectl", _CLOEXEC)
        stack.callback(os.close, context)
        system_call(FSCONFIG, context, _CREATE, None, None, 0)
        connections = system_call(FSMOUNT, context, _CLOEXEC, 0)
        stack.callback(os.close, connections)
        file = os.open(control, os.O_WRONLY | os.O_CLOEXEC, dir_fd=connections)
        stack.callback(os.close, file)
        os.write(file, b"1")


def detach(mount: MountPoint) -> bool:
    """Free the mount point. Whether it is free now. A mount that lies over it is not touched."""
    mounts = list_mount_points()
    found = _find_among(mounts, mount)
    if found is None:
        return True
    top = [other for other in mounts if other.path == found.path][-1]
    return top == found and (_unmount(found.path) or _unmount_as_user(found.path))


def list_inside(mount: MountPoint) -> list[str]:
    """The mount points in the mount, and in what is mounted there. They go when it is detached."""
    mounts = list_mount_points()
    found = _find_among(mounts, mount)
    if found is None:
        return []
    inside = found.path.rstrip("/") + "/"
    return [other.path for other in mounts if other.path.startswith(inside)]


def remove_sockets(mount: MountPoint) -> None:
    """Remove the mount's sockets before it is detached: a later mount may get its number, and with
    it the socket's name."""
    for path in mount.sockets:
        remove_left_socket(path, mount.user)


def _find_among(mounts: list[MountPoint], mount: MountPoint) -> MountPoint | None:
    wanted = _identify(mount)
    return next((other for other in mounts if _identify(other) == wanted), None)


def _identify(mount: MountPoint) -> tuple[object, ...]:
    return mount.number, mount.device, mount.fs_type, mount.source, mount.root


def _unmount(path: str) -> bool:
    try:
        unmount(path, FORCE | DETACH | NO_FOLLOW)
    except OSError:
        return False
    return True


def _unmount_as_user(path: str) -> bool:
    command = ["fusermount3", "-u", "-z", "--", path]
    environment = {**os.environ, "PATH": f"{os.environ.get('PATH', '')}:{_SYSTEM_PATHS}"}
    with suppress(OSError):
        done = subprocess.run(command, env=environment, capture_output=True, check=False)
        return done.returncode == 0
    return False
