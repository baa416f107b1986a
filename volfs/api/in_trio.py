"""Running a call that blocks in a thread, for a task of trio."""

from __future__ import annotations

import contextlib
import functools
import math
from collections.abc import Callable
from typing import Any, TypeVar

import trio

from volfs.services.signal_wait import Cancellation, CancelledWaitError

R = TypeVar("R")


async def run(work: Callable[[], R], cancellation: Cancellation) -> R:
    async def watch() -> None:
        # Cancelled is suppressed here, because a nursery would prefer it to our result. trio
        # raises it again later.
        with contextlib.suppress(trio.Cancelled):
            await trio.sleep_forever()
        cancellation.cancel()

    outcome: list[Callable[[], R]] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch)
        with trio.CancelScope(shield=True):
            outcome.append(await trio.to_thread.run_sync(_capture, work, limiter=_limiter()))
        nursery.cancel_scope.cancel()
    try:
        return outcome[0]()
    except CancelledWaitError:
        await trio.lowlevel.checkpoint()
        raise


def _capture(work: Callable[[], R]) -> Callable[[], R]:
    """Run ``work``, and return a function that gives its result or raises its error. A nursery
    would wrap the error."""
    try:
        result = work()
    except BaseException as error:  # noqa: BLE001 - raised again, in the caller's task
        return functools.partial(_raise, error)
    return lambda: result


def _raise(error: BaseException) -> Any:
    raise error


@functools.cache
def _limiter() -> trio.CapacityLimiter:
    return trio.CapacityLimiter(math.inf)
