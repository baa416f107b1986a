"""Ends containers' processes when the process is killed that started them.

``python guard.py LINE OWNER``, two descriptors: a socket and the owner's pidfd. A
message with a descriptor names a mount namespace to look after, or a directory to remove
when the owner is killed (its lock is kept until that is done); one without takes the name
back. A program of its own, which imports nothing of ours, and shall cost little.
"""

# ruff: noqa: PTH115, PTH208, SIM105 - pathlib and contextlib take longer to load than the rest
from __future__ import annotations

import os
import select
import signal
import socket
import sys

LOOK_AGAIN = 0.005
TRIES = 1000
NAME_MAX = 4096


def find_members(namespace: str) -> list[int]:
    """Of a mount namespace, by what its link in /proc says."""
    numbers = filter(str.isdigit, os.listdir("/proc"))
    return [int(number) for number in numbers if find_namespace(number) == namespace]


def find_namespace(process: str) -> str | None:
    try:
        return os.readlink(f"/proc/{process}/ns/mnt")
    except OSError:  # it has ended, or is another user's
        return None


def kill_members(namespace: str) -> None:
    """SIGKILL to all; return when there are none. Who calls holds the namespace's descriptor."""
    while found := find_members(namespace):
        for pid in found:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        select.select((), (), (), LOOK_AGAIN)


def remove_tree(directory: bytes) -> None:
    """Those who write there may be about to be killed by others: not for long."""
    import shutil

    for _ in range(TRIES):
        shutil.rmtree(directory, ignore_errors=True)
        if not os.path.lexists(directory):
            return
        select.select((), (), (), LOOK_AGAIN)


def guard(line: socket.socket, owner: int) -> None:
    held: dict[bytes, int] = {}
    sources: list[socket.socket | int] = [line, owner]
    # What was said before the owner's end is read after it, too.
    while select.select(sources, (), ())[0] != [owner]:
        name, descriptors, _, _ = socket.recv_fds(line, NAME_MAX, 1)
        if descriptors:
            held[name] = descriptors[0]
        elif name:
            descriptor = held.pop(name, None)
            if descriptor is not None:
                os.close(descriptor)
        else:  # the owner is about to end
            sources.remove(line)
    directories = [name for name in held if name.startswith(b"/")]
    for name in held.keys() - directories:
        kill_members(name.decode())
    for directory in directories:
        remove_tree(directory)


if __name__ == "__main__":
    guard(socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2]))
