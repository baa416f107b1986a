"""A daemon's own way into its mount.

Paths are no safe way: their parents are renamed, other file systems are mounted over them, and a
mount is moved, bound elsewhere or detached. An open descriptor in the mount would be a way, but
would keep the mount from being unmounted. A clone of the mount that is mounted nowhere
(``open_tree``) is a way and does not do that. It keeps the file system alive, so its holder closes
it when the last mount point is gone.
"""

from __future__ import annotations

import contextlib
import errno
import os
import threading
from collections.abc import Callable, Iterator

import pyfuse3
from xxhash import xxh3_64_intdigest

from volfs.errors import MountError, OutOfSpaceError
from volfs.model.names import show_path
from volfs.system import libc
from volfs.vfs.refused import PAGE, Pages
from volfs.vfs.state import Mappable

_GONE = (errno.ENOTCONN, errno.ECONNABORTED)
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class MountAnchor:
    """A way into one mount. ``enter_by_path`` opens the mount's root with O_PATH, if we cannot
    clone."""

    def __init__(self, enter_by_path: Callable[[], int | None]) -> None:
        self._enter_by_path = enter_by_path
        self._clone = -1
        self._lock = threading.Lock()

    def clone(self, place: int) -> None:
        """Clone the mount that a descriptor is in, if we may."""
        self._clone = _clone_mount(place)

    def close(self) -> None:
        """Close the clone.

        If the mount is mounted nowhere any more the kernel ends it now, so the thread that serves
        the mount must not call this.
        """
        with self._lock:
            clone, self._clone = self._clone, -1
        if clone >= 0:
            os.close(clone)

    @contextlib.contextmanager
    def entered(self) -> Iterator[int | None]:
        """The mount's root as an O_PATH descriptor; None if there is no way in."""
        place = self._enter()
        try:
            yield place
        finally:
            if place is not None:
                os.close(place)

    def _enter(self) -> int | None:
        with self._lock:
            if self._clone >= 0:
                return os.dup(self._clone)
        return self._enter_by_path()

    def drain(self) -> None:
        """Send a request through the mount. The requests before it in the queue are read before
        it."""
        with self.entered() as place:
            if place is None:
                return
            try:
                os.fstatvfs(place)
            except OSError as error:
                raise MountError(f"the mount was taken away: {error.strerror}") from error

    def write_back(self, files: list[Mappable]) -> None:
        """Let the kernel hand over the dirty pages of these files. Returns when they have arrived.

        syncfs(2) would not do, because for FUSE it only begins to write and waits for nothing.
        """
        with self._opened_root() as root:
            for file in files:
                with _asking(show_path(file.path)):
                    _write_back(root, file)

    def find_shown(self, file: Mappable, pages: Pages) -> int:
        """The number of these pages that the kernel has with these contents; 0 if the file is
        gone."""
        with self._opened_root() as root, contextlib.suppress(OSError):
            opened = None if root is None else _open_inode(root, file)
            if opened is not None:
                try:
                    return _count_shown(opened, pages)
                finally:
                    os.close(opened)
        return 0

    @contextlib.contextmanager
    def _opened_root(self) -> Iterator[int | None]:
        with contextlib.ExitStack() as stack:
            root = None
            with contextlib.suppress(OSError):
                place = stack.enter_context(self.entered())
                if place is not None:
                    root = os.open(".", _DIRECTORY, dir_fd=place)
                    stack.callback(os.close, root)
            yield root


def _count_shown(opened: int, pages: Pages) -> int:
    shown = (os.pread(opened, size, page * PAGE) for page, (size, _) in pages.items())
    sums = (known for _, known in pages.values())
    return sum(xxh3_64_intdigest(data) == known for data, known in zip(shown, sums, strict=True))


def _write_back(root: int | None, file: Mappable) -> None:
    opened = _open_inode(root, file) if root is not None else None
    if opened is None:
        # This needs no path, but the kernel then forgets the clean pages, too.
        with contextlib.suppress(FileNotFoundError):
            pyfuse3.invalidate_inode(pyfuse3.InodeT(file.ino), attr_only=False)
        return
    try:
        # The GIL is released here, because this very process must serve the writes meanwhile.
        libc.write_back(opened)
    finally:
        os.close(opened)


def _open_inode(root: int, file: Mappable) -> int | None:
    """Open a file by its inode number, as root may, else by its path; None if it is not there any
    more."""
    flags = os.O_RDONLY | os.O_CLOEXEC
    with contextlib.suppress(OSError):
        return libc.open_by_inode(root, file.ino, flags)
    try:
        opened = os.open(file.path, flags | os.O_NOFOLLOW, dir_fd=root)
    except OSError:
        return None
    if os.fstat(opened).st_ino == file.ino:
        return opened
    os.close(opened)
    return None


def _clone_mount(place: int) -> int:
    """Clone a mount, mounted nowhere; -1 if we may not, or the kernel cannot."""
    try:
        return libc.clone_mount(place)
    except OSError:
        return -1


@contextlib.contextmanager
def _asking(what: str) -> Iterator[None]:
    """Raise the kernel's errors as errors of volfs."""
    try:
        yield
    except OSError as error:
        if error.errno in _GONE:
            raise MountError(f"{what}: the mount was taken away") from error
        kind = OutOfSpaceError if error.errno == errno.ENOSPC else MountError
        raise kind(
            f"{what}: what was written to it through a mapping could not be kept: "
            f"{error.strerror}; write it again"
        ) from error
