"""Marks in a class or on a function: ``enter exit method parameter concurrent``.

Containers import this to make the class again, so it imports little.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from volfs.containers.services import ENTER, EXIT, MARK, METHOD, is_generator_function
from volfs.errors import InvalidError

F = TypeVar("F", bound=Callable[..., Any])
LANES = "__volfs_lanes__"


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


def concurrent(*, max_inputs: int, target_inputs: int | None = None) -> Callable[[Any], Any]:
    """Let one container run so many calls at once, in threads."""

    def mark(what: Any) -> Any:
        if max_inputs < 1:
            raise InvalidError("max_inputs must be positive")
        setattr(what, LANES, max_inputs)
        return what

    return mark


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
