"""Locks of open files, which the kernel releases whatever their process dies of."""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from volfs.system.directories import OPEN_DIRECTORY, OPEN_NAMED_DIRECTORY


def try_lock(descriptor: int, how: int = fcntl.LOCK_EX) -> bool:
    """Lock an open file without waiting. False if a lock of somebody else forbids it. OSError."""
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_locked(path: Path) -> bool:
    """Whether a process holds a file's exclusive lock. The test holds a lock for a moment only."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        return not try_lock(descriptor, fcntl.LOCK_SH)
    finally:
        os.close(descriptor)


@contextmanager
def holding(path: Path, patience: float = 0.0) -> Iterator[bool]:
    """Try to hold a file's exclusive lock for the block, for ``patience`` seconds. Yields whether
    it is held.

    False also if there is no such file.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        yield False
        return
    try:
        yield _try_for(descriptor, patience)
    finally:
        os.close(descriptor)


def _try_for(descriptor: int, seconds: float) -> bool:
    end, pause = time.monotonic() + seconds, threading.Event()
    while not try_lock(descriptor):
        if time.monotonic() >= end:
            return False
        pause.wait(0.01)
    return True


@contextmanager
def locked_directory(path: Path) -> Iterator[None]:
    """Run the block while nobody else is in such a block for the directory. Waits for others.
    OSError."""
    while True:
        descriptor = os.open(path, OPEN_NAMED_DIRECTORY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if leads_to(path, descriptor, follow=True):
                yield
                return
        finally:
            os.close(descriptor)


def lock_directory(path: str, at: int | None = None) -> int | None:
    """Open a directory, locked for this process alone. A link at the end of the path is not
    followed.

    None if somebody has the lock, or if the directory is gone or has just been replaced.
    """
    try:
        descriptor = os.open(path, OPEN_DIRECTORY, dir_fd=at)
    except OSError:
        return None
    try:
        if try_lock(descriptor) and leads_to(path, descriptor, at):
            return descriptor
    except OSError:
        pass
    os.close(descriptor)
    return None


def leads_to(
    path: str | Path, descriptor: int, at: int | None = None, *, follow: bool = False
) -> bool:
    """Whether a path leads to the file that a descriptor has open. Links at its end count only
    with ``follow``. OSError."""
    try:
        named = os.stat(path, dir_fd=at, follow_symlinks=follow)
    except FileNotFoundError:
        return False
    return os.path.samestat(named, os.fstat(descriptor))
