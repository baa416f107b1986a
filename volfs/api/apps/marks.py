"""Marks in a class or on a function: ``enter exit method parameter concurrent batched``.

Containers import this module to make the class again, so it imports little.
"""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType
from typing import Any, TypeVar

from volfs.containers.gathering import Batching
from volfs.containers.services import (
    ENTER,
    EXIT,
    MARK,
    METHOD,
    is_generator_function,
    iter_attributes,
)
from volfs.errors import InvalidError

F = TypeVar("F", bound=Callable[..., Any])
LANES = "__volfs_lanes__"
BATCHING = "__volfs_batching__"
_OPTION_MARKS = {"lanes": LANES, "batching": BATCHING}
MAX_BATCH_SIZE, MAX_WAIT_MS = 1000, 600_000
REFUSAL = "__volfs_refusal__"
"""The attribute of a function that has only marks so far. It says why calls cannot reach the
function."""


def enter(*, snap: bool = False) -> Callable[[F], F]:
    """Run the method once in each container, before the first call."""
    return lambda function: _mark(function, ENTER, "enter")


def exit() -> Callable[[F], F]:
    """Run the method once in each container, after the last call. The container's volumes are
    committed after it."""
    return lambda function: _mark(function, EXIT, "exit")


def _mark(function: F, mark: str, name: str) -> F:
    if not callable(function) or isinstance(function, type):
        raise InvalidError(f"@{name}() is for methods of a class")
    setattr(function, MARK, mark)
    return function


class Method:
    """A method that can be called from outside its container. It is an attribute of the class."""

    def __init__(self, raw: Callable[..., Any], is_generator: bool) -> None:
        self.raw = raw
        self.is_generator = is_generator
        setattr(self, MARK, METHOD)

    def __get__(self, instance: Any, owner: type) -> Any:
        if instance is None:
            return self
        from volfs.api.apps.own_methods import bind_own_method

        return bind_own_method(instance, self.raw, self.is_generator)


def method(*, is_generator: bool | None = None) -> Callable[[Callable[..., Any]], Any]:
    """Let the method be called in the class's containers."""

    def mark(raw: Callable[..., Any]) -> Method:
        import inspect

        if not inspect.isfunction(raw):
            raise InvalidError("@method() is for functions in a class")
        found = is_generator_function(raw) if is_generator is None else is_generator
        return Method(raw, found)

    return mark


def concurrent(
    *, max_inputs: int | None = None, target_inputs: int | None = None
) -> Callable[[Any], Any]:
    """Let one container run several calls at once, in threads. InvalidError; TypeError."""
    if max_inputs is None and target_inputs is None:
        raise TypeError("@concurrent() needs max_inputs=")
    lanes = check_lanes(max_inputs or target_inputs or 0, target_inputs)

    def mark(what: Any) -> Any:
        setattr(what, LANES, lanes)
        return what

    return mark


def check_lanes(max_inputs: int, target_inputs: int | None) -> int:
    """The number of calls that a container runs at once. InvalidError. ``target_inputs`` is only
    checked, because it has a meaning only on many machines."""
    if max_inputs < 1:
        raise InvalidError("max_inputs must be positive")
    if target_inputs is not None and not 1 <= target_inputs <= max_inputs:
        raise InvalidError("target_inputs must be positive, and not greater than max_inputs")
    return max_inputs


def batched(*, max_batch_size: int, wait_ms: int) -> Callable[[F], F]:
    """Let one call with lists answer all calls that come within ``wait_ms``.

    InvalidError.
    """
    batching = make_batching(max_batch_size, wait_ms)

    def mark(function: F) -> F:
        if not callable(function) or isinstance(function, type):
            raise InvalidError("@batched() is for functions, and for methods of a class")
        setattr(function, BATCHING, batching)
        return function

    return mark


def find_refusal(function: object) -> str | None:
    """The reason why calls cannot reach a function or method; None if they can."""
    found: str | None = getattr(getattr(function, "raw", function), REFUSAL, None)
    return found


def make_methods(cls: type) -> None:
    """Make methods of the functions of a class that have a mark but no ``method()``."""
    for name, found in iter_attributes(cls):
        if isinstance(found, FunctionType) and (
            hasattr(found, BATCHING) or hasattr(found, REFUSAL)
        ):
            setattr(cls, name, Method(found, is_generator_function(found)))


def make_batching(max_batch_size: int, wait_ms: int) -> Batching:
    """The limits of a batch. InvalidError."""
    for name, number, least, most in (
        ("max_batch_size", max_batch_size, 1, MAX_BATCH_SIZE),
        ("wait_ms", wait_ms, 0, MAX_WAIT_MS),
    ):
        if not isinstance(number, int) or not least <= number <= most:
            raise InvalidError(f"{name} must be a whole number from {least} to {most}")
    return Batching(max_batch_size, wait_ms / 1000)


def get_marks(what: Any) -> dict[str, Any]:
    """The options that the marks of a function or class set."""
    found = {name: getattr(what, mark, None) for name, mark in _OPTION_MARKS.items()}
    return {name: value for name, value in found.items() if value is not None}


_MISSING: Any = object()
_TYPES = (str, int, bool, bytes)


class Parameter:
    """A parameter of a class. It is given when an instance is made, and is the same for all its
    containers."""

    def __init__(self, default: Any, init: bool) -> None:
        self.default = default
        self.init = init

    @property
    def has_default(self) -> bool:
        return self.default is not _MISSING


def parameter(*, default: Any = _MISSING, init: bool = True) -> Any:
    """Declare a parameter of the class, of type str, int, bool or bytes, by its annotation."""
    return Parameter(default, init)


def find_parameters(cls: type) -> dict[str, Parameter]:
    return {
        name: value
        for base in reversed(cls.__mro__)
        for name, value in vars(base).items()
        if isinstance(value, Parameter)
    }


def set_parameters(instance: Any, *args: Any, **kwargs: Any) -> None:
    """The ``__init__`` of a class that has parameters. TypeError."""
    parameters = find_parameters(type(instance))
    name = type(instance).__name__
    if args:
        raise TypeError(f"{name}: parameters are given by name")
    unknown = kwargs.keys() - {key for key, value in parameters.items() if value.init}
    if unknown:
        raise TypeError(f"{name} has no parameter {sorted(unknown)[0]!r}")
    for key, known in parameters.items():
        value = kwargs.get(key, known.default)
        if value is _MISSING:
            raise TypeError(f"{name}: missing the parameter {key!r}")
        if known.init and not isinstance(value, _TYPES):
            raise TypeError(
                f"{name}: {key} is a {type(value).__name__}, not str, int, bool or bytes"
            )
        setattr(instance, key, value)
