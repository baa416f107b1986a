"""The flush of a mount: what was written is made durable in the overlay. Requests go on meanwhile.

Order and locks: docs/concurrency.md. Flushes are written in the order in which they were prepared.
"""

from __future__ import annotations

from contextlib import suppress

import trio

from volfs.errors import StoreError
from volfs.vfs.aio import Bridge
from volfs.vfs.catalog import Catalog
from volfs.vfs.state import MountState
from volfs.vfs.thread_work import write_flush


class Flusher:
    """Flushes the overlay of one mount. It does nothing for a mount without a catalog."""

    def __init__(self, state: MountState, bridge: Bridge, catalog: Catalog | None) -> None:
        self.state = state
        self.bridge = bridge
        self.catalog = catalog
        self.lock = trio.Lock()
        """Held from the preparation of a flush until its records are written."""

    @property
    def stamp(self) -> bytes:
        """The stamp of the catalog."""
        return self.catalog.stamp if self.catalog else b""

    async def flush(self, *, committed: int = 0) -> None:
        """Make the overlay durable as it is at the call. OutOfSpaceError.

        No record will refer to arenas up to ``committed`` any more.
        """
        if self.catalog is None:
            return
        async with self.lock:
            flush, scratch = self.catalog.prepare(self.state), self.state.scratch
            try:
                summed = await self.bridge.run(write_flush, scratch, self.catalog, flush, committed)
            except BaseException:
                self.catalog.give_back(self.state, flush)
                raise
            if rooms := scratch.settle(summed):
                await self.bridge.run(scratch.punch, rooms)

    async def free_room(self) -> bool:
        """Give the room of deleted and replaced content back to a full disk.

        Returns whether another write may find room: content was given back, or the kernel may let
        go of a deleted file.
        """
        scratch = self.state.scratch
        if not (scratch.has_dead or self.state.overlay.orphans):
            return False
        await self.bridge.run(scratch.punch, scratch.drop_free())
        with suppress(StoreError):  # The disk may be too full for the records.
            await self.flush()
        return True
