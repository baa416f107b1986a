"""How much of the disk the cache uses, and which files go when the cache is full.

The account is one number in the lock file. It is changed under the lock, before the disk is used.
So the number is never too low, and a process that dies leaves it too high at most. The files
themselves are counted before anything has to go, and if the number is lost.
"""

from __future__ import annotations

import os
import re
import stat
import struct
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

from xxhash import xxh3_64_intdigest

from volfs.buckets.cache.cache_layout import PAGE
from volfs.system.directories import remove_tree

_RECORD = struct.Struct("<8sQ")
_MAGIC = b"volfsca1"
_SUM = struct.Struct("<Q")
_DIRECTORY = re.compile(r"[0-9a-f]{2}")
_FILE = re.compile(r"[0-9a-f]{38}")
_LOOK = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_RESERVE_MAX = 1 << 30
"""Free bytes that the cache leaves to others. It leaves a fiftieth of the disk if that is less."""


class _Found(NamedTuple):
    used_ns: int
    size: int
    directory: str
    name: str


class Usage(NamedTuple):
    """What the files of the cache take."""

    files: int
    size: int


class Account:
    """The account of one cache, while its lock is held."""

    def __init__(self, root: int, lock: int, limit: int) -> None:
        self.root = root
        self._lock = lock
        self._limit = limit
        self._size = self._load()

    def take(self, size: int) -> bool:
        """Take this many bytes of room, if necessary from files that were not used for longest.
        OSError."""
        if self._size is None:
            self._size = measure(self.root).size
        if self._size + size > self._find_bound(self._size):
            self._evict(size)
        if self._size + size > self._find_bound(self._size):
            return False
        self._set(self._size + size)
        return True

    def clear(self) -> Usage:
        """Delete all files, and return what they took. OSError."""
        files = list(_iter_files(self.root))
        for file in files:
            _delete(self.root, file)
        self._set(_measure_directories(self.root))
        return Usage(len(files), sum(file.size for file in files))

    def delete(self, name: str) -> None:
        """Delete what has this name, if anything has. OSError."""
        with suppress(FileNotFoundError):
            status = os.stat(name, dir_fd=self.root, follow_symlinks=False)
            _delete(self.root, _Found(0, 0, *name.split("/")))
            if self._size is not None:
                self._set(max(0, self._size - _measure(status)))

    def _evict(self, size: int) -> None:
        """Make room for this many bytes, and for some that will come later."""
        files = sorted(_iter_files(self.root))
        total = sum(file.size for file in files) + _measure_directories(self.root)
        bound = self._find_bound(total)
        goal = min(bound - size, bound - bound // 10)
        if total + size > bound and size <= bound:
            for file in files:
                if total <= goal:
                    break
                _delete(self.root, file)
                total -= file.size
        self._set(total)

    def _find_bound(self, total: int) -> int:
        """The limit, or less if the disk has not so much left."""
        disk = os.statvfs(self._lock)
        whole, free = disk.f_blocks * disk.f_frsize, disk.f_bavail * disk.f_frsize
        return min(self._limit, max(0, total + free - min(whole // 50, _RESERVE_MAX)))

    # --- the number ------------------------------------------------------

    def _load(self) -> int | None:
        """The recorded number. None if it is not to be trusted."""
        data = os.pread(self._lock, _RECORD.size + _SUM.size, 0)
        record = data[: _RECORD.size]
        if data[_RECORD.size :] != _SUM.pack(xxh3_64_intdigest(record)):
            return None
        magic, size = _RECORD.unpack(record)
        return int(size) if magic == _MAGIC else None

    def _set(self, size: int) -> None:
        self._size = size
        record = _RECORD.pack(_MAGIC, size)
        data = record + _SUM.pack(xxh3_64_intdigest(record))
        if os.pwrite(self._lock, data, 0) != len(data):
            raise OSError("the account cannot be written")


# --- the files ------------------------------------------------------------


def measure(root: int) -> Usage:
    """Count the files of a cache. OSError."""
    files = list(_iter_files(root))
    return Usage(len(files), sum(file.size for file in files) + _measure_directories(root))


def _iter_files(root: int) -> Iterator[_Found]:
    for directory in _list_directories(root):
        with suppress(FileNotFoundError):
            yield from _iter_directory(root, directory)


def _iter_directory(root: int, directory: str) -> Iterator[_Found]:
    fd = os.open(directory, _LOOK, dir_fd=root)
    try:
        with os.scandir(fd) as entries:
            for entry in entries:
                if not _FILE.fullmatch(entry.name):
                    continue
                with suppress(FileNotFoundError):
                    status = entry.stat(follow_symlinks=False)
                    yield _Found(status.st_mtime_ns, _measure(status), directory, entry.name)
    finally:
        os.close(fd)


def _list_directories(root: int) -> list[str]:
    fd = os.open(".", _LOOK, dir_fd=root)
    try:
        return [name for name in os.listdir(fd) if _DIRECTORY.fullmatch(name)]
    finally:
        os.close(fd)


def _measure_directories(root: int) -> int:
    """What the directories take, that of the cache itself among them, with the lock file and the
    tag."""
    names = [".", *_list_directories(root)]
    found = [os.stat(name, dir_fd=root, follow_symlinks=False) for name in names]
    return sum(map(_measure, found)) + 2 * PAGE


def _delete(root: int, file: _Found) -> None:
    """Delete a file. Its room is free at once, even if a reader has it open, who sees that it is
    gone."""
    name = f"{file.directory}/{file.name}"
    with suppress(OSError):
        flags = os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
        fd = os.open(name, flags, dir_fd=root)
        try:
            if stat.S_ISREG(os.fstat(fd).st_mode):
                os.ftruncate(fd, 0)
        finally:
            os.close(fd)
    remove(name, root)


def remove(name: str, root: int) -> None:
    """Remove whatever has this name. OSError."""
    with suppress(FileNotFoundError):
        try:
            os.unlink(name, dir_fd=root)
        except IsADirectoryError:
            remove_tree(os.fsencode(name), root)


def _measure(status: os.stat_result) -> int:
    """What a file or directory takes of the disk."""
    return status.st_blocks * 512
