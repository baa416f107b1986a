"""Memory for large bodies: pieces of one size that are used again and again.

Fresh memory is slow, because the kernel clears each page when it is touched for the first time. A
slab begins where a page does, so the kernel can write it to a disk without a copy.
"""

from __future__ import annotations

import ctypes
import mmap
import weakref
from collections import deque
from contextlib import suppress

from volfs.system.libc import populate

_FLAGS = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS


class Slabs:
    """Slabs of ``size`` bytes. At most ``kept`` of those that nobody uses stay. Thread-safe."""

    def __init__(self, size: int, kept: int) -> None:
        self.size = size
        self._idle: deque[mmap.mmap] = deque(maxlen=kept)
        self._owner = ctypes.c_ubyte * size

    def take(self, length: int) -> memoryview:
        """The first ``length`` bytes of a slab, at most ``size``. They contain anything.

        The slab is used again when nothing refers to the view, or to a part of it, any more.
        """
        with suppress(IndexError):
            return self._lend(self._idle.pop())[:length]
        view = self._lend(_make_room(self.size))
        with suppress(OSError):
            # Otherwise the first write does this, perhaps while it has the interpreter's lock.
            populate(self._owner.from_buffer(view), length)
        return view[:length]

    def clear(self) -> None:
        """Give the slabs that nobody uses back to the kernel."""
        self._idle.clear()

    def _lend(self, room: mmap.mmap) -> memoryview:
        # Each view refers to the owner, and a weak reference to the owner learns when none is left.
        owner = self._owner.from_buffer(room)
        weakref.finalize(owner, self._idle.append, room).atexit = False
        return memoryview(owner).cast("B")


def is_aligned(data: bytes | bytearray | memoryview) -> bool:
    """Whether data begins where a page of memory does. False if the data is read-only."""
    try:
        return ctypes.addressof(ctypes.c_ubyte.from_buffer(data)) % mmap.PAGESIZE == 0
    except (TypeError, ValueError):
        return False


def _make_room(size: int) -> mmap.mmap:
    room = mmap.mmap(-1, size, flags=_FLAGS)
    try:
        room.madvise(mmap.MADV_HUGEPAGE)
    except OSError:
        return room  # The kernel has no large pages.
    return room
