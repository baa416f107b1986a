"""A path in which only trusted users can change any directory.

A user who can put something into a directory, or another directory into its place, decides what is
found there. So a path is walked by descriptors. Each directory must belong to a trusted user, and
be safe from others (docs/decisions/0026).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias

from volfs.errors import VolfsError

_LINKS_MAX = 40
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
_LOOK = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC

Refuse: TypeAlias = Callable[[str], VolfsError]
"""A function that makes the error for what is wrong with the path."""


def open_trusted(
    path: Path, owners: Collection[int], refuse: Refuse, *, create: bool = False
) -> int:
    """Open (O_PATH) a directory of one of ``owners``, which only they and root can change.

    With ``create`` missing directories are made. FileNotFoundError and other OSErrors; the error
    of ``refuse`` if others can change something.
    """
    walk = _Walk(path, owners, refuse, create)
    try:
        while walk.names:
            walk.step()
        walk.check_end()
    except BaseException:
        os.close(walk.descriptor)
        raise
    return walk.descriptor


class _Walk:
    """A walk from the root down a path. ``descriptor`` is the directory that it has reached."""

    def __init__(self, path: Path, owners: Collection[int], refuse: Refuse, create: bool) -> None:
        self.path = path
        self.owners = owners
        self.create = create
        self._refuse = refuse
        self.names = [*reversed(path.parts[1:])]
        """The names still to be walked, the next one last."""
        self._trusted = {0, *owners, *_find_unmapped()}
        self._links = 0
        self.descriptor = os.open("/", _LOOK)
        self._status = os.fstat(self.descriptor)

    def step(self) -> None:
        found = self._open(self.names.pop())
        status = os.fstat(found)
        if stat.S_ISLNK(status.st_mode):
            try:
                self._follow(found, status)
            finally:
                os.close(found)
        else:
            self._enter(found, status)
            self._check()

    def _open(self, name: str) -> int:
        """Open a name, or the link itself if it is one. It is made first if ``create`` is set."""
        if self.create:
            with suppress(FileExistsError):
                os.mkdir(name, 0o700, dir_fd=self.descriptor)
        return os.open(name, _LOOK, dir_fd=self.descriptor)

    def _enter(self, directory: int, status: os.stat_result) -> None:
        os.close(self.descriptor)
        self.descriptor, self._status = directory, status

    def _follow(self, link: int, status: os.stat_result) -> None:
        """Go on at the target of a link, if nobody else could have put the link there."""
        target = os.readlink("", dir_fd=link)
        self._links += 1
        if self._links > _LINKS_MAX:
            raise self._refuse("too many symbolic links")
        if self._status.st_mode & _OTHERS_WRITE or status.st_uid not in self._trusted:
            raise self._refuse(f"a symbolic link to {target}, in a directory of others")
        if target.startswith("/"):
            root = os.open("/", _LOOK)
            self._enter(root, os.fstat(root))
        self.names += reversed(Path(target).parts[target.startswith("/") :])

    def _check(self) -> None:
        """Check that nobody else may replace what is on the way from here."""
        mode, owner = self._status.st_mode, self._status.st_uid
        if not stat.S_ISDIR(mode):
            raise self._refuse(f"{self._here()} is not a directory")
        if owner not in self._trusted:
            raise self._refuse(f"{self._here()} belongs to another user ({owner})")
        if mode & _OTHERS_WRITE and not mode & stat.S_ISVTX:
            raise self._refuse(f"others may write to {self._here()}: `chmod go-w` it")

    def check_end(self) -> None:
        """Check that nobody else may put anything here."""
        mode, owner = self._status.st_mode, self._status.st_uid
        if owner not in self.owners:
            raise self._refuse(f"{self._here()} belongs to another user ({owner})")
        if mode & _OTHERS_WRITE:
            raise self._refuse(f"others may write to {self._here()}: `chmod 700` it")

    def _here(self) -> str:
        return str(Path(f"/proc/self/fd/{self.descriptor}").readlink())


def _find_unmapped() -> set[int]:
    """The number by which the kernel shows users that this user namespace lacks, perhaps root.

    The root directory and others belong to them there, as to anybody else. The kernel closes the
    gap that this leaves: the process at the other end is of a user that we know.
    """
    if Path("/proc/self/uid_map").read_text().split() == ["0", "0", "4294967295"]:
        return set()
    return {int(Path("/proc/sys/kernel/overflowuid").read_text())}
