"""A local directory that is filled with entries, by descriptor and without following symlinks.

Below the directory that the user named, each name is reached through a descriptor of the directory
above, so nobody can lead a write elsewhere. A file appears whole, by a rename. Attributes are kept
as far as the system allows; each refusal is a note.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial

from volfs.errors import LocalFileError
from volfs.model.entry import Entry, FileKind
from volfs.model.names import Path
from volfs.model.objects import Buffer
from volfs.system.files import spare_name, write_all
from volfs.system.libc import sync_file_system
from volfs.volume.local_listing import local_errors

TEMPORARY = b".volfs-export-"
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW_FILE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
SPECIAL = {
    FileKind.FIFO: stat.S_IFIFO,
    FileKind.SOCKET: stat.S_IFSOCK,
    FileKind.CHARACTER: stat.S_IFCHR,
    FileKind.BLOCK: stat.S_IFBLK,
}
_ENDS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)


class KeptAttributes:
    """Gives what is made the attributes of its entry, as far as the system allows."""

    def __init__(self) -> None:
        self.notes: list[tuple[Path, str]] = []
        """What could not be kept, by path."""

    def set_attributes(self, path: Path, entry: Entry, descriptor: int) -> None:
        owned = self.try_to(path, "owner", partial(os.fchown, descriptor, entry.uid, entry.gid))
        for name, value in entry.xattrs:
            what = f"attribute {os.fsdecode(name)}"
            self.try_to(path, what, partial(os.setxattr, descriptor, name, value))
        self.try_to(path, "mode", partial(os.fchmod, descriptor, _mode(entry, owned)))
        times = (entry.mtime_ns, entry.mtime_ns)
        self.try_to(path, "time", partial(os.utime, descriptor, ns=times))

    def set_attributes_of_name(self, path: Path, entry: Entry, at: int, name: bytes) -> None:
        """Set the attributes of something that cannot be opened, by name."""
        own = partial(os.chown, name, entry.uid, entry.gid, dir_fd=at, follow_symlinks=False)
        owned = self.try_to(path, "owner", own)
        here = b"/proc/self/fd/%d/%s" % (at, name)
        for key, value in entry.xattrs:
            what = f"attribute {os.fsdecode(key)}"
            put = partial(os.setxattr, here, key, value, follow_symlinks=False)
            self.try_to(path, what, put)
        if entry.kind != FileKind.SYMLINK:
            change = partial(os.chmod, name, _mode(entry, owned), dir_fd=at)
            self.try_to(path, "mode", change)
        times = (entry.mtime_ns, entry.mtime_ns)
        change = partial(os.utime, name, ns=times, dir_fd=at, follow_symlinks=False)
        self.try_to(path, "time", change)

    def try_to(self, path: Path, what: str, call: Callable[[], None]) -> bool:
        try:
            call()
        except OSError as error:
            self.notes.append((path, f"its {what} could not be kept: {error.strerror}"))
            return False
        return True


class LocalTree(KeptAttributes):
    """One open directory. Paths are relative to it. Used by one thread."""

    def __init__(self, shown: bytes, descriptor: int) -> None:
        super().__init__()
        self.shown = shown
        self._top = descriptor
        self._path: Path = ()
        self._here = os.dup(descriptor)

    def close(self) -> None:
        os.close(self._here)
        os.close(self._top)

    def sync(self) -> None:
        """Make everything durable. LocalFileError."""
        try:
            sync_file_system(self._top)
        except OSError as error:
            shown = os.fsdecode(self.shown)
            raise LocalFileError(f"{shown}: not durable: {error.strerror}") from error

    # --- making ----------------------------------------------------------

    def make_directory(self, path: Path) -> None:
        """Make a directory that only its owner may enter until ``finish_directory``. It may exist
        already."""
        with self.errors(path):
            with suppress(FileExistsError):
                os.mkdir(path[-1], 0o700, dir_fd=self.enter(path[:-1]))
            self.enter(path)

    def write_file(
        self,
        path: Path,
        entry: Entry,
        size: int,
        parts: Iterable[tuple[int, Buffer]],
        choose: Callable[[], Path] | None = None,
    ) -> Path:
        """Write a file of ``size`` with these bytes at their offsets, and holes between.

        Once all ``parts`` are written, ``choose`` may name another path. Returns the final path.
        """
        with self.errors(path), self.replacing(path, choose) as (at, name):
            descriptor = os.open(name, _NEW_FILE, 0o600, dir_fd=at)
            try:
                os.ftruncate(descriptor, size)
                for offset, data in parts:
                    write_all(descriptor, data, offset)
                self.set_attributes(path, entry, descriptor)
            finally:
                os.close(descriptor)
        return choose() if choose else path

    def make_other(self, path: Path, entry: Entry) -> None:
        """Make a symlink, fifo, socket or device."""
        with self.errors(path), self.replacing(path) as (at, name):
            if entry.kind == FileKind.SYMLINK:
                os.symlink(entry.inline, name, dir_fd=at)
            else:
                kind = SPECIAL[FileKind(entry.kind)]
                os.mknod(name, kind | 0o600, entry.rdev, dir_fd=at)
            self.set_attributes_of_name(path, entry, at, name)

    def link(self, first: Path, path: Path) -> None:
        """Give what was made at ``first`` one more name."""
        with self.errors(path), self.replacing(path) as (at, name):
            source = self.open(first[:-1])
            try:
                os.link(first[-1], name, src_dir_fd=source, dst_dir_fd=at, follow_symlinks=False)
            finally:
                os.close(source)

    def finish_directory(self, path: Path, entry: Entry) -> None:
        """Give a directory its attributes, once all in it is made."""
        with self.errors(path):
            self.set_attributes(path, entry, self.enter(path))

    # --- places ----------------------------------------------------------

    def enter(self, path: Path) -> int:
        """A descriptor of a directory, valid until the next call, because only one is open at a
        time."""
        if path != self._path:
            if path[:-1] == self._path:
                found = os.open(path[-1], _DIRECTORY, dir_fd=self._here)
            else:
                found = self.open(path)
            os.close(self._here)
            self._here, self._path = found, path
        return self._here

    def open(self, path: Path) -> int:
        here = os.dup(self._top)
        for name in path:
            try:
                below = os.open(name, _DIRECTORY, dir_fd=here)
            finally:
                os.close(here)
            here = below
        return here

    @contextmanager
    def replacing(
        self, path: Path, choose: Callable[[], Path] | None = None
    ) -> Iterator[tuple[int, bytes]]:
        """A directory and a temporary name in it. What the block makes there takes the place of
        ``path``."""
        at = os.dup(self.enter(path[:-1]))
        try:
            with spare_name(at, TEMPORARY) as name:
                yield at, name
                final = choose() if choose else path
                there = self.enter(final[:-1])
                os.rename(name, final[-1], src_dir_fd=at, dst_dir_fd=there)
        finally:
            os.close(at)

    def errors(self, path: Path) -> AbstractContextManager[None]:
        return local_errors(b"/".join((self.shown, *path)))


def is_end(error: LocalFileError) -> bool:
    """Whether later writes must fail as well, for example because the disk is full."""
    cause = error.__cause__
    return isinstance(cause, OSError) and cause.errno in _ENDS


def open_output(output: bytes, *, force: bool) -> LocalTree:
    """Open a directory to fill: a new or an empty one, or with ``force`` any. LocalFileError."""
    shown = os.fsdecode(output)
    with local_errors(output):
        try:
            os.makedirs(os.path.dirname(output.rstrip(b"/")) or b".", exist_ok=True)
            os.mkdir(output, 0o700)
        except FileExistsError:
            if not force and os.listdir(output):
                raise LocalFileError(f"{shown}: not empty; --force writes into it") from None
        descriptor = os.open(output, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    return LocalTree(output.rstrip(b"/"), descriptor)


def _mode(entry: Entry, owned: bool) -> int:
    """The mode to set. If the owner could not be kept, set-id bits are dropped, so that nobody
    runs the file as its wrong owner."""
    return entry.mode & (0o7777 if owned else 0o1777)
