"""``volfs run FILE.py[::NAME] [ARGS]``, or ``-m MODULE``: call an entrypoint or a function."""

from __future__ import annotations

import importlib
import inspect
import os
import sys
import traceback
import types
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from volfs.api.apps.choosing import Runnable, choose
from volfs.api.apps.origins import import_path
from volfs.containers.loop import Loop
from volfs.containers.pickling import send_by_value
from volfs.containers.remote_errors import RemoteTraceback, is_own_file
from volfs.model.text import show_line

HELP = ["-h", "--help"]
_OWN = {"volfs", "importlib", "_frozen_importlib", "_frozen_importlib_external"}


def run_file(path: str, name: str | None, args: list[str], app_name: str | None = None) -> Any:
    """Import a file, run the function that ``name`` names, or its only entrypoint or function, and
    return the result.

    ``app_name`` is for an App without a name. UsageError for wrong arguments. If the program
    raises an error, its traceback is printed, and SystemExit is raised.
    """
    return _run(lambda: import_file(Path(path)), path, path, name, args, app_name)


def run_module(module: str, name: str | None, args: list[str], app_name: str | None = None) -> Any:
    """As ``run_file``, for a module that is found from the current directory on."""
    return _run(lambda: import_module(module), f"-m {module}", module, name, args, app_name)


def _run(
    load: Callable[[], types.ModuleType],
    said: str,
    where: str,
    name: str | None,
    args: list[str],
    app_name: str | None,
) -> Any:
    with printing_errors():
        found = load()
    runnable = choose(found, where, name)
    runnable.app.name = runnable.app.name or app_name
    command = make_command(runnable, f"volfs run {said}" + (f"::{name}" if name else ""))
    with command.make_context(command.name, args) as context, runnable.app.run():
        return command.invoke(context)


@contextmanager
def printing_errors() -> Iterator[None]:
    """Print errors that the program raises with their traceback, for its author, and raise
    SystemExit."""
    try:
        yield
    except click.ClickException:
        raise
    except Exception as error:  # noqa: BLE001 - the program may raise anything
        print_error(error)
        sys.exit(1)


def print_error(error: Exception) -> None:
    """Print the traceback of an error. Control characters in it are shown escaped, so that the
    terminal obeys none."""
    told = traceback.TracebackException(type(error), error, _skip_own(error.__traceback__))
    if isinstance(error.__cause__, RemoteTraceback):  # What happened here is only the call.
        told.stack[:] = [frame for frame in told.stack if not is_own_file(frame.filename)]
    for part in told.format():
        for line in part.rstrip("\n").split("\n"):
            print(show_line(line), file=sys.stderr)


def _skip_own(trace: types.TracebackType | None) -> types.TracebackType | None:
    """The part of a traceback from the first frame of the program on."""
    while trace and trace.tb_frame.f_globals.get("__name__", "").partition(".")[0] in _OWN:
        trace = trace.tb_next
    return trace


def import_file(path: Path) -> types.ModuleType:
    """Import a file, as if it had been run as a program. Its functions are pickled whole."""
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
    """The advice for a file that is part of a package: how to run it as a module."""
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


# --- arguments --------------------------------------------------------------


def make_command(runnable: Runnable, name: str) -> click.Command:
    """A command that reads the arguments and calls the function. UsageError for a parameter that
    cannot be an option."""
    parameters = runnable.read_parameters()
    options = [option for one in parameters for option in one.make_options()]
    _check_names(options)

    def run(**_: Any) -> Any:
        context = click.get_current_context()
        given = [one.take(context) for one in parameters]
        with printing_errors():
            result = runnable.call(*given)
            return Loop().run(result) if inspect.iscoroutine(result) else result

    settings: dict[str, Any] = {"help_option_names": HELP}
    if any(one.rest for one in parameters):
        settings["ignore_unknown_options"] = True
    return click.Command(
        name, params=options, callback=run, help=runnable.help, context_settings=settings
    )


def _check_names(options: Sequence[click.Parameter]) -> None:
    names = [option.name for option in options]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise click.UsageError(f"the parameter {twice} is the class's and the method's: rename one")
