"""Where the disk cache lies, whose it is, and how large it may become."""

from __future__ import annotations

import errno
import os
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from volfs.buckets.cache.cache_account import remove
from volfs.errors import InvalidError, LocalFileError
from volfs.model.sizes import parse_size
from volfs.system.locks import try_lock
from volfs.system.trusted_path import open_trusted
from volfs.system.user_directories import find_user_directory

NAMED_DIRECTORY, NAMED_SIZE = "VOLFS_CACHE_DIR", "VOLFS_CACHE_SIZE"
DIRECTORY = "buckets"
"""The directory of this cache within the directory of all caches. Everything in it is ours."""
TAG = "CACHEDIR.TAG"
_TAG_TEXT = (
    b"Signature: 8a477f597d28d172789f06886806bc55\n"
    b"# A cache of volfs. It can be deleted at any time.\n"
)
LOCK = "lock"
DEFAULT_MAX = 50 << 30
LOCK_WAIT = 2.0
"""Seconds to wait for another process. A process that does not get the lock does without the
disk."""
_LOOK_AGAIN = 1.0
_LOCK_FLAGS = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_NEW = os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC


def choose_cache_directory() -> Path:
    """``VOLFS_CACHE_DIR``; else /var/cache/volfs for root, and ``$XDG_CACHE_HOME/volfs`` for
    others."""
    if named := os.environ.get(NAMED_DIRECTORY):
        return Path(os.path.abspath(named))
    if os.geteuid() == 0:
        return Path("/var/cache/volfs")
    found = find_user_directory("XDG_CACHE_HOME", ".cache")
    if found is None:
        raise InvalidError(f"no home directory, and no {NAMED_DIRECTORY}: nowhere for a cache")
    return found


def choose_cache_size(directory: Path) -> int:
    """``VOLFS_CACHE_SIZE``, else a tenth of the disk, and at most 50 GiB. InvalidError."""
    said, disk = os.environ.get(NAMED_SIZE, ""), _find_disk_size(directory)
    return parse_size(said, disk, NAMED_SIZE) if said.strip() else min(disk // 10, DEFAULT_MAX)


def _find_disk_size(directory: Path) -> int:
    for place in (directory, *directory.parents):
        with suppress(OSError):
            facts = os.statvfs(place)
            return facts.f_blocks * facts.f_frsize
    return 0


class CachePlace:
    """The directory of the cache. It may be deleted; the next writer makes it again.

    Thread-safe. Only the directory stays open across a fork, and nothing stays locked.
    """

    def __init__(self, directory: Path) -> None:
        self.path = directory / DIRECTORY
        self._root = -1
        self._looked = -_LOOK_AGAIN
        self._mutex = threading.Lock()

    def open_file(self, name: str, flags: int) -> int:
        """Open one of the cache's files. OSError, LocalFileError."""
        return os.open(name, flags, 0o600, dir_fd=self.find_root())

    def find_status(self, name: str) -> os.stat_result:
        """The status of the file that has this name now. OSError, LocalFileError."""
        return os.stat(name, dir_fd=self.find_root(), follow_symlinks=False)

    def find_root(self) -> int:
        """A descriptor of the directory. A missing directory is looked for once a second.
        OSError."""
        now = time.monotonic()
        with self._mutex:
            if self._root < 0:
                if now - self._looked < _LOOK_AGAIN:
                    raise FileNotFoundError
                self._looked = now
                self._root = self._open_root(create=False)
            return self._root

    def _open_root(self, *, create: bool) -> int:
        return open_trusted(self.path, {os.geteuid()}, self._refuse, create=create)

    def _refuse(self, why: str) -> LocalFileError:
        return LocalFileError(
            f"{self.path} is not safe for a cache: {why}; or set {NAMED_DIRECTORY} to a directory "
            "of your own that others cannot change"
        )

    @contextmanager
    def locked(self) -> Iterator[tuple[int, int]]:
        """The directory and the lock file in it, while no other thread or process writes there.

        Both are made if they are missing. OSError, which includes TimeoutError; LocalFileError.
        """
        root = self._make_root()
        lock = _open_lock(root)
        try:
            _wait_for_lock(lock)
            if os.fstat(lock).st_nlink == 0:
                raise FileNotFoundError(f"{self.path}: was deleted at this moment")
            yield root, lock
        finally:
            os.close(lock)  # This releases the lock, too.

    def _make_root(self) -> int:
        """The directory that is at the path now. It is opened anew if it was replaced."""
        with self._mutex:
            if self._root >= 0 and _is_same(self._root, self.path):
                return self._root
            found = self._open_root(create=True)
            if self._root >= 0:
                os.dup2(found, self._root, inheritable=False)
                os.close(found)
            else:
                self._root = found
        self._make_tag()
        return self._root

    def _make_tag(self) -> None:
        """Make the file that tells backup programs to skip this directory."""
        with suppress(OSError):
            tag = os.open(TAG, os.O_WRONLY | os.O_EXCL | _NEW, 0o600, dir_fd=self._root)
            try:
                os.write(tag, _TAG_TEXT)
            finally:
                os.close(tag)


def _is_same(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except OSError:
        return False


def _open_lock(root: int) -> int:
    """Open the lock file. Anything else that has its name is removed."""
    try:
        lock = os.open(LOCK, _LOCK_FLAGS, 0o600, dir_fd=root)
        if stat.S_ISREG(os.fstat(lock).st_mode):
            return lock
        os.close(lock)
    except OSError as error:
        if error.errno not in (errno.EISDIR, errno.ELOOP, errno.ENXIO):
            raise
    remove(LOCK, root)
    return os.open(LOCK, _LOCK_FLAGS, 0o600, dir_fd=root)


def _wait_for_lock(lock: int) -> None:
    """Wait for the lock. TimeoutError if another process keeps it, because it was stopped."""
    pause, end = threading.Event(), time.monotonic() + LOCK_WAIT
    while not try_lock(lock):
        if time.monotonic() >= end:
            raise TimeoutError("another process keeps the cache locked")
        pause.wait(0.002)
