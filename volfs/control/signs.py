"""Bytes of memory by which daemons say that there may be something to commit.

Who runs a container looks at them after each call: where nothing changed, that costs
nothing, and the daemon is not asked (decision 0019).
"""

from __future__ import annotations

import mmap
import os


class Signs:
    """Of so many mounts, each its byte; threads may share it."""

    def __init__(self, count: int) -> None:
        self.descriptor = os.memfd_create("volfs-signs")
        """For the daemons, who inherit it."""
        os.ftruncate(self.descriptor, max(count, 1))
        self._memory = mmap.mmap(self.descriptor, 0)

    def is_set(self, number: int) -> bool:
        return self._memory[number] != 0

    def close(self) -> None:
        """May be called again."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1
            self._memory.close()


def open_sign(descriptor: int, at: int) -> memoryview:
    """One of them, in a daemon; the descriptor is not needed any more."""
    try:
        return memoryview(mmap.mmap(descriptor, 0))[at : at + 1]
    finally:
        os.close(descriptor)
