"""The only way to the terminal, and to what stands for one: nothing goes there as it is."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from volfs.model.text import show_line, to_bytes

UTF8 = ("-X", "utf8")
OUTPUT = "standard output"


def say(line: object, *, err: bool = False) -> None:
    """Print one line. What in it does not print is shown escaped, a line feed too.

    Whoever closed stdout wants to hear nothing: that is no failure of what was done.
    """
    if not err and not _takes_output():
        return
    click.echo(show_line(str(line)), err=err)


def answer(line: object) -> None:
    """Print one line of what was asked for: where it cannot be had, the command has failed.

    The OSError names the output. Shown as by ``say``.
    """
    write_line(show_line(str(line)))


def write_line(text: str) -> None:
    """As ``answer``, of text whose parts are shown already."""
    with naming_output():
        click.echo(text)


@contextmanager
def naming_output() -> Iterator[None]:
    """An OSError of the block is one of the standard output."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, OUTPUT) from error


def say_lines(text: str, *, err: bool = False) -> None:
    """Print text whose lines are its own, a traceback for example; each as ``say`` does."""
    for line in text.split("\n"):
        say(line, err=err)


def write_text(text: str) -> None:
    """Print what somebody keeps: on a terminal as ``say_lines`` does, else byte for byte."""
    if sys.stdout.isatty():
        say_lines(text)
        return
    sys.stdout.flush()
    try:
        data = to_bytes(text)
    except UnicodeEncodeError:
        data = text.encode("utf-8", "surrogatepass")
    with naming_output():
        sys.stdout.buffer.write(data + b"\n")
        sys.stdout.buffer.flush()


def _takes_output() -> bool:
    from volfs.system.descriptors import can_write

    try:
        return can_write(sys.stdout.fileno())
    except (OSError, ValueError):  # a stream without a file, or a closed one, answers itself
        return True


def speak_utf8() -> None:
    """Text of the system is UTF-8 to this program, whatever the locale says.

    Where Python took the locale's encoding, it starts again. A stream that cannot
    encode a character shows it escaped.
    """
    is_utf8 = sys.flags.utf8_mode or sys.getfilesystemencoding().lower() == "utf-8"
    if not is_utf8 and UTF8[1] not in sys.orig_argv[1:3]:
        os.execv(sys.executable, [sys.executable, *UTF8, *sys.orig_argv[1:]])
    for stream in (sys.stdout, sys.stderr):
        _let_escape(stream)


def _let_escape(stream: Any) -> None:
    if stream is not None:  # whoever started us closed it
        stream.reconfigure(errors="backslashreplace")


def take_logs() -> None:
    """What modules log above INFO is said, as any message is."""
    import logging

    class Saying(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            say(f"volfs: {record.levelname.lower()}: {record.getMessage()}", err=True)

    logging.lastResort = Saying(logging.WARNING)
