"""Where a daemon's log goes: a file that is rotated, syslog, or the journal."""

from __future__ import annotations

import logging
import logging.handlers
import socket
import sys
from pathlib import Path

from volfs.errors import UserError

LEVELS = ("debug", "info", "warning", "error")
FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
FILE_BYTES, FILES_KEPT = 4 << 20, 3
JOURNAL = "/run/systemd/journal/socket"


class JournalHandler(logging.Handler):
    """Records as datagrams of the journal's native protocol."""

    def __init__(self) -> None:
        super().__init__()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.connect(JOURNAL)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            message = self.format(record).encode(errors="replace")
            priority = logging.handlers.SysLogHandler.LOG_ERR
            if record.levelno < logging.ERROR:
                priority = 4 if record.levelno >= logging.WARNING else 6
            head = f"PRIORITY={priority}\nSYSLOG_IDENTIFIER=volfs\nMESSAGE\n".encode()
            self._socket.send(head + len(message).to_bytes(8, "little") + message + b"\n")
        except OSError:
            self.handleError(record)


def start_log(target: str | None, level: str, default: Path, *, foreground: bool) -> None:
    """Send the root logger's records to where the options say. UserError."""
    if level not in LEVELS:
        raise UserError(f"log level {level!r}: use one of {', '.join(LEVELS)}")
    handler = _make_handler(target, default, foreground=foreground)
    handler.setFormatter(logging.Formatter(FORMAT))
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(level.upper())


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
        return logging.handlers.RotatingFileHandler(
            path, maxBytes=FILE_BYTES, backupCount=FILES_KEPT, errors="backslashreplace"
        )
    except OSError as error:
        raise UserError(f"log to {target or default}: {error.strerror}") from error
