"""``volfs run`` for an App's file: the options of `modal run`, and their effect."""

from __future__ import annotations

import logging
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click


@dataclass(frozen=True)
class ProgramOptions:
    """The options of ``volfs run`` that are only for an App."""

    variables: Sequence[str]
    """Variables for commands. They are refused here, because an App's file sets its own."""
    detach: bool
    quiet: bool
    write_result: str | None
    name: str | None
    timestamps: bool
    """Accepted without effect: each line is printed when it comes, without a time."""
    interactive: bool


def run_program(command: Sequence[str], is_module: bool, options: ProgramOptions) -> None:
    """Import the program and call it. UsageError; errors of the program are printed."""
    from volfs.api.apps.entrypoint import run_file, run_module

    _prepare(options)
    where, _, name = command[0].partition("::")
    run = run_module if is_module else run_file
    result = run(where, name or None, list(command[1:]), options.name)
    if options.write_result is not None:
        _write(Path(options.write_result), result)


def _prepare(options: ProgramOptions) -> None:
    if options.interactive:
        raise click.UsageError("-i: a container has no terminal of its own here")
    if options.write_result is not None:
        _check_place(Path(options.write_result))
    if options.variables:
        raise click.UsageError("--env KEY=VALUE is for commands; an App's file says it")
    if options.quiet:
        logging.getLogger("volfs").setLevel(logging.ERROR)
    if options.detach:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)


def _check_place(path: Path) -> None:
    """UsageError before the program runs if its result cannot be written."""
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise click.UsageError(f"-w {path}: {'is a' if path.is_dir() else 'no such'} directory")


def _write(path: Path, result: object) -> None:
    if isinstance(result, str):
        result = result.encode(errors="surrogateescape")
    if not isinstance(result, bytes):
        raise click.UsageError(
            "-w: the function must return str or bytes when using `--write-result`; "
            f"got {type(result).__name__}"
        )
    path.write_bytes(result)
