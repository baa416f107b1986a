"""Reading files that a user names and that must be small, up to a limit."""

from __future__ import annotations

from pathlib import Path

from volfs.errors import LocalFileError

MAX = 16 << 20
"""The default limit in bytes. No list of values, patterns or packages is longer."""


def read_small(path: str | Path, limit: int = MAX) -> bytes:
    """Read all bytes of a file, a pipe or a device. LocalFileError beyond the limit; OSError."""
    with open(path, "rb") as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise LocalFileError(f"{path}: longer than {limit >> 20} MiB")
    return data


def read_small_text(path: str | Path, limit: int = MAX) -> str:
    """As ``read_small``, but text. UnicodeDecodeError."""
    return read_small(path, limit).decode()
