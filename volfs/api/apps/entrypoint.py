"""``volfs run FILE.py[::NAME] [ARGS]``, or ``-m MODULE``: call an entrypoint or a function.

Parameters are options of the command line, read by their annotations.
"""

from __future__ import annotations

import importlib
import inspect
import os
import sys
import traceback
import types
import typing
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from volfs.api.apps.app import App, LocalEntrypoint
from volfs.api.apps.cls import Cls
from volfs.api.apps.function import Function
from volfs.api.apps.origins import import_path
from volfs.containers.loop import Loop
from volfs.containers.pickling import send_by_value
from volfs.containers.services import is_generator_function
from volfs.errors import InvalidError
from volfs.model.text import show_line

_TYPES: dict[Any, Any] = {
    str: click.STRING,
    int: click.INT,
    float: click.FLOAT,
    bool: click.BOOL,
    datetime: click.DateTime(),
    inspect.Parameter.empty: click.STRING,
    Any: click.STRING,
}


_OWN = {"volfs", "importlib", "_frozen_importlib", "_frozen_importlib_external"}


def run_file(path: str, name: str | None, args: list[str]) -> None:
    """Import the file, then run what ``name`` says, or its only entrypoint or function.

    UsageError for wrong arguments; InvalidError. Where the program raises
    something, its traceback is printed, and SystemExit.
    """
    _run(lambda: import_file(Path(path)), path, path, name, args)


def run_module(module: str, name: str | None, args: list[str]) -> None:
    """As ``run_file``, of a module that is found from the current directory on."""
    _run(lambda: import_module(module), f"-m {module}", module, name, args)


def _run(
    load: Callable[[], types.ModuleType], said: str, where: str, name: str | None, args: list[str]
) -> None:
    with printing_errors():
        found = load()
    app, what = choose(found, where, name)
    call = what if isinstance(what, LocalEntrypoint) else _to_call(what)
    command = make_command(get_raw(what), call, f"volfs run {said}" + (f"::{name}" if name else ""))
    with command.make_context(command.name, args) as context, app.run():
        command.invoke(context)


def _to_call(what: Any) -> Callable[..., Any]:
    """In a container; of a generator, until it ends."""

    def run_to_its_end(*args: Any, **kwargs: Any) -> None:
        for _ in what.remote_gen(*args, **kwargs):
            pass

    return run_to_its_end if what.is_generator else what.remote


@contextmanager
def printing_errors() -> Iterator[None]:
    """SystemExit for what the program raises, whose author wants to see where."""
    try:
        yield
    except click.ClickException:
        raise
    except Exception as error:  # noqa: BLE001 - it may raise anything
        print_error(error)
        sys.exit(1)


def print_error(error: Exception) -> None:
    """Its traceback. No line of it, nor what the error says, is obeyed by a terminal."""
    trace = _skip_own(error.__traceback__)
    for part in traceback.format_exception(type(error), error, trace):
        for line in part.rstrip("\n").split("\n"):
            print(show_line(line), file=sys.stderr)


def _skip_own(trace: types.TracebackType | None) -> types.TracebackType | None:
    """From where the program begins."""
    while trace and trace.tb_frame.f_globals.get("__name__", "").partition(".")[0] in _OWN:
        trace = trace.tb_next
    return trace


def import_file(path: Path) -> types.ModuleType:
    """The module, whose functions travel whole, as if it had been run as a program."""
    if not path.is_file() or path.suffix != ".py":
        raise click.ClickException(f"{path}: no such Python file")
    sys.path.insert(0, str(path.resolve().parent))
    try:
        return import_path(path.stem, os.path.abspath(path))
    except ImportError as error:
        if "no known parent package" in str(error):
            raise click.ClickException(f"{path}: {error}; {_say_module(path)}") from error
        raise


def _say_module(path: Path) -> str:
    """How to run a file that is part of a package."""
    path = path.resolve()
    names = [path.stem]
    while (path := path.parent).joinpath("__init__.py").exists():
        names.insert(0, path.name)
    return f"use `volfs run -m {'.'.join(names)}` in {path}"


def import_module(name: str) -> types.ModuleType:
    sys.path.insert(0, str(Path.cwd()))
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and f"{name}.".startswith(f"{error.name}."):
            raise click.ClickException(f"{name}: {error}") from error
        raise
    send_by_value(name, always=True)
    return module


