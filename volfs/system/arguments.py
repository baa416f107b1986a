"""The arguments of this process, where the kernel looks for them: what ``ps`` shows."""

from __future__ import annotations

import ctypes

from volfs.system.proc import STAT_ARGUMENTS, STAT_ARGUMENTS_END, read_stat


def find_arguments() -> memoryview:
    """Their bytes, each ended by a NUL, to be written over; no bytes where none are known."""
    try:
        fields = read_stat("self")
        start, end = int(fields[STAT_ARGUMENTS]), int(fields[STAT_ARGUMENTS_END])
    except (OSError, KeyError, ValueError):
        return memoryview(b"")
    if not 0 < start < end:
        return memoryview(b"")
    return memoryview((ctypes.c_char * (end - start)).from_address(start)).cast("B")


def retitle(title: bytes) -> None:
    """Let ``ps`` show this in their place, as far as there is room."""
    arguments = find_arguments()
    size = len(arguments)
    arguments[:] = title.ljust(size, b"\0")[:size]
