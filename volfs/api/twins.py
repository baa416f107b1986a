"""Two ways to call what blocks: ``d.get(k)``, and ``await d.get.aio(k)`` under asyncio or trio.

The twin runs the same code in a thread. When its task is cancelled, a call that
waits stops waiting, and one that is changing something is let finish: what it
has taken it returns, so nothing is taken and lost.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
import inspect
import math
import os
import sys
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, overload

from volfs.services.waiting import Cancellation, CancelledWaitError, current

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S")
_THREADS = 1024
"""Of asyncio's twins: so many may wait for each other at once."""


class Twin(Generic[P, R]):
    """A method that blocks, and its ``aio``."""

    def __init__(self, function: Callable[..., R], *bound: object) -> None:
        self._function = function
        self._bound = bound

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return self._function(*self._bound, *args, **kwargs)

    async def aio(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return await run_in_thread(functools.partial(self._function, *self._bound, *args, **kwargs))

    @property
    def __doc__(self) -> str | None:  # type: ignore[override]
        return self._function.__doc__

    @property
    def __name__(self) -> str:
        return self._function.__name__

    @property
    def __signature__(self) -> inspect.Signature:
        signature = inspect.signature(self._function)
        mine = list(signature.parameters.values())[len(self._bound) :]
        return signature.replace(parameters=mine)


class IteratorTwin(Twin[P, Iterator[S]], Generic[P, S]):
    """A method that returns a lazy iterator; ``aio`` returns an asynchronous one."""

    async def aio(self, *args: P.args, **kwargs: P.kwargs) -> AsyncIterator[S]:  # type: ignore[override]
        iterator = self(*args, **kwargs)
        while (item := await run_in_thread(lambda: next(iterator, _END))) is not _END:
            yield item


_END: Any = object()


class blocking(Generic[S, P, R]):  # noqa: N801 - a decorator
    """Makes a method a ``Twin``."""

    def __init__(self, function: Callable[Concatenate[S, P], R]) -> None:
        self._function = function
        self.__doc__ = function.__doc__

    @overload
    def __get__(self, instance: None, owner: type) -> Twin[Concatenate[S, P], R]: ...

    @overload
    def __get__(self, instance: S, owner: type) -> Twin[P, R]: ...

    def __get__(self, instance: Any, owner: type) -> Any:
        return Twin(self._function) if instance is None else Twin(self._function, instance)


class blocking_iterator(Generic[S, P, R]):  # noqa: N801 - a decorator
    """Makes a method that returns an iterator an ``IteratorTwin``."""

    def __init__(self, function: Callable[Concatenate[S, P], Iterator[R]]) -> None:
        self._function = function
        self.__doc__ = function.__doc__

    @overload
    def __get__(self, instance: None, owner: type) -> IteratorTwin[Concatenate[S, P], R]: ...

    @overload
    def __get__(self, instance: S, owner: type) -> IteratorTwin[P, R]: ...

    def __get__(self, instance: Any, owner: type) -> Any:
        bound = () if instance is None else (instance,)
        return IteratorTwin(self._function, *bound)


# --- threads ----------------------------------------------------------------


async def run_in_thread(call: Callable[[], R]) -> R:
    """Run ``call`` in a thread of its own, whichever of the two libraries is running."""
    cancellation = Cancellation()
    context = contextvars.copy_context()
    context.run(current.set, cancellation)
    work = functools.partial(context.run, call)
    if _is_trio():
        return await _run_in_trio(work, cancellation)
    return await _run_in_asyncio(work, cancellation)


def _is_trio() -> bool:
    if "trio" not in sys.modules:
        return False
    import sniffio

    try:
        return sniffio.current_async_library() == "trio"
    except sniffio.AsyncLibraryNotFoundError:
        return False


@functools.cache
def _executor(process: int) -> ThreadPoolExecutor:
    # One for each process, for a fork has no threads. Not asyncio's own: its few
    # threads would all wait for what none is left to do.
    return ThreadPoolExecutor(_THREADS, thread_name_prefix="volfs")


async def _run_in_asyncio(work: Callable[[], R], cancellation: Cancellation) -> R:
    _pay_debts()
    future = asyncio.get_running_loop().run_in_executor(_executor(os.getpid()), work)
    cancelled = False
    while not future.done():
        try:
            await asyncio.wait([future])
        except asyncio.CancelledError:
            cancelled = True
            cancellation.cancel()
    try:
        result = future.result()
    except CancelledWaitError:
        raise asyncio.CancelledError from None
    if cancelled:
        _owe_cancellation()
    return result


_owed: weakref.WeakKeyDictionary[asyncio.Task[Any], int] = weakref.WeakKeyDictionary()
"""Tasks that were cancelled too late: they got what they had taken, and stop at their next call."""


def _owe_cancellation() -> None:
    if (task := asyncio.current_task()) is not None:
        _owed[task] = task.cancelling()


def _pay_debts() -> None:
    # Unless it was a timeout's, which has taken it back (``Task.uncancel``).
    task = asyncio.current_task()
    if task is not None and task.cancelling() >= _owed.pop(task, sys.maxsize):
        raise asyncio.CancelledError


async def _run_in_trio(work: Callable[[], R], cancellation: Cancellation) -> R:
    import trio

    async def watch() -> None:
        # Swallowed here, for a nursery would prefer it to our result; trio tells us again.
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
    """What gives the result, or raises the error, without the wrapping of a nursery."""
    try:
        result = work()
    except BaseException as error:  # noqa: BLE001 - raised again, in the caller's task
        return functools.partial(_raise, error)
    return lambda: result


def _raise(error: BaseException) -> Any:
    raise error


@functools.cache
def _limiter() -> Any:
    import trio

    return trio.CapacityLimiter(math.inf)
