"""Bytes of shared memory by which daemons say that there may be something to commit.

The process that runs a container looks at them after each call. If nothing has changed, that costs
nothing, and the daemon is not asked (decision 0019).
"""

from __future__ import annotations

import mmap
import os


class Signs:
    """One byte for each of ``count`` mounts. Threads may share it."""

    def __init__(self, count: int) -> None:
        self.descriptor = os.memfd_create("volfs-signs")
        """The descriptor that the daemons inherit."""
        os.ftruncate(self.descriptor, max(count, 1))
        self._memory = mmap.mmap(self.descriptor, 0)

    def is_set(self, number: int) -> bool:
        return self._memory[number] != 0

    def close(self) -> None:
        """Close it. May be called again."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1
            self._memory.close()


def open_sign(descriptor: int, at: int) -> memoryview:
    """The byte of one mount, in its daemon. The descriptor may be closed afterwards."""
    try:
        return memoryview(mmap.mmap(descriptor, 0))[at : at + 1]
    finally:
        os.close(descriptor)
