"""``volfs.Function``: functions whose calls run in containers, in Modal's shape."""

from __future__ import annotations

import queue
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any, Generic, ParamSpec, TypeVar

from volfs.api.apps.function_call import FunctionCall, iter_items, load_result
from volfs.api.apps.function_facts import FunctionFacts
from volfs.api.apps.marks import check_lanes, make_batching
from volfs.api.apps.targets import (
    Target,
    find_by_id,
    get_handle,
    get_result,
    iter_input_ids,
    locate,
    make_map_id,
    restore_target,
    submit,
)
from volfs.api.deprecated import warn_of
from volfs.api.twins import blocking, blocking_iterator
from volfs.containers.answers import Answer
from volfs.containers.messages import TargetReference, dump_arguments
from volfs.errors import InvalidError, NotFoundError
from volfs.store.identity import make_id

P = ParamSpec("P")
R = TypeVar("R")
WINDOW = 1000
"""The number of calls of a ``map`` that run ahead of the results that were taken."""


class Function(FunctionFacts, Generic[P, R]):
    """A function of an app, or a method of an instance."""

    def __init__(
        self, target: Target, name: str, *, method: str = "", is_generator: bool = False
    ) -> None:
        self._target = target
        self._method = method
        self.name = name
        self.is_generator = is_generator
        """Whether the function gives items, and so is called by ``remote_gen``."""

    @classmethod
    def from_name(cls, app_name: str, name: str, **_: Any) -> Function[..., Any]:
        """A function of an app that this program defines, now or later. It is found in its
        containers, too.

        The first use looks the function up: NotFoundError if there is none.
        """
        with suppress(NotFoundError):
            return _get_function(app_name, name)
        return _NamedFunction(app_name, name)

    @classmethod
    def lookup(cls, app_name: str, name: str, **_: Any) -> Function[..., Any]:
        """Modal's former name for ``from_name``. NotFoundError at once."""
        warn_of("Function.lookup any more", "Function.from_name")
        return _get_function(app_name, name)

    @classmethod
    def from_id(cls, function_id: str, client: object = None) -> Function[..., Any]:
        """The function of this program that has this ``object_id``. NotFoundError."""
        found = find_by_id(function_id)
        if found is None or not isinstance(found.handle, Function):
            raise NotFoundError(f"this program defines no function {function_id}")
        return found.handle

    @blocking
    def get_web_url(self) -> str | None:
        """The address at which `volfs serve` serves the function at this moment; None if it does
        not."""
        return locate(self._target.reference, self._method)

    @property
    def web_url(self) -> str | None:
        """As ``get_web_url``."""
        return self.get_web_url()

    def get_raw_f(self) -> Callable[P, R]:
        """The Python function itself."""
        raw: Callable[P, R] | None = getattr(self._target.get_local_service(), "raw", None)
        if raw is None:
            raise InvalidError(f"{self.name} is a method")
        return raw

    def with_options(self, **options: Any) -> Function[P, R]:
        """The same function with other options, and with containers of its own. InvalidError."""
        target = self._target.with_options(**options)
        return Function(target, self.name, is_generator=self.is_generator)

    def with_concurrency(
        self, *, max_inputs: int, target_inputs: int | None = None
    ) -> Function[P, R]:
        """The same function with containers that run several calls at once, in threads.
        InvalidError."""
        return self.with_options(lanes=check_lanes(max_inputs, target_inputs))

    def with_batching(self, *, max_batch_size: int, wait_ms: int) -> Function[P, R]:
        """The same function, ``batched`` with these limits. InvalidError."""
        return self.with_options(batching=make_batching(max_batch_size, wait_ms))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError(
            f"{self.name} runs in containers: {self.name}.remote(...) calls it there, "
            f"{self.name}.local(...) here"
        )

    def __repr__(self) -> str:
        return f"volfs.Function({self.name!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (self._target.reference, self.name, self._method, self.is_generator)

    # --- one call --------------------------------------------------------

    @blocking
    def remote(self, /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run the function in a container, and return its result or raise its error."""
        if self.is_generator:
            raise InvalidError(
                f"A generator function cannot be called with `.remote(...)`; use "
                f"`{self.name}.remote_gen(...)`"
            )
        result: R = load_result(get_result(self._submit(args, kwargs)))
        return result

    @blocking_iterator
    def remote_gen(self, /, *args: P.args, **kwargs: P.kwargs) -> Iterator[Any]:
        """Run a generator in a container, and give its items as they come. It is closed when the
        caller takes no more."""
        if not self.is_generator:
            raise InvalidError(
                f"A non-generator function cannot be called with `.remote_gen(...)`; use "
                f"`{self.name}.remote(...)`"
            )
        return iter_items(self._submit(args, kwargs, is_unlimited=False))

    def local(self, /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run the function in this process, without the mounts and variables of its containers."""
        self._warn_of_mounts()
        result: R = self._target.get_local_service().call(self._method, args, kwargs)
        return result

    def _warn_of_mounts(self) -> None:
        if self._target.has_mounts:
            warnings.warn(
                f"The {self.name} function is executing locally and will not have access to the "
                "mounted Volume or NetworkFileSystem data",
                UserWarning,
                stacklevel=3,
            )

    @blocking
    def spawn(self, /, *args: P.args, **kwargs: P.kwargs) -> FunctionCall[R]:
        """Start the function in a container, and do not wait."""
        call_id = make_id("fc")
        return FunctionCall(call_id, [self._submit(args, kwargs, call_id, spawned=True)])

    def _submit(
        self,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        call_id: str | None = None,
        *,
        spawned: bool = False,
        is_unlimited: bool = True,
    ) -> Answer:
        arguments = dump_arguments(args, kwargs, self.name)
        call_id = call_id or make_id("fc")
        return submit(
            self._target,
            self._method,
            arguments,
            call_id,
            spawned=spawned,
            is_unlimited=is_unlimited,
        )

    # --- many calls ------------------------------------------------------

    @blocking_iterator
    def map(
        self,
        *input_iterators: Iterable[Any],
        kwargs: dict[str, Any] | None = None,
        order_outputs: bool = True,
        return_exceptions: bool = False,
        wrap_returned_exceptions: bool = False,
    ) -> Iterator[R]:
        """Call the function for each item, many at the same time, and give the results in the
        order of the items.

        With ``return_exceptions`` an error is a result; otherwise the first error is raised.
        """
        inputs = zip(*input_iterators, strict=False)
        return self._run_all(inputs, kwargs or {}, order_outputs, return_exceptions)

    @blocking_iterator
    def starmap(
        self,
        input_iterator: Iterable[Iterable[Any]],
        *,
        kwargs: dict[str, Any] | None = None,
        order_outputs: bool = True,
        return_exceptions: bool = False,
        wrap_returned_exceptions: bool = False,
    ) -> Iterator[R]:
        """As ``map``, if each item is the sequence of all positional arguments of a call."""
        return self._run_all(input_iterator, kwargs or {}, order_outputs, return_exceptions)

    @blocking
    def for_each(
        self,
        *input_iterators: Iterable[Any],
        kwargs: dict[str, Any] | None = None,
        ignore_exceptions: bool = False,
    ) -> None:
        """As ``map``, without results."""
        inputs = zip(*input_iterators, strict=False)
        for _ in self._run_all(inputs, kwargs or {}, False, ignore_exceptions):
            pass

    @blocking
    def spawn_map(
        self, *input_iterators: Iterable[Any], kwargs: dict[str, Any] | None = None
    ) -> FunctionCall[R]:
        """Start a call for each item, and do not wait."""
        inputs = list(zip(*input_iterators, strict=False))
        call_id = make_map_id(len(inputs))
        ids = iter_input_ids(call_id)
        given = kwargs or {}
        answers = [
            self._submit(args, given, input_id, spawned=True)
            for args, input_id in zip(inputs, ids, strict=True)
        ]
        return FunctionCall(call_id, answers)

    experimental_spawn_map = spawn_map

    def _run_all(
        self,
        inputs: Iterable[Iterable[Any]],
        kwargs: dict[str, Any],
        in_order: bool,
        return_exceptions: bool,
    ) -> Iterator[R]:
        answers = (self._submit(tuple(args), kwargs) for args in inputs)
        started: set[Answer] = set()
        done = _in_order(answers, started) if in_order else _as_they_end(answers, started)
        try:
            for answer in done:
                started.discard(answer)
                yield from self._read(answer, return_exceptions)
        finally:
            for answer in started:
                answer.cancel()

    def _read(self, answer: Answer, return_exceptions: bool) -> Iterator[Any]:
        try:
            if self.is_generator:
                yield from iter_items(answer)
            else:
                yield load_result(get_result(answer))
        except Exception as error:
            if not return_exceptions:
                raise
            yield error


def _get_function(app_name: str, name: str) -> Function[..., Any]:
    """The function of an app, by name. NotFoundError."""
    found = get_handle(app_name, name)
    if not isinstance(found, Function):
        raise NotFoundError(f"{name} of {app_name} is no function, but {found!r}")
    return found


class _NamedFunction(Function[..., Any]):
    """A function that is looked up by name at each use, until it exists."""

    def __init__(self, app_name: str, name: str) -> None:
        self._app_name = app_name
        self._method = ""
        self.name = name

    @property
    def _target(self) -> Target:  # type: ignore[override]
        return _get_function(self._app_name, self.name)._target

    @property
    def is_generator(self) -> bool:  # type: ignore[override]
        return _get_function(self._app_name, self.name).is_generator

    def __reduce__(self) -> tuple[Any, ...]:
        return Function.from_name, (self._app_name, self.name)


def _restore(reference: TargetReference, name: str, method: str, is_generator: bool) -> Any:
    target = restore_target(reference)
    return Function(target, name, method=method, is_generator=is_generator)


def _in_order(answers: Iterator[Answer], started: set[Answer]) -> Iterator[Answer]:
    waiting: deque[Answer] = deque()
    for answer in answers:
        started.add(answer)
        waiting.append(answer)
        while waiting and (waiting[0].is_done or len(waiting) > WINDOW):
            yield waiting.popleft()
    yield from waiting


def _as_they_end(answers: Iterator[Answer], started: set[Answer]) -> Iterator[Answer]:
    done: queue.SimpleQueue[Answer] = queue.SimpleQueue()
    for answer in answers:
        started.add(answer)
        answer.when_done(partial(done.put, answer))
        if len(started) > WINDOW or not done.empty():
            yield done.get()
    while started:
        yield done.get()
