"""Idmapped mounts: a directory once more, with its owners' numbers mapped."""

from __future__ import annotations

import os
import signal
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from volfs.system.libc import MOUNT_SETATTR, MOVE_MOUNT, OPEN_TREE, call, system_call

_CLONE, _EMPTY_PATH, _FROM_EMPTY_PATH, _IDMAP = 1, 0x1000, 4, 0x100000
_AT_FDCWD, _NEW_USER_NAMESPACE = -100, 0x10000000
SHIFT = 100_000
"""What the files have as 0 is shown as this, and so on for 65,536 numbers."""


@contextmanager
def idmapped(source: Path, target: Path) -> Iterator[None]:
    """``target``, which is made, shows ``source`` with owners shifted. OSError: EINVAL where the
    file system does not allow it."""
    target.mkdir()
    with _namespace() as users:
        tree = system_call(OPEN_TREE, _AT_FDCWD, os.fsencode(source), _CLONE | os.O_CLOEXEC)
        try:
            attributes = struct.pack("=4Q", _IDMAP, 0, 0, users)
            system_call(MOUNT_SETATTR, tree, b"", _EMPTY_PATH, attributes, len(attributes))
            system_call(MOVE_MOUNT, tree, b"", _AT_FDCWD, os.fsencode(target), _FROM_EMPTY_PATH)
        finally:
            os.close(tree)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", target], check=True)


@contextmanager
def _namespace() -> Iterator[int]:
    """A descriptor of a user namespace with the shift for its map."""
    ready, told = os.pipe()
    child = os.fork()
    if child == 0:
        call("unshare", _NEW_USER_NAMESPACE)
        os.write(told, b"x")
        signal.pause()
    try:
        os.read(ready, 1)
        for kind in ("uid_map", "gid_map"):
            Path(f"/proc/{child}/{kind}").write_text(f"0 {SHIFT} 65536")
        users = os.open(f"/proc/{child}/ns/user", os.O_RDONLY)
        yield users
        os.close(users)
    finally:
        os.close(ready)
        os.close(told)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
