"""Files that root makes in another user's store are given to that user, who could not open them
otherwise."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path


def give_to_owner(fd: int, directory: Path) -> None:
    """Give a file that was made in a directory to the directory's owner.

    A file that has other names is left as it is: the owner may have linked it there, and it may be
    anybody's. A file that this process may not give away is left as it is, too.
    """
    owner, made = directory.stat(), os.fstat(fd)
    if os.geteuid() != 0 or owner.st_uid == 0 or made.st_uid != 0:
        return
    if stat.S_ISDIR(made.st_mode) or made.st_nlink == 1:
        with suppress(PermissionError):
            os.fchown(fd, owner.st_uid, owner.st_gid)


def open_for_owner(path: Path) -> int:
    """Open a file for reading and writing, and make it if it is not there. OSError."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        give_to_owner(fd, path.parent)
    except BaseException:
        os.close(fd)
        raise
    return fd


def make_directory(path: Path) -> None:
    """Make a directory if it is not there. OSError."""
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        return
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        give_to_owner(fd, path.parent)
    finally:
        os.close(fd)


def make_for_owner(path: Path) -> None:
    """Make a file that other code would make as root's. Nothing happens if the file cannot be
    made: the code that needs it reports the error."""
    with suppress(OSError):
        if os.geteuid() != 0 or path.parent.stat().st_uid == 0:
            return
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            give_to_owner(fd, path.parent)
        finally:
            os.close(fd)
