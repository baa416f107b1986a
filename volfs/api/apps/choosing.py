"""The choice of the function that ``volfs run FILE.py::NAME`` means, and of its arguments."""

from __future__ import annotations

import difflib
import inspect
import types
import typing
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import click

from volfs.api.apps.app import App, LocalEntrypoint
from volfs.api.apps.cls import Cls
from volfs.api.apps.function import Function
from volfs.api.apps.marks import Parameter, find_parameters
from volfs.api.apps.parameters import Parameters, ParsedArguments, read_parameters


class Runnable:
    """A local entrypoint, or a function that is called in a container."""

    def __init__(self, app: App, owner: LocalEntrypoint | Function[..., Any] | Cls) -> None:
        self.app = app
        self.owner = owner
        self.method = ""

    @property
    def raw(self) -> Callable[..., Any]:
        owner: Any = self.owner
        raw: Callable[..., Any] = (
            owner.raw if isinstance(owner, LocalEntrypoint) else owner.get_raw_f()
        )
        return raw

    @property
    def help(self) -> str | None:
        return self.raw.__doc__

    def read_parameters(self) -> list[Parameters]:
        """The parameters that the command line may give. UsageError."""
        return [read_parameters(self.raw)]

    def call(self, *given: ParsedArguments) -> Any:
        """Call it with the arguments of each of the ``read_parameters``."""
        ((args, kwargs),) = given
        if isinstance(self.owner, LocalEntrypoint):
            return self.owner(*args, **kwargs)
        return _call_remote(self.owner, args, kwargs)


class RunnableMethod(Runnable):
    """A method. The parameters of its instance are options, too."""

    def __init__(self, app: App, cls: Cls, name: str) -> None:
        super().__init__(app, cls)
        self._cls = cls
        self.method = name

    @property
    def raw(self) -> Callable[..., Any]:
        return self._cls.get_raw(self.method)

    @property
    def help(self) -> str | None:
        return self.raw.__doc__ or self._cls.get_user_class().__doc__

    def read_parameters(self) -> list[Parameters]:
        constructor = _read_constructor(self._cls.get_user_class())
        return [read_parameters(self.raw, skip=1), constructor]

    def call(self, *given: ParsedArguments) -> Any:
        (args, kwargs), (own_args, own_kwargs) = given
        method = getattr(self._cls(*own_args, **own_kwargs), self.method)
        return _call_remote(method, args, kwargs)


def _call_remote(function: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
    """Call a function in a container. A generator runs until it ends."""
    if not function.is_generator:
        return function.remote(*args, **kwargs)
    for _ in function.remote_gen(*args, **kwargs):
        pass
    return None


def _read_constructor(user_class: type) -> Parameters:
    """The parameters of a class: its ``modal.parameter``s, else those of its ``__init__``."""
    known = find_parameters(user_class)
    if known:
        return Parameters(_to_signature(user_class, known))
    if user_class.__init__ is object.__init__:  # type: ignore[misc]
        return Parameters([])
    return read_parameters(user_class.__init__, skip=1)  # type: ignore[misc]


def _to_signature(user_class: type, known: dict[str, Parameter]) -> list[inspect.Parameter]:
    hints = typing.get_type_hints(user_class)
    return [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=one.default if one.has_default else inspect.Parameter.empty,
            annotation=hints.get(name, str),
        )
        for name, one in known.items()
        if one.init
    ]


# --- choosing -----------------------------------------------------------------


class Runnables(NamedTuple):
    """A thing that can be run, with the names by which it can be called."""

    names: list[str]
    rank: int
    """The order of preference if no name is given. The lowest rank wins."""
    runnable: Runnable


def choose(module: types.ModuleType, path: str, name: str | None) -> Runnable:
    """The runnable of this name, or with names below it. Without a name, the only entrypoint, or
    the only function.

    UsageError lists the choices.
    """
    known = list_known(module)
    if not known:
        raise click.UsageError(f"{path}: no App with functions in it")
    meant = [one for one in known if name is None or _is_meant(one, name)]
    if not meant:
        raise click.UsageError(
            f"{path} has no {name}, but {_say_names(known)}{_guess(known, name)}"
        )
    exact = [one for one in meant if name in one.names]
    best = exact or [one for one in meant if one.rank == min(one.rank for one in meant)]
    if len(best) > 1:
        raise click.UsageError(f"{path}: which one? {path}::NAME, NAME one of {_say_names(best)}")
    return best[0].runnable


def _is_meant(known: Runnables, name: str) -> bool:
    return any(one == name or one.startswith(f"{name}.") for one in known.names)


def _say_names(known: list[Runnables]) -> str:
    """The first name of each runnable that no other one has."""
    names = [name for one in known for name in one.names]
    unique = (next((n for n in one.names if names.count(n) == 1), one.names[-1]) for one in known)
    return ", ".join(sorted(unique))


def _guess(known: list[Runnables], name: str | None) -> str:
    names = [one for each in known for one in each.names]
    close = difflib.get_close_matches(name or "", names, 1)
    return f"; did you mean {close[0]}?" if close else ""


def find_apps(module: types.ModuleType) -> list[App]:
    return list({id(v): v for v in vars(module).values() if isinstance(v, App)}.values())


def list_known(module: types.ModuleType) -> list[Runnables]:
    """All runnables, with their names: in the module, in the app, and in the app's name in the
    module."""
    found: dict[tuple[int, str], Runnables] = {}
    for name, value in vars(module).items():
        if isinstance(value, App):
            for tag, rank, runnable in _iter_runnables(value):
                one = found.setdefault(_identify(runnable), Runnables([], rank + 2, runnable))
                one.names.extend((tag, f"{name}.{tag}"))
    for name, value in vars(module).items():
        for one in list(found.values()):
            if (own := _name_in_module(one.runnable, name, value)) is not None:
                names = [own, *(other for other in one.names if other != own)]
                found[_identify(one.runnable)] = Runnables(names, one.rank % 2, one.runnable)
    return list(found.values())


def _identify(runnable: Runnable) -> tuple[int, str]:
    return id(runnable.owner), runnable.method


def _name_in_module(runnable: Runnable, name: str, value: object) -> str | None:
    """The name that a variable of the module gives to a runnable; None if it is another object."""
    if value is not runnable.owner:
        return None
    return f"{name}.{runnable.method}" if runnable.method else name


def _iter_runnables(app: App) -> Iterator[tuple[str, int, Runnable]]:
    for tag, entrypoint in app.registered_entrypoints.items():
        yield tag, 0, Runnable(app, entrypoint)
    for tag, function in app.registered_functions.items():
        yield tag, 1, Runnable(app, function)
    for tag, cls in app.registered_classes.items():
        for method in cls.list_methods():
            yield f"{tag}.{method}", 1, RunnableMethod(app, cls, method)
