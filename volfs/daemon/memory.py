"""The memory settings of a daemon, which lives long and reads and writes megabytes."""

from __future__ import annotations

import gc

from volfs.system.libc import tune_allocator

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
"""Parameters of glibc's mallopt(3)."""
_KEPT = 64 << 20
_LARGEST = 32 << 20
"""The greatest value that glibc accepts."""


def tune_memory() -> None:
    """Apply the settings. Called once, when all modules are loaded and there is one thread."""
    _tune_garbage()
    _tune_malloc()


def _tune_garbage() -> None:
    """Make full collections rare: inodes live long, and a full collection looks at all of them."""
    gc.freeze()
    gc.enable()
    gc.set_threshold(50_000, 20, 100)


def _tune_malloc() -> None:
    """Keep freed memory, in one arena.

    Without this a request's buffers went back to the kernel, to be cleared and faulted in again
    for the next request, which took a fifth of a daemon's time. It is one arena because each
    thread's own arena would keep as much.
    """
    tune_allocator(_ARENA_MAX, 1)
    tune_allocator(_TRIM_THRESHOLD, _KEPT)
    tune_allocator(_MMAP_THRESHOLD, _LARGEST)
