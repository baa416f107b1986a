"""The targets of a daemon's log: a file that is rotated, syslog, or the journal."""

from __future__ import annotations

import logging
import logging.handlers
import math
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from volfs.daemon.log_queue import QueuedHandler
from volfs.errors import InvalidError, UserError
from volfs.model.text import show_line

LOG_LEVEL = "VOLFS_LOG_LEVEL"
"""The environment variable with the level of all mounts that are given none, those of containers
included."""
SLOW_LOG = "VOLFS_SLOW_LOG"
"""The environment variable with a limit in milliseconds. A request that takes as long or longer is
a line of the log."""
LEVELS = ("debug", "info", "warning", "error")
FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
FILE_BYTES, FILES_KEPT = 4 << 20, 3
JOURNAL = "/run/systemd/journal/socket"


class LineFormatter(logging.Formatter):
    """A record becomes one line of printable characters. A traceback follows it, indented.

    Nothing that a record names can therefore look like another record, or control a terminal. A
    record that cannot be formatted is shown as such, because logging must never fail its caller.
    """

    def format(self, record: logging.LogRecord) -> str:
        try:
            record.message = show_line(record.getMessage())
        except Exception as error:  # noqa: BLE001 - any value in the record may raise
            record.message = f"(a record that cannot be shown: {type(error).__name__})"
        record.asctime = self.formatTime(record)
        return "\n  ".join((self.formatMessage(record), *self._iter_trace(record)))

    def _iter_trace(self, record: logging.LogRecord) -> Iterator[str]:
        if record.exc_info:
            with suppress(Exception):
                yield from map(show_line, self.formatException(record.exc_info).split("\n"))


class JournalHandler(logging.Handler):
    """A handler that sends records as datagrams of the journal's native protocol."""

    def __init__(self) -> None:
        super().__init__()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.connect(JOURNAL)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            message = self.format(record).encode()
            priority = logging.handlers.SysLogHandler.LOG_ERR
            if record.levelno < logging.ERROR:
                priority = 4 if record.levelno >= logging.WARNING else 6
            head = f"PRIORITY={priority}\nSYSLOG_IDENTIFIER=volfs\nMESSAGE\n".encode()
            self._socket.send(head + len(message).to_bytes(8, "little") + message + b"\n")
        except Exception:  # noqa: BLE001 - other handlers of Python's do the same
            self.handleError(record)


class LineCounter(logging.Handler):
    """Counts the lines of the log by level."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.counts = {"warning": 0, "error": 0}

    def emit(self, record: logging.LogRecord) -> None:
        self.counts["error" if record.levelno >= logging.ERROR else "warning"] += 1


_counter = LineCounter()


def count_logged() -> dict[str, int]:
    """How many warnings and errors this process has logged."""
    return dict(_counter.counts)


def start_log(target: str | None, level: str, default: Path, *, foreground: bool) -> None:
    """Send the root logger's records to the target that the options name. UserError."""
    if level not in LEVELS:
        raise InvalidError(f"log level {level!r}: use one of {', '.join(LEVELS)}")
    handler = _make_handler(target, default, foreground=foreground)
    queued = QueuedHandler(handler)
    queued.setFormatter(LineFormatter(FORMAT))
    # Errors such as a full disk must not be reported on standard error.
    logging.raiseExceptions = False
    root = logging.getLogger()
    root.addHandler(queued)
    root.addHandler(_counter)
    root.setLevel(level.upper())


def choose_slow_limit(given: float | None) -> float | None:
    """The limit in milliseconds of ``log_slow_requests``: the given one, else that of the
    environment. None if there is none. UserError."""
    text = os.environ.get(SLOW_LOG)
    if given is not None or not text:
        return given
    try:
        limit = float(text)
    except ValueError:
        limit = math.nan
    if not 0 <= limit < math.inf:
        raise InvalidError(f"{SLOW_LOG}={text}: is no number of milliseconds")
    return limit


def end_log() -> None:
    """Write all logged records, as far as the target accepts them."""
    for handler in logging.getLogger().handlers:
        with suppress(Exception):
            handler.flush()


def _check_link(path: Path) -> None:
    """UserError for a symlink of another user, because it may lead to a file that only we may
    write."""
    owner = path.lstat().st_uid if path.is_symlink() else 0
    if owner not in (0, os.geteuid()):
        raise UserError(f"log to {path}: a symlink of user {owner}, which is not followed")


def _make_handler(target: str | None, default: Path, *, foreground: bool) -> logging.Handler:
    try:
        if target == "syslog":
            return logging.handlers.SysLogHandler("/dev/log")
        if target == "journald":
            return JournalHandler()
        if target is None and foreground:
            return logging.StreamHandler(sys.stderr)
        path = Path(target) if target else default
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _check_link(path)
        return logging.handlers.RotatingFileHandler(
            path, maxBytes=FILE_BYTES, backupCount=FILES_KEPT, errors="backslashreplace"
        )
    except OSError as error:
        raise UserError(f"log to {target or default}: {error.strerror}") from error
