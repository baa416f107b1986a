"""Two ways to call a method that blocks: ``d.get(k)``, and ``await d.get.aio(k)`` under asyncio or
trio.

The second runs the same code in a thread. If its task is cancelled, a call that waits stops
waiting, and a call that is changing something is allowed to finish. Such a call returns what it
has taken, so that nothing is taken and lost.
"""

from __future__ import annotations

import atexit
import contextvars
import functools
import inspect
import sys
import weakref
from collections.abc import AsyncIterable, AsyncIterator, Callable, Generator, Iterator
from contextlib import suppress
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, overload

from volfs.services.signal_wait import Cancellation, current

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S")


class Twin(Generic[P, R]):
    """A method that blocks, with its asynchronous form ``aio``."""

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
    """A method that returns a lazy iterator; ``aio`` returns an asynchronous one.

    ``aio`` takes asynchronous iterators as arguments, too, and reads them to their end first. An
    iterator that was not read to its end is closed when the program ends, while that is still
    possible.
    """

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Iterator[S]:
        iterator = super().__call__(*args, **kwargs)
        if isinstance(iterator, Generator):
            _unfinished.add(iterator)
        return iterator

    async def aio(self, *args: P.args, **kwargs: P.kwargs) -> AsyncIterator[S]:  # type: ignore[override]
        given: Any = [await _collect(argument) for argument in args]
        iterator = self(*given, **kwargs)
        while (item := await run_in_thread(lambda: next(iterator, _END))) is not _END:
            yield item


_unfinished: weakref.WeakSet[Generator[Any, Any, Any]] = weakref.WeakSet()


@atexit.register
def _close_unfinished() -> None:
    """Close iterators before the interpreter ends. Later their cleanup would fail, with messages
    that nobody understands."""
    for iterator in list(_unfinished):
        with suppress(Exception):  # one may be running in another thread
            iterator.close()


async def _collect(argument: Any) -> Any:
    if isinstance(argument, AsyncIterable):
        return [item async for item in argument]
    return argument


_END: Any = object()


class BlockTwin(Twin[P, R]):
    """A method that gives something for ``with`` and ``async with`` blocks, and that does not
    block itself: ``async with volume.batch_upload.aio() as batch`` has the same meaning without
    ``aio``."""

    def aio(self, *args: P.args, **kwargs: P.kwargs) -> R:  # type: ignore[override]
        return self(*args, **kwargs)


class blocking(Generic[S, P, R]):  # noqa: N801 - a decorator
    """A decorator that makes a method a ``Twin``."""

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
    """A decorator that makes a method that returns an iterator an ``IteratorTwin``."""

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


class opening(Generic[S, P, R]):  # noqa: N801 - a decorator
    """A decorator that makes a method a ``BlockTwin``."""

    def __init__(self, function: Callable[Concatenate[S, P], R]) -> None:
        self._function = function
        self.__doc__ = function.__doc__

    def __get__(self, instance: S, owner: type) -> BlockTwin[P, R]:
        bound = () if instance is None else (instance,)
        return BlockTwin(self._function, *bound)


class _OfClass(Generic[P, R]):
    """The base of decorators for methods of the class, to be put above ``classmethod``."""

    def __init__(self, method: Callable[Concatenate[Any, P], R]) -> None:
        self._method: Any = method
        self.__doc__ = method.__doc__

    def _bind(self, owner: type) -> Callable[P, R]:
        bound: Callable[P, R] = self._method.__get__(None, owner)
        return bound


class opening_class(_OfClass[P, R]):  # noqa: N801 - a decorator
    """A decorator that makes a classmethod a ``BlockTwin``."""

    def __get__(self, instance: object, owner: type) -> BlockTwin[P, R]:
        return BlockTwin(self._bind(owner))


class blocking_class(_OfClass[P, R]):  # noqa: N801 - a decorator
    """A decorator that makes a classmethod a ``Twin``."""

    def __get__(self, instance: object, owner: type) -> Twin[P, R]:
        return Twin(self._bind(owner))


# --- threads ----------------------------------------------------------------


async def run_in_thread(call: Callable[[], R]) -> R:
    """Run ``call`` in a thread of its own, under asyncio or trio, whichever is running."""
    cancellation = Cancellation()
    context = contextvars.copy_context()
    context.run(current.set, cancellation)
    work = functools.partial(context.run, call)
    # Imported late, because most programs need neither of them.
    if _is_trio():
        from volfs.api.in_trio import run
    else:
        from volfs.api.in_asyncio import run
    return await run(work, cancellation)


def _is_trio() -> bool:
    if "trio" not in sys.modules:
        return False
    import sniffio

    try:
        return sniffio.current_async_library() == "trio"
    except sniffio.AsyncLibraryNotFoundError:
        return False
