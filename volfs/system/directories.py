"""Directories that others may change: reached by descriptor, and never through a link.

Each directory is opened from the descriptor of the one above it. A user who renames directories,
or puts links in their place while a tree is walked, therefore leads nobody out of the tree. Only
some descriptors are kept. A closed one is opened again from above, and must be the same directory.
"""

from __future__ import annotations

import errno
import os
import resource
import stat
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager

OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
OPEN_NAMED_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
"""The flags for a path that the user named: symlinks on the way there are the user's own."""
OPEN_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
"""The flags for a file: no wait for a fifo's writer, and no terminal becomes ours."""
KEPT_MAX = 256

Identity = tuple[int, int]
"""The device and inode number of a file or directory, which identify it whatever its path."""


def identify(status: os.stat_result) -> Identity:
    return status.st_dev, status.st_ino


class LocalDirectory:
    """One directory of a tree. ``path`` is its name in messages; nothing is opened by it."""

    __slots__ = ("above", "identity", "name", "path", "tree")

    def __init__(
        self, tree: OpenTree, path: bytes, above: LocalDirectory | None, name: bytes
    ) -> None:
        self.tree = tree
        self.path = path
        self.above = above
        self.name = name
        self.identity: Identity | None = None
        """Known once the directory was opened."""

    def below(self, name: bytes) -> LocalDirectory:
        """A directory in this one. Call this once only for each name."""
        return LocalDirectory(self.tree, os.path.join(self.path, name), self, name)

    @contextmanager
    def opened(self) -> Iterator[int]:
        """The directory's descriptor for a ``with`` block. OSError; ESTALE if another directory is
        there by now."""
        retained = self.tree.retain(self)
        try:
            yield retained.fd
        finally:
            self.tree.release(retained)


class _RetainedDirectory:
    __slots__ = ("fd", "users")

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.users = 0


class OpenTree:
    """The descriptors of one tree's directories. Thread-safe. A context manager."""

    def __init__(self, path: bytes, fd: int | None = None) -> None:
        """A tree below the directory at ``path``. If ``fd`` is given, it is that directory, and is
        taken over."""
        self.top = LocalDirectory(self, path, None, b"")
        fd = os.open(path, OPEN_NAMED_DIRECTORY) if fd is None else fd
        self._top = _RetainedDirectory(fd)
        self._top.users = 1
        self.top.identity = identify(os.fstat(fd))
        self._lock = threading.Lock()
        self._kept = _choose_kept()
        self._open: OrderedDict[LocalDirectory, _RetainedDirectory] = OrderedDict()

    def __enter__(self) -> OpenTree:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        with self._lock:
            for retained in (self._top, *self._open.values()):
                fd, retained.fd = retained.fd, -1
                if fd >= 0:
                    os.close(fd)
            self._open.clear()

    def retain(self, directory: LocalDirectory) -> _RetainedDirectory:
        """The descriptor of a directory, which stays open until ``release``."""
        with self._lock:
            known = self._open.get(directory)
            if known is not None:  # This is nearly always so.
                self._open.move_to_end(directory)
                known.users += 1
                return known
            missing = []
            here = directory
            while here.above is not None and here not in self._open:
                missing.append(here)
                here = here.above
            retained = self._take(here)
            for below in reversed(missing):
                try:
                    self._open[below] = _RetainedDirectory(_open_below(below, retained.fd))
                finally:
                    retained.users -= 1
                retained = self._take(below)
                self._trim()
            return retained

    def release(self, retained: _RetainedDirectory) -> None:
        with self._lock:
            retained.users -= 1

    def _take(self, directory: LocalDirectory) -> _RetainedDirectory:
        retained = self._top
        if directory.above is not None:
            retained = self._open[directory]
            self._open.move_to_end(directory)
        retained.users += 1
        return retained

    def _trim(self) -> None:
        """Close the descriptor that was unused for the longest time, if there are too many."""
        if len(self._open) <= self._kept:
            return
        idle = next((one for one, retained in self._open.items() if not retained.users), None)
        if idle is not None:
            os.close(self._open.pop(idle).fd)


def _open_below(directory: LocalDirectory, above: int) -> int:
    fd = os.open(directory.name, OPEN_DIRECTORY, dir_fd=above)
    identity = identify(os.fstat(fd))
    if directory.identity not in (None, identity):
        os.close(fd)
        raise OSError(errno.ESTALE, "another directory took its place meanwhile")
    directory.identity = identity
    return fd


def _choose_kept() -> int:
    """The number of descriptors to keep: at most a quarter of those that the process may still
    open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return KEPT_MAX
    left = soft - len(os.listdir("/proc/self/fd"))
    return max(4, min(KEPT_MAX, left // 4))


def list_directory(fd: int) -> list[tuple[bytes, os.stat_result]]:
    """The names in an open directory, each with its status. Links are not followed."""
    with os.scandir(fd) as names:
        found = [os.fsencode(item.name) for item in names]
    return [(name, status) for name in found if (status := find_status(name, fd)) is not None]


def find_status(name: bytes, at: int) -> os.stat_result | None:
    """The status of a name in an open directory, of the link itself if it is one; None if there is
    nothing."""
    try:
        return os.stat(name, dir_fd=at, follow_symlinks=False)
    except FileNotFoundError:
        return None


def empty_directory(top: LocalDirectory) -> None:
    """Remove everything in a directory. Links are removed, never their targets. OSError."""
    opened = [top]
    for here in opened:
        with here.opened() as fd:
            for name, status in list_directory(fd):
                if stat.S_ISDIR(status.st_mode):
                    opened.append(here.below(name))
                else:
                    os.unlink(name, dir_fd=fd)
    for here in reversed(opened[1:]):
        assert here.above is not None
        with here.above.opened() as fd:
            os.rmdir(here.name, dir_fd=fd)


def remove_tree(name: bytes, at: int) -> None:
    """Remove a directory in an open directory, with everything in it. OSError."""
    with OpenTree(name, os.open(name, OPEN_DIRECTORY, dir_fd=at)) as tree:
        empty_directory(tree.top)
    os.rmdir(name, dir_fd=at)


def open_link_target(name: bytes, at: int, flags: int) -> int:
    """Open the target of a symlink in an open directory. OSError.

    PermissionError for a link of another user, who could lead us to what only we may read.
    """
    link = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=at)
    try:
        status = os.fstat(link)
        if status.st_uid not in (0, os.geteuid()):
            raise PermissionError(
                errno.EPERM, f"a symlink of user {status.st_uid}, which is not followed", name
            )
        return os.open(os.readlink(b"", dir_fd=link), flags, dir_fd=at)
    finally:
        os.close(link)