# --- which ------------------------------------------------------------------


def choose(module: types.ModuleType, path: str, name: str | None) -> tuple[App, Any]:
    """An entrypoint, function or method, and its app. InvalidError."""
    known = {tag: (app, what) for app in find_apps(module) for tag, what in _iter_known(app)}
    if not known:
        raise InvalidError(f"{path}: no App with functions in it")
    if name is not None:
        if name not in known:
            raise InvalidError(f"{path} has no {name}, but {', '.join(sorted(known))}")
        return known[name]
    entrypoints = [one for one in known.values() if isinstance(one[1], LocalEntrypoint)]
    candidates = entrypoints or list(known.values())
    if len(candidates) > 1:
        raise InvalidError(f"{path}: which one? {path}::NAME, NAME one of {', '.join(known)}")
    return candidates[0]


def find_apps(module: types.ModuleType) -> list[App]:
    return list({id(v): v for v in vars(module).values() if isinstance(v, App)}.values())


def _iter_known(app: App) -> Iterator[tuple[str, Any]]:
    yield from app.registered_entrypoints.items()
    yield from app.registered_functions.items()
    for tag, cls in app.registered_classes.items():
        for method in cls.list_methods():
            yield f"{tag}.{method}", _Method(cls, method)


class _Method:
    """Of an instance without parameters, which is made when it is called."""

    def __init__(self, cls: Cls, name: str) -> None:
        self.raw = cls.get_raw(name)
        self.is_generator = is_generator_function(self.raw)
        self._cls = cls
        self._name = name

    def remote(self, **kwargs: Any) -> Any:
        return getattr(self._cls(), self._name).remote(**kwargs)

    def remote_gen(self, **kwargs: Any) -> Any:
        return getattr(self._cls(), self._name).remote_gen(**kwargs)


def get_raw(what: Any) -> Callable[..., Any]:
    raw: Callable[..., Any] = what.get_raw_f() if isinstance(what, Function) else what.raw
    return raw


# --- its arguments ----------------------------------------------------------


def make_command(raw: Callable[..., Any], call: Callable[..., Any], name: str) -> click.Command:
    """InvalidError for an annotation that no option can have."""
    parameters = list(inspect.signature(raw).parameters.values())
    if raw_is_method(raw):
        parameters = parameters[1:]
    hints = _get_hints(raw)
    options: list[click.Parameter] = []
    rest = None
    for one in parameters:
        if one.kind is one.VAR_POSITIONAL:
            rest = one.name
            options.append(click.Argument([one.name.lower()], nargs=-1, type=click.UNPROCESSED))
        elif one.kind is not one.VAR_KEYWORD:
            options.append(_make_option(one, hints.get(one.name, one.annotation)))

    def run(**given: Any) -> None:
        positional = given.pop(rest.lower(), ()) if rest else ()
        with printing_errors():
            result = call(*positional, **given)
            if inspect.iscoroutine(result):
                Loop().run(result)

    settings = {"ignore_unknown_options": True} if rest else {}
    return click.Command(
        name, params=options, callback=run, help=raw.__doc__, context_settings=settings
    )


def raw_is_method(raw: Callable[..., Any]) -> bool:
    return next(iter(inspect.signature(raw).parameters), None) == "self"


def _get_hints(raw: Callable[..., Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(raw)
    except Exception:  # noqa: BLE001 - annotations may name what is only there for checkers
        return {}


def _make_option(parameter: inspect.Parameter, annotation: Any) -> click.Option:
    kind = _strip_none(annotation)
    if kind not in _TYPES:
        raise InvalidError(
            f"parameter {parameter.name}: {annotation!r} cannot be an option of the command line"
        )
    required = parameter.default is parameter.empty
    dashed = parameter.name.replace("_", "-")
    names = [f"--{dashed}/--no-{dashed}"] if kind is bool else [f"--{dashed}"]
    default = {} if required else {"default": parameter.default, "show_default": True}
    return click.Option([*names, parameter.name], type=_TYPES[kind], required=required, **default)


def _strip_none(annotation: Any) -> Any:
    """``int | None`` is ``int``."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        others = [one for one in typing.get_args(annotation) if one is not type(None)]
        if len(others) == 1:
            return others[0]
    return annotation
