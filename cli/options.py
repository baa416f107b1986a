"""The options that several commands share, and two kinds of arguments that click cannot parse by
itself."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click

from volfs_cli.stores import complete_version, complete_volume, env_option, store_option

F = TypeVar("F", bound=Callable[..., Any])
AUTO_COMMIT = "--auto-commit"
DEFAULT_INTERVAL = 5.0


class VolumeCommand(click.Command):
    """A command in which ``--auto-commit`` may stand without its number, before any argument."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args and self.no_args_is_help:
            return super().parse_args(ctx, args)
        return super().parse_args(ctx, _spell_out(args))


def _spell_out(args: list[str]) -> list[str]:
    """The arguments with the default after a bare ``--auto-commit``, because click would take the
    next argument for its value."""
    spelled: list[str] = []
    for at, arg in enumerate(args):
        if arg == "--":
            return spelled + args[at:]
        bare = arg == AUTO_COMMIT and not (at + 1 < len(args) and _is_number(args[at + 1]))
        spelled.append(f"{AUTO_COMMIT}={DEFAULT_INTERVAL}" if bare else arg)
    return spelled


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


class Seconds(click.ParamType[float]):
    """A number of seconds, not negative."""

    name = "seconds"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        if not _is_number(str(value)) or float(value) < 0:
            self.fail(f"{value!r} is not a number of seconds", param, ctx)
        return float(value)


class Count(click.IntRange):
    """A largest number of things. A number that no machine can hold means all of them."""

    def __init__(self) -> None:
        super().__init__(min=0)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        found: int = super().convert(value, param, ctx)
        return min(found, sys.maxsize)


def auto_commit_option(help: str) -> Callable[[F], F]:
    return click.option(AUTO_COMMIT, type=Seconds(), metavar="[SECONDS]", default=None, help=help)


def timeout_option(command: F) -> F:
    """The seconds to wait for a daemon's answer. The daemon may do its work all the same."""
    return click.option(
        "--timeout",
        type=Seconds(),
        metavar="SECONDS",
        help="Give up, with exit status 1, if there is no answer by then.",
    )(command)


def log_options(command: F) -> F:
    """Where the log of a mount is, and what is in it."""
    slow_log = click.option(
        "--slow-log",
        type=click.FloatRange(0, 1e12),
        metavar="MS",
        help="Log each request that takes so many milliseconds or more. Default: VOLFS_SLOW_LOG.",
    )
    level = click.option(
        "--log-level",
        type=click.Choice(("debug", "info", "warning", "error")),
        help="Default: VOLFS_LOG_LEVEL, else info. With debug, each request is a line.",
    )
    log = click.option("--log", metavar="FILE", help="A file, syslog or journald.")
    return log(level(slow_log(command)))


def yes_option(command: F) -> F:
    return click.option("-y", "--yes", is_flag=True, help="Run without pausing for confirmation.")(
        command
    )


def volume_argument(name: str = "volume") -> Callable[[F], F]:
    return click.argument(name, shell_complete=complete_volume)


def version_argument(name: str, **options: Any) -> Callable[[F], F]:
    return click.argument(name, shell_complete=complete_version, **options)


def at_option(help: str) -> Callable[[F], F]:
    return click.option("--at", metavar="VERSION", shell_complete=complete_version, help=help)


def verb(
    name: str, *, bare: bool = False, has_names: bool = True
) -> Callable[[Callable[..., Any]], click.Command]:
    """Make a command with the options that all commands have. A ``bare`` command works without
    arguments.

    A command without ``has_names`` is about the whole store, so an environment has no meaning
    there.
    """

    def decorate(function: Callable[..., Any]) -> click.Command:
        make = click.command(name, cls=VolumeCommand, no_args_is_help=not bare)
        return make(store_option(env_option(function) if has_names else function))

    return decorate
