"""The coroutines of functions run here: in one event loop for the process, in a thread of its
own."""

from __future__ import annotations

import threading
from collections.abc import AsyncGenerator, Coroutine, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio


class Loop:
    """An event loop that starts when it is first needed. Any thread may use it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine, and return its result or raise its error."""
        import asyncio  # only when a program has coroutines, because the import takes a while

        future = asyncio.run_coroutine_threadsafe(coroutine, self._started())
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def iterate(self, generator: AsyncGenerator[Any, Any]) -> Iterator[Any]:
        try:
            while (item := self.run(_next(generator))) is not _END:
                yield item
        finally:
            self.run(_close(generator))

    def _started(self) -> asyncio.AbstractEventLoop:
        import asyncio

        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=self._loop.run_forever, daemon=True).start()
            return self._loop


_END: Any = object()


async def _next(generator: AsyncGenerator[Any, Any]) -> Any:
    return await anext(generator, _END)


async def _close(generator: AsyncGenerator[Any, Any]) -> None:
    await generator.aclose()
