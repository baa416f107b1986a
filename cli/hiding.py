"""Take what was given on the command line out of what ``ps`` shows."""

from __future__ import annotations

import ctypes
from pathlib import Path

_START, _END = 48, 49
_FIRST = 3
"""Of the fields of /proc/self/stat, the first one after the parentheses."""


def hide_values() -> None:
    """Erase what follows ``=`` in this process's arguments, where the kernel looks for them.

    Until here they could be seen, for as long as Python takes to start. Does
    nothing on systems that have no such file.
    """
    try:
        fields = Path("/proc/self/stat").read_bytes().rpartition(b")")[2].split()
        start, end = (int(fields[at - _FIRST]) for at in (_START, _END))
    except (OSError, IndexError, ValueError):
        return
    for argument, at in _iter_arguments(ctypes.string_at(start, end - start)):
        name, _, value = argument.partition(b"=")
        if value:
            ctypes.memset(start + at + len(name) + 1, 0, len(value))


def _iter_arguments(data: bytes) -> list[tuple[bytes, int]]:
    """Each argument, and where it begins."""
    found, at = [], 0
    for argument in data.split(b"\0"):
        found.append((argument, at))
        at += len(argument) + 1
    return found
