"""Take what was given on the command line out of what ``ps`` shows."""

from __future__ import annotations

from volfs.system.arguments import find_arguments


def hide_values() -> None:
    """Erase what follows ``=`` in this process's arguments, where the kernel looks for them.

    Until here they could be seen, for as long as Python takes to start. Does
    nothing on systems that do not tell where that is.
    """
    arguments, at = find_arguments(), 0
    for argument in bytes(arguments).split(b"\0"):
        name, _, value = argument.partition(b"=")
        if value:
            begin = at + len(name) + 1
            arguments[begin : begin + len(value)] = bytes(len(value))
        at += len(argument) + 1
