"""The services that workers run: a function, or an instance of a class. They are sent as
pickles."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from types import MethodType
from typing import Any

from volfs.containers.messages import TargetReference

ENTER, EXIT, METHOD = "enter", "exit", "method"
MARK = "__volfs_mark__"
"""The attribute of a class's functions that says which of the three it is."""
SELF = "__volfs_reference__"
"""The attribute of an instance in a container that tells other processes which instance it is."""


class FunctionService:
    def __init__(self, raw: Callable[..., Any], is_generator: bool | None = None) -> None:
        """``is_generator``: None means that inspection decides."""
        self.raw = raw
        self.is_generator = is_generator_function(raw) if is_generator is None else is_generator

    def gives_items(self, method: str) -> bool:
        return self.is_generator

    def start(self) -> Iterator[Any]:
        return iter(())

    def get_bound(self, method: str) -> Callable[..., Any]:
        return self.raw

    def call(self, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return self.raw(*args, **kwargs)

    def stop(self) -> Iterator[Any]:
        return iter(())


class ClassService:
    """An instance of ``cls`` with these parameters, made when it starts."""

    def __init__(
        self, cls: type, args: tuple[Any, ...], kwargs: dict[str, Any], reference: TargetReference
    ) -> None:
        self.cls = cls
        self.args = args
        self.kwargs = kwargs
        self.reference = reference
        self.instance: Any = None

    def gives_items(self, method: str) -> bool:
        found = find_attribute(self.cls, method)
        return bool(getattr(found, "is_generator", False))

    def start(self) -> Iterator[Any]:
        """Make the instance, and return the calls of its enter handlers, those of base classes
        first."""
        instance: Any = object.__new__(self.cls)
        setattr(instance, SELF, self.reference)
        instance.__init__(*self.args, **self.kwargs)
        self.instance = instance
        return (function(instance) for function in iter_marked(self.cls, ENTER))

    def get_bound(self, method: str) -> Callable[..., Any]:
        return MethodType(get_method(self.cls, method), self.instance)

    def call(self, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return self.get_bound(method)(*args, **kwargs)

    def stop(self) -> Iterator[Any]:
        if self.instance is None:
            return iter(())
        return (function(self.instance) for function in iter_marked(self.cls, EXIT))


def is_generator_function(raw: Callable[..., Any]) -> bool:
    return inspect.isgeneratorfunction(raw) or inspect.isasyncgenfunction(raw)


def iter_marked(cls: type, mark: str) -> Iterator[Callable[..., Any]]:
    """The functions with this mark that the class has, in the order of their definition."""
    for _, found in iter_attributes(cls):
        if getattr(found, MARK, None) == mark:
            yield getattr(found, "raw", found)


def iter_methods(cls: type) -> Iterator[tuple[str, Any]]:
    """The methods of a class that can be called from outside its container, by name."""
    for name, found in iter_attributes(cls):
        if getattr(found, MARK, None) == METHOD:
            yield name, found


def iter_attributes(cls: type) -> Iterator[tuple[str, Any]]:
    """The attributes of a class, not bound to anything, in the order of definition."""
    names = {name: None for base in reversed(cls.__mro__) for name in vars(base)}
    for name in list(names):
        yield name, find_attribute(cls, name)


def is_method(cls: type, name: str) -> bool:
    return getattr(find_attribute(cls, name), MARK, None) == METHOD


def get_method(cls: type, name: str) -> Callable[..., Any]:
    """The function of a method. AttributeError."""
    if not is_method(cls, name):
        raise AttributeError(f"{cls.__name__} has no method {name!r}")
    raw: Callable[..., Any] = find_attribute(cls, name).raw
    return raw


def find_attribute(cls: type, name: str) -> Any:
    """The attribute as the class has it, not bound to anything; None if there is none."""
    return next((vars(base)[name] for base in cls.__mro__ if name in vars(base)), None)
