"""A mount namespace for each pytest: nobody else sees its mounts, and it sees no one's.

A container, and whatever else has a mount namespace of its own, begins with a copy of every
mount that there is. A mount of which somebody has a copy does not end when it is unmounted.
"""

from __future__ import annotations

import os
import subprocess
from contextlib import suppress

from volfs.control.mounts import FS_TYPE, list_mount_points
from volfs.system.libc import DETACH, call, unmount

_CLONE_NEWNS = 0x20000
_SHARE = "VOLFS_TESTS_SHARE_MOUNTS"
"""Set, to look at the mounts of a test from outside."""
_made: list[int] = []
"""The process, once it has mounts of its own."""


def isolate_mounts() -> None:
    """Give this thread, and the processes that it starts, mounts of their own, if it may."""
    if os.geteuid() != 0 or os.environ.get(_SHARE):
        return
    try:
        call("unshare", _CLONE_NEWNS)
    except OSError:
        return  # a container without CAP_SYS_ADMIN: what mounts fails or is skipped by itself
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    _made.append(os.getpid())
    for mount in reversed(list_mount_points()):
        if mount.fs_type == FS_TYPE:  # a copy of one of the host's, which would outlive it
            with suppress(OSError):  # one that is gone is no matter
                unmount(mount.path, DETACH)


def are_mounts_isolated() -> bool:
    """Whether nobody but this process and those that it starts sees its mounts."""
    return os.getpid() in _made
