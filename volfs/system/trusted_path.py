"""A path whose every directory only trusted users can change.

Who can put something into a directory, or another directory into its place, decides what
is found there. So a path is walked by descriptors, and each directory has to belong to
somebody who is trusted, and to be safe from others (docs/decisions/0026).
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
"""Makes the error to raise of what is wrong with the path."""


def open_trusted(
    path: Path, owners: Collection[int], refuse: Refuse, *, create: bool = False
) -> int:
    """A descriptor (O_PATH) of a directory of one of these users, which only they and root change.

    With ``create`` what is missing is made. FileNotFoundError and other OSErrors; what
    ``refuse`` makes, for what others can change.
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
    """From the root down a path. ``descriptor`` is of the directory where it has come to."""

    def __init__(self, path: Path, owners: Collection[int], refuse: Refuse, create: bool) -> None:
        self.path = path
        self.owners = owners
        self.create = create
        self._refuse = refuse
        self.names = [*reversed(path.parts[1:])]
        """What is still to be walked, the next one last."""
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
        """What has that name, a link itself."""
        if self.create:
            with suppress(FileExistsError):
                os.mkdir(name, 0o700, dir_fd=self.descriptor)
        return os.open(name, _LOOK, dir_fd=self.descriptor)

    def _enter(self, directory: int, status: os.stat_result) -> None:
        os.close(self.descriptor)
        self.descriptor, self._status = directory, status

    def _follow(self, link: int, status: os.stat_result) -> None:
        """Go on where a link leads, if nobody else could have put it there."""
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
        """Nobody else may replace what is on the way from here."""
        mode, owner = self._status.st_mode, self._status.st_uid
        if not stat.S_ISDIR(mode):
            raise self._refuse(f"{self._here()} is not a directory")
        if owner not in self._trusted:
            raise self._refuse(f"{self._here()} belongs to another user ({owner})")
        if mode & _OTHERS_WRITE and not mode & stat.S_ISVTX:
            raise self._refuse(f"others may write to {self._here()}: `chmod go-w` it")

    def check_end(self) -> None:
        """Nobody else may put anything here."""
        mode, owner = self._status.st_mode, self._status.st_uid
        if owner not in self.owners:
            raise self._refuse(f"{self._here()} belongs to another user ({owner})")
        if mode & _OTHERS_WRITE:
            raise self._refuse(f"others may write to {self._here()}: `chmod 700` it")

    def _here(self) -> str:
        return str(Path(f"/proc/self/fd/{self.descriptor}").readlink())


def _find_unmapped() -> set[int]:
    """How the kernel shows users that this user namespace does not have, root perhaps.

    The root directory and its like belong to them there, as to anybody else. What that
    leaves open the kernel closes: the process at the other end is of a user that we know.
    """
    if Path("/proc/self/uid_map").read_text().split() == ["0", "0", "4294967295"]:
        return set()
    return {int(Path("/proc/sys/kernel/overflowuid").read_text())}
