"""The listing of a local tree before it is put, and the opening of its files.

A path that the user named is opened as it was named. Below it, every name is reached through the
descriptor of its directory, and no link is followed, because root may put the tree of a user who
changes it meanwhile.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from volfs.errors import LocalFileError
from volfs.model.names import Path
from volfs.model.text import show
from volfs.system.directories import (
    OPEN_FILE,
    LocalDirectory,
    identify,
    list_directory,
    open_link_target,
)
from volfs.volume.store_places import StorePlaces

OPEN_NAMED = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class Local(NamedTuple):
    """One file or directory of the local tree, and the path that it will have in the volume."""

    local: bytes
    """The path in messages. The file is opened by it only if the user named it."""
    path: Path
    status: os.stat_result
    mode: int | None = None
    """The permissions to give it; None means those that it has."""
    directory: LocalDirectory | None = None
    """The directory where it was found; None if the user named it."""
    follow: bool = False
    """Whether it is the target of a symlink in ``directory``."""

    @property
    def is_directory(self) -> bool:
        return stat.S_ISDIR(self.status.st_mode)

    @property
    def is_file(self) -> bool:
        return stat.S_ISREG(self.status.st_mode)

    @property
    def name(self) -> bytes:
        return os.path.basename(self.local)


class Scanned(NamedTuple):
    """What a tree has to put, a directory before what is in it, and what cannot be put."""

    found: list[Local]
    skipped: list[str]
    listed: dict[Path, set[bytes]]
    """The names in each directory, also of what is not put."""


def scan(
    top: LocalDirectory,
    path: Path,
    places: StorePlaces | None = None,
    excluded: Callable[[Path, bool], bool] | None = None,
) -> Scanned:
    """List everything to put, except what is ``excluded``: paths below the top.

    LocalFileError, also for a directory of the store itself.
    """
    found: list[Local] = []
    skipped: list[str] = []
    names: dict[Path, set[bytes]] = {}
    waiting = [(top, path)]
    while waiting:
        directory, above = waiting.pop()
        with local_errors(directory.path), directory.opened() as fd:
            found.append(Local(directory.path, above, os.fstat(fd), directory=directory))
            if places is not None:
                places.check_outside(directory.path, identify(found[-1].status))
            listed = list_directory(fd)
        names[above] = {name for name, _ in listed}
        for name, status in listed:
            shown = os.path.join(directory.path, name)
            if excluded is not None:
                below = (*above[len(path) :], name)
                if excluded(below, stat.S_ISDIR(status.st_mode)):
                    continue
            if stat.S_ISDIR(status.st_mode):
                waiting.append((directory.below(name), (*above, name)))
            elif stat.S_ISREG(status.st_mode) or stat.S_ISLNK(status.st_mode):
                found.append(Local(shown, (*above, name), status, directory=directory))
            else:
                skipped.append(os.fsdecode(shown))
    return Scanned(found, skipped, names)


def iter_files(top: LocalDirectory, path: Path, *, recursive: bool = True) -> Iterator[Local]:
    """Yield the files in a directory by name, then those below. Symlinks to files are followed.

    Anything that is not a file is left out. OSError; PermissionError for a symlink that belongs to
    another user.
    """
    waiting = [(top, path)]
    while waiting:
        directory, above = waiting.pop()
        with directory.opened() as fd:
            listed = [(name, *_follow(name, s, fd)) for name, s in sorted(list_directory(fd))]
        for name, status, follow in listed:
            if status and stat.S_ISREG(status.st_mode):
                shown = os.path.join(directory.path, name)
                yield Local(shown, (*above, name), status, None, directory, follow)
        if not recursive:
            return
        waiting += [
            (directory.below(name), (*above, name))
            for name, status, follow in reversed(listed)
            if status and stat.S_ISDIR(status.st_mode) and not follow
        ]


def _follow(name: bytes, status: os.stat_result, at: int) -> tuple[os.stat_result | None, bool]:
    """The status of a name, or of its target if it is a symlink, and whether it is one. The status
    is None if the symlink leads nowhere."""
    if not stat.S_ISLNK(status.st_mode):
        return status, False
    try:
        target = open_link_target(name, at, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return None, True
    try:
        return os.fstat(target), True
    finally:
        os.close(target)


@contextmanager
def opened_file(item: Local) -> Iterator[int]:
    """Open a listed file for a ``with`` block. LocalFileError, also if it is not the file that was
    listed."""
    with local_errors(item.local):
        fd = _open(item)
        try:
            check_unchanged(item, os.fstat(fd))
            yield fd
        finally:
            os.close(fd)


@contextmanager
def opened_directory(item: Local) -> Iterator[int]:
    """Open a listed directory for a ``with`` block. LocalFileError."""
    assert item.directory is not None
    with local_errors(item.local), item.directory.opened() as fd:
        yield fd


def _open(item: Local) -> int:
    if item.directory is None:
        return os.open(item.local, OPEN_NAMED)
    # There is no context manager here, because for small files it would cost the most.
    tree = item.directory.tree
    retained = tree.retain(item.directory)
    try:
        if item.follow:
            return open_link_target(item.name, retained.fd, OPEN_NAMED)
        return os.open(item.name, OPEN_FILE, dir_fd=retained.fd)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):  # The file is a link or a socket by now.
            raise _changed(item) from error
        raise
    finally:
        tree.release(retained)


def read_link(item: Local) -> bytes:
    """The target of a listed symlink. LocalFileError."""
    assert item.directory is not None, "a symlink that is named is followed"
    with local_errors(item.local), item.directory.opened() as at:
        fd = os.open(item.name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=at)
        try:
            check_unchanged(item, os.fstat(fd))
            return os.readlink(b"", dir_fd=fd)
        finally:
            os.close(fd)


def check_unchanged(item: Local, now: os.stat_result) -> None:
    """LocalFileError if the file is not the one that was listed, or has changed since."""
    if _describe(item.status) != _describe(now):
        raise _changed(item)


def _describe(status: os.stat_result) -> tuple[int, ...]:
    return (*identify(status), status.st_mode, status.st_size, status.st_mtime_ns)


def _changed(item: Local) -> LocalFileError:
    return LocalFileError(f"{show(item.local)}: changed while it was read")


def iter_data(fd: int, status: os.stat_result) -> Iterator[tuple[int, int]]:
    """Yield the ranges of a file that are not holes."""
    at, size = 0, status.st_size
    if status.st_blocks * 512 >= size:
        yield 0, size
        return
    while at < size:
        try:
            start = os.lseek(fd, at, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # The rest of the file is a hole.
                return
            raise
        at = min(os.lseek(fd, start, os.SEEK_HOLE), size)
        if at > start:
            yield start, at


@contextmanager
def local_errors(path: bytes) -> Iterator[None]:
    """Raise the OSError of a local path as LocalFileError."""
    try:
        yield
    except OSError as error:
        raise LocalFileError(f"{show(path)}: {error.strerror or error}") from error
