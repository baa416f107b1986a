"""The only way to the terminal, and to files in its place. All text is escaped on the way."""

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
    """Print one line. Characters that do not print are shown escaped, including line feeds.

    If the reader has closed stdout, nothing is printed. That is no failure of the command.
    """
    if not err and not _takes_output():
        return
    click.echo(show_line(str(line)), err=err)


def answer(line: object) -> None:
    """Print one line of a command's answer. If it cannot be printed, the command has failed.

    The OSError names the output. Characters are shown as by ``say``.
    """
    write_line(show_line(str(line)))


def write_line(text: str) -> None:
    """Print a line as ``answer`` does, if its parts are escaped already."""
    with naming_output():
        click.echo(text)


def write_coloured(text: str, colour: str) -> None:
    """As ``write_line``, coloured on a terminal that knows colours unless ``NO_COLOR`` is set."""
    no_colour = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    plain = no_colour or not sys.stdout.isatty()
    write_line(text if plain else click.style(text, fg=colour))


@contextmanager
def naming_output() -> Iterator[None]:
    """Let an OSError of the block name the standard output."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, OUTPUT) from error


def say_lines(text: str, *, err: bool = False) -> None:
    """Print a text of several lines, such as a traceback, each line as ``say`` does."""
    for line in text.split("\n"):
        say(line, err=err)


def write_text(text: str) -> None:
    """Print a text that the reader may store: on a terminal as ``say_lines`` does, else byte for
    byte."""
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
    except (
        OSError,
        ValueError,
    ):  # If the stream has no file, or is closed, the write itself will fail.
        return True


def speak_utf8() -> None:
    """Treat text of the system as UTF-8 in this program, whatever the locale says.

    If Python has taken the locale's encoding, the program starts again. A stream that cannot
    encode a character shows it escaped.
    """
    is_utf8 = sys.flags.utf8_mode or sys.getfilesystemencoding().lower() == "utf-8"
    if not is_utf8 and UTF8[1] not in sys.orig_argv[1:3]:
        os.execv(sys.executable, [sys.executable, *UTF8, *sys.orig_argv[1:]])
    for stream in (sys.stdout, sys.stderr):
        _let_escape(stream)


def _let_escape(stream: Any) -> None:
    if stream is not None:  # None if the caller has closed it
        stream.reconfigure(errors="backslashreplace")


def take_logs() -> None:
    """Print the warnings and errors that modules log, in the form of all messages."""
    import logging

    class Saying(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            say(f"volfs: {record.levelname.lower()}: {record.getMessage()}", err=True)

    logging.lastResort = Saying(logging.WARNING)
