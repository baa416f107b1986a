"""The arguments of this process in the memory where the kernel looks for them, which ``ps``
shows."""

from __future__ import annotations

import ctypes

from volfs.system.proc import STAT_ARGUMENTS, STAT_ARGUMENTS_END, read_stat


def find_arguments() -> memoryview:
    """The bytes of the arguments, each ended by a NUL, to be overwritten; empty if they are not
    found."""
    try:
        fields = read_stat("self")
        start, end = int(fields[STAT_ARGUMENTS]), int(fields[STAT_ARGUMENTS_END])
    except (OSError, KeyError, ValueError):
        return memoryview(b"")
    if not 0 < start < end:
        return memoryview(b"")
    return memoryview((ctypes.c_char * (end - start)).from_address(start)).cast("B")


def retitle(title: bytes) -> None:
    """Let ``ps`` show a title in the place of the arguments, as far as there is room."""
    arguments = find_arguments()
    size = len(arguments)
    arguments[:] = title.ljust(size, b"\0")[:size]
