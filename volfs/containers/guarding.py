"""The one ``guard`` that the containers of this process share, while there are any."""

from __future__ import annotations

import os
import socket
import threading
import weakref
from contextlib import suppress

from volfs.containers import guard
from volfs.containers.companion import Companion
from volfs.containers.members import Members


class Guard(Companion):
    """A companion process that kills members, and removes directories, when this process is
    killed."""

    def __init__(self) -> None:
        # Isolated and without site, Python starts in a third of the time.
        super().__init__("-I", "-S", guard.__file__)
        # The guard must not end at the interpreter's exit: containers that are open then still
        # have to be ended.
        self.close.atexit = False
        self._guarded: set[str] = set()

    def add(self, members: Members) -> None:
        self._guarded.add(members.namespace)
        with suppress(OSError):  # If the guard has been killed, the members run on unguarded.
            socket.send_fds(self._line, [members.namespace.encode()], [members.descriptor])

    def remove(self, members: Members) -> None:
        """Stop guarding members. May be called again."""
        if members.namespace in self._guarded:
            self._guarded.remove(members.namespace)
            with suppress(OSError):
                self._line.send(members.namespace.encode())

    def add_directory(self, path: str, lock: int) -> None:
        """Let the guard remove a directory when this process is killed. Until then, the guard's
        lock keeps others from removing it as a leftover."""
        with suppress(OSError):
            socket.send_fds(self._line, [os.fsencode(path)], [lock])

    def remove_directory(self, path: str) -> None:
        """Tell the guard that a directory has been removed."""
        with suppress(OSError):
            self._line.send(os.fsencode(path))


_lock = threading.Lock()
_shared: weakref.WeakValueDictionary[int, Guard] = weakref.WeakValueDictionary()


def share_guard() -> Guard:
    """The guard of this process, which starts if there is none."""
    with _lock:
        found = _shared.get(os.getpid())
        if found is None:
            found = _shared[os.getpid()] = Guard()
        return found
