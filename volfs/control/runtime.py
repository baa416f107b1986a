"""The runtime directory, where sockets are, and whose everything on the way there has to be.

Who can put something into a directory, or another directory into its place, can answer
for its owner. So a path is walked by descriptors, and each directory has to belong to
somebody who is trusted, and to be safe from others (docs/decisions/0026).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from volfs.errors import MountError

NAMED, XDG = "VOLFS_RUNTIME_DIR", "XDG_RUNTIME_DIR"
_ADVICE = f"set {NAMED} to a directory of your own that others cannot change"
_LINKS_MAX = 40
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
_LOOK = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC


def runtime_directory() -> Path:
    """Where this user's sockets are, and what containers need: absolute; it may not be there.

    ``VOLFS_RUNTIME_DIR``; of root /run/volfs; else ``volfs`` under ``XDG_RUNTIME_DIR`` or
    under /run/user/UID, if that is ours; else /tmp/volfs-UID.
    """
    named = os.environ.get(NAMED)
    return Path(os.path.abspath(named)) if named else _usual_directories(os.geteuid())[0]


def list_runtime_directories(owner: int) -> list[Path]:
    """Where sockets of a user's mounts may be, as far as this process may ask; likeliest first.

    Root may ask whom it likes, and others only themselves.
    """
    named = [runtime_directory()]
    if owner == os.geteuid():
        return list(dict.fromkeys(named + _usual_directories(owner)))
    return named + _usual_directories(owner) if os.geteuid() == 0 else []


def _usual_directories(user: int) -> list[Path]:
    """The first is where a new mount of this user's puts its socket."""
    if user == 0:
        return [Path("/run/volfs")]
    base = os.environ.get(XDG) if user == os.geteuid() else None
    found = [Path(os.path.abspath(base)) / "volfs"] if base else []
    if _is_directory_of(f"/run/user/{user}", user):
        found.append(Path(f"/run/user/{user}/volfs"))
    return [*found, Path(f"/tmp/volfs-{user}")]


def _is_directory_of(path: str, user: int) -> bool:
    try:
        status = os.lstat(path)
    except OSError:
        return False
    return stat.S_ISDIR(status.st_mode) and status.st_uid == user


def make_runtime_directory() -> Path:
    """The runtime directory, private to its owner. MountError if others can change it."""
    path = runtime_directory()
    try:
        os.close(open_directory(path, {os.geteuid()}, create=True))
    except OSError as error:
        raise MountError(f"{path}: cannot be made: {error.strerror}; {_ADVICE}") from error
    return path


def open_directory(path: Path, owners: Collection[int], *, create: bool = False) -> int:
    """A descriptor (O_PATH) of a directory of one of these users, which only they and root change.

    With ``create`` what is missing is made. FileNotFoundError and other OSErrors; MountError
    for what others can change, which says what to do.
    """
    walk = _Walk(path, owners, create=create)
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

    def __init__(self, path: Path, owners: Collection[int], *, create: bool) -> None:
        self.path = path
        self.owners = owners
        self.create = create
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

    def _refuse(self, why: str) -> MountError:
        return MountError(f"{self.path} is not safe for sockets: {why}; or {_ADVICE}")


def _find_unmapped() -> set[int]:
    """How the kernel shows users that this user namespace does not have, root perhaps.

    The root directory and its like belong to them there, as to anybody else. What that
    leaves open the kernel closes: the process at the other end is of a user that we know.
    """
    if Path("/proc/self/uid_map").read_text().split() == ["0", "0", "4294967295"]:
        return set()
    return {int(Path("/proc/sys/kernel/overflowuid").read_text())}
