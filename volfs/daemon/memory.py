"""How a daemon keeps memory, for a process that lives long and reads and writes megabytes."""

from __future__ import annotations

import gc

from volfs.system.libc import tune_allocator

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
"""Parameters of glibc's mallopt(3)."""
_KEPT = 64 << 20
_LARGEST = 32 << 20
"""All that glibc takes."""


def tune_memory() -> None:
    """Called once, when all modules are loaded and there is one thread."""
    _tune_garbage()
    _tune_malloc()


def _tune_garbage() -> None:
    """Inodes live long and are not garbage: a full collection would look at all of them."""
    gc.freeze()
    gc.enable()
    gc.set_threshold(50_000, 20, 100)


def _tune_malloc() -> None:
    """Keep what is freed: a request's buffers went back to the kernel, to be cleared and
    faulted in again for the next one, which took a fifth of a daemon's time. Of one arena:
    each thread's own would keep as much."""
    tune_allocator(_ARENA_MAX, 1)
    tune_allocator(_TRIM_THRESHOLD, _KEPT)
    tune_allocator(_MMAP_THRESHOLD, _LARGEST)
