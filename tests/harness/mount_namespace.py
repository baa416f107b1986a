"""A mount namespace for each pytest: nobody else sees its mounts, and it sees no one's.

A container, and whatever else has a mount namespace of its own, begins with a copy of every
mount that there is. A mount of which somebody has a copy does not end when it is unmounted.
"""

from __future__ import annotations

import ctypes
import os
import subprocess

from volfs.control.mounts import FS_TYPE, list_mount_points

_CLONE_NEWNS, _MNT_DETACH = 0x20000, 2
_SHARE = "VOLFS_TESTS_SHARE_MOUNTS"
"""Set, to look at the mounts of a test from outside."""


def isolate_mounts() -> None:
    """Give this thread, and the processes that it starts, mounts of their own, if it may."""
    if os.geteuid() != 0 or os.environ.get(_SHARE):
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNS) != 0:
        return  # a container without CAP_SYS_ADMIN: what mounts fails or is skipped by itself
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    for mount in reversed(list_mount_points()):
        if mount.fs_type == FS_TYPE:  # a copy of one of the host's, which would outlive it
            libc.umount2(os.fsencode(mount.path), _MNT_DETACH)  # one that is gone is no matter
