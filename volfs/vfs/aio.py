"""The only bridge between trio and blocking code: threads with a limit, and ``settle``."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

import trio

from volfs.vfs.view import Miss, View

P = ParamSpec("P")
T = TypeVar("T")
THREADS = 16


class Bridge:
    """Runs blocking calls in threads, and runs operations again until nothing is missing."""

    def __init__(self, view: View, threads: int = THREADS) -> None:
        self.view = view
        self.limiter = trio.CapacityLimiter(threads)
        self.fetches = 0
        """How many objects were not in memory when an operation needed them."""

    async def run(self, call: Callable[..., T], *arguments: object) -> T:
        """Run a blocking call in a thread. It must not touch the mount's state."""
        return await trio.to_thread.run_sync(call, *arguments, limiter=self.limiter)

    async def settle(self, operation: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T:
        """Run an operation. Fetch each object that it misses, and run it again from its beginning.

        Nothing else is awaited. An operation that misses nothing therefore happens at once, in the
        order in which the requests came.
        """
        while True:
            try:
                return operation(*arguments, **options)
            except Miss as miss:
                self.fetches += 1
                data = await self.run(self.view.fetch, miss.oid)
                self.view.keep(miss.oid, data)
