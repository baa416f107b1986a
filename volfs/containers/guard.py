"""Ends containers' processes when the process that started them is killed.

``python guard.py LINE OWNER``, two descriptors: a socket and the owner's pidfd. A message with a
descriptor names a mount namespace to guard, or a directory to remove when the owner is killed (its
lock is held until the directory is removed). A message without a descriptor takes the name back.
This is a program of its own which must cost little: it loads only one file of volfs.
"""

# ruff: noqa: PTH118, PTH120 - pathlib takes longer to load than the rest
from __future__ import annotations

import importlib
import os
import select
import socket
import sys
from collections.abc import Callable

LOOK_AGAIN = 0.005
TRIES = 1000
NAME_MAX = 4096


def remove_tree(directory: bytes) -> None:
    """Remove a directory. Try again for a short time, because processes that write in it may be
    about to be killed by others."""
    import shutil

    for _ in range(TRIES):
        shutil.rmtree(directory, ignore_errors=True)
        if not os.path.lexists(directory):
            return
        select.select((), (), (), LOOK_AGAIN)


def guard(line: socket.socket, owner: int, kill_members: Callable[[str], None]) -> None:
    guarded: dict[bytes, int] = {}
    sources: list[socket.socket | int] = [line, owner]
    # Messages from before the owner's end are read even after it.
    while select.select(sources, (), ())[0] != [owner]:
        name, descriptors, _, _ = socket.recv_fds(line, NAME_MAX, 1)
        if descriptors:
            guarded[name] = descriptors[0]
        elif name:
            descriptor = guarded.pop(name, None)
            if descriptor is not None:
                os.close(descriptor)
        else:  # the owner is about to end
            sources.remove(line)
    directories = [name for name in guarded if name.startswith(b"/")]
    for name in guarded.keys() - directories:
        kill_members(name.decode())
    for directory in directories:
        remove_tree(directory)


if __name__ == "__main__":
    # By its bare name, because an import from volfs would first load much of volfs.
    sys.path.append(os.path.join(os.path.dirname(os.path.dirname(__file__)), "system"))
    namespaces = importlib.import_module("namespaces")
    guard(socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2]), namespaces.kill_members)
