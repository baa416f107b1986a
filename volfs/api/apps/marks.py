"""Marks in a class or on a function: ``enter exit method parameter concurrent batched``.

Containers import this to make the class again, so it imports little.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from volfs.containers.services import ENTER, EXIT, MARK, METHOD, is_generator_function
from volfs.errors import InvalidError

F = TypeVar("F", bound=Callable[..., Any])
LANES = "__volfs_lanes__"
BATCH = "__volfs_batch__"
"""Attribute of a function: its ``Batch``."""
REFUSAL = "__volfs_refusal__"
"""Attribute of what only has marks so far: why calls cannot reach it."""


def enter(*, snap: bool = False) -> Callable[[F], F]:
    """Run it once in each container, before the first call."""
    return lambda function: _mark(function, ENTER, "enter")


def exit() -> Callable[[F], F]:
    """Run it once in each container, after the last call; then its volumes are committed."""
    return lambda function: _mark(function, EXIT, "exit")


def _mark(function: F, mark: str, name: str) -> F:
    if not callable(function) or isinstance(function, type):
        raise InvalidError(f"@{name}() is for methods of a class")
    setattr(function, MARK, mark)
    return function


class Method:
    """A method that can be called from outside its container. In the class it is an attribute."""

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
    """Let it be called in the class's containers."""

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
    """Let one container run so many calls at once, in threads. InvalidError."""
    if max_inputs is not None and max_inputs < 1:
        raise InvalidError("max_inputs must be positive")
    if max_inputs is not None and target_inputs is not None and target_inputs > max_inputs:
        raise InvalidError("`target_inputs` parameter cannot be greater than `max_inputs`.")

    def mark(what: Any) -> Any:
        setattr(what, LANES, max_inputs or target_inputs)
        return what

    return mark


@dataclass(frozen=True)
class Batch:
    """How many calls run as one, and how long the first of them waits for others."""

    max_size: int
    wait_ms: int


BATCH_MAX = 1000
BATCH_WAIT_MAX = 10 * 60 * 1000


def batched(*, max_batch_size: int, wait_ms: int) -> Callable[[F], F]:
    """Run several calls as one: arguments come as lists, and results go as one. InvalidError."""
    if max_batch_size < 1:
        raise InvalidError("max_batch_size must be a positive integer.")
    if max_batch_size > BATCH_MAX:
        raise InvalidError(f"max_batch_size cannot be greater than {BATCH_MAX}.")
    if wait_ms < 0:
        raise InvalidError("wait_ms must be a non-negative integer.")
    if wait_ms > BATCH_WAIT_MAX:
        raise InvalidError(f"wait_ms cannot be greater than {BATCH_WAIT_MAX}.")

    def mark(function: F) -> F:
        setattr(function, BATCH, Batch(max_batch_size, wait_ms))
        setattr(function, REFUSAL, "calls are not batched yet; call it with local() and lists")
        return function

    return mark


def find_refusal(function: object) -> str | None:
    """Why calls cannot reach a function or method; None where they can."""
    found: str | None = getattr(getattr(function, "raw", function), REFUSAL, None)
    return found


def make_methods(cls: type) -> None:
    """Functions of a class that have a mark but no ``method()`` are methods as well."""
    for name, value in list(vars(cls).items()):
        if callable(value) and (hasattr(value, BATCH) or hasattr(value, REFUSAL)):
            setattr(cls, name, Method(value, is_generator_function(value)))


_MISSING: Any = object()
_TYPES = (str, int, bool, bytes)


class Parameter:
    """Of a class: given when an instance is made, the same for all its containers."""

    def __init__(self, default: Any, init: bool) -> None:
        self.default = default
        self.init = init


def parameter(*, default: Any = _MISSING, init: bool = True) -> Any:
    """A parameter of the class, of type str, int, bool or bytes, by its annotation."""
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
