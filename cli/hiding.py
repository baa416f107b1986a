"""Hiding what was given on the command line from ``ps``."""

from __future__ import annotations

from volfs.system.arguments import find_arguments


def hide_values() -> None:
    """Erase the values after ``=`` in this process's arguments, at the place where the kernel
    reads them.

    Until then the values can be seen, for as long as Python takes to start. Does nothing on
    systems that do not tell that place.
    """
    arguments, at = find_arguments(), 0
    for argument in bytes(arguments).split(b"\0"):
        name, _, value = argument.partition(b"=")
        if value:
            begin = at + len(name) + 1
            arguments[begin : begin + len(value)] = bytes(len(value))
        at += len(argument) + 1
