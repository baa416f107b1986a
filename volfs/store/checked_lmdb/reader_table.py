"""LMDB's table of readers, made writable before LMDB writes into it.

LMDB maps its lock file, and writes a reader's slot in it when a transaction for reading begins and
when it ends. py-lmdb holds the interpreter's lock meanwhile. On a disk that hangs, the first write
to a page since the page was saved sleeps, and every thread sleeps with it. ``make_writable`` lets
the kernel do that first write without the interpreter's lock, so that only the calling thread
sleeps (docs/decisions/0024-a-watcher-ends-the-mount.md). On a frozen disk it sleeps even before
that, and holds no lock of the memory map (``store.thaw``).
"""

from __future__ import annotations

import ctypes
import mmap
import os
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from volfs.store.anchor import anchored
from volfs.store.checked_lmdb.pages import DATA, LOCK, find_open
from volfs.store.thaw import wait_until_thawed
from volfs.system.libc import libc
from volfs.system.proc import iter_mappings

BRIEF = 0.001
"""Seconds after which a transaction makes the table writable again before it ends."""
_POPULATE_WRITE = 23
_PAGE, _SLOT, _HEADER = 4096, 64, 256
_SPARE = 64
"""Slots beyond those in use. Others may have taken them since the last look."""
_LOOK = 1.0
_madvise = libc.madvise
_madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)


class ReaderTable:
    """The reader table of an environment that this process has open. It does nothing if the kernel
    is older than 5.14, or if the mapping is not found."""

    def __init__(self, directory: Path, count_readers: Callable[[], int]) -> None:
        self._address, self._mapped = _find_mapping(directory / LOCK)
        self._count_readers = count_readers
        # Not the lock file, because closing that file would release LMDB's own locks on it.
        self._data = _open_data(directory) if self._mapped else -1
        self._finalizer = weakref.finalize(self, _close, self._data)
        self._length = 0
        self._looked = -_LOOK

    def make_writable(self) -> float:
        """Return when LMDB can write into the table, or when waiting would not help. The result is
        the monotonic time."""
        wait_until_thawed(self._data)
        now = time.monotonic()
        if self._mapped:
            if now - self._looked >= _LOOK:
                self._look(now)
            _madvise(self._address, self._length, _POPULATE_WRITE)
        return now

    def before_end(self, began: float) -> None:
        """Do as ``make_writable``, if the transaction began so long ago that it may be needed."""
        if time.monotonic() - began > BRIEF:
            self.make_writable()

    def close(self) -> None:
        self._data = -1
        self._finalizer()

    def _look(self, now: float) -> None:
        """Choose only the pages of slots in use, because each page that is touched has to be saved
        again."""
        self._looked = now
        used = _HEADER + _SLOT * (self._count_readers() + _SPARE)
        self._length = min(self._mapped, -(-used // _PAGE) * _PAGE)


def wait_until_writable(directory: Path) -> None:
    """Make the lock file writable before an environment is opened, which reads it with the
    interpreter's lock held."""
    if any(True for _ in find_open(directory / LOCK)):
        return  # Closing the file again would release the locks of LMDB in this process.
    with (
        suppress(OSError, ValueError),
        (directory / LOCK).open("r+b") as file,
        mmap.mmap(file.fileno(), _PAGE) as mapped,
    ):
        wait_until_thawed(file.fileno())
        page = ctypes.c_char.from_buffer(mapped)
        _madvise(ctypes.addressof(page), _PAGE, _POPULATE_WRITE)
        del page  # The mapping cannot be closed while this is there.


def _open_data(directory: Path) -> int:
    """A new descriptor of the file that LMDB has open, and never of one that took its place; else
    -1."""
    with suppress(OSError):
        for descriptor in find_open(directory / DATA):
            return os.open(anchored(descriptor), os.O_WRONLY | os.O_CLOEXEC)
    return -1


def _close(descriptor: int) -> None:
    if descriptor >= 0:
        os.close(descriptor)


def _find_mapping(file: Path) -> tuple[int, int]:
    """The address and the length of the file's mapping in this process; (0, 0) if they cannot be
    found."""
    try:
        inode = file.stat().st_ino
        for mapping in iter_mappings():
            if mapping.inode == inode and mapping.path.endswith(LOCK.encode()):
                return mapping.start, mapping.end - mapping.start
    except OSError:
        pass
    return 0, 0
