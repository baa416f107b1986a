"""The one ``guard`` that this process's containers share, while there are any."""

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
    """Kills members when this process is killed."""

    def __init__(self) -> None:
        # Isolated and without site: it takes a third of the time to start.
        super().__init__("-I", "-S", guard.__file__)
        # Not at the interpreter's exit: containers that are open then still have to be ended.
        self.close.atexit = False
        self._guarded: set[str] = set()

    def add(self, members: Members) -> None:
        self._guarded.add(members.namespace)
        with suppress(OSError):  # it has been killed: what is guarded runs on without
            socket.send_fds(self._line, [members.namespace.encode()], [members.held])

    def remove(self, members: Members) -> None:
        """May be called again."""
        if members.namespace in self._guarded:
            self._guarded.remove(members.namespace)
            with suppress(OSError):
                self._line.send(members.namespace.encode())

    def add_directory(self, path: str, lock: int) -> None:
        """Have it removed then; nobody else takes it for left behind before."""
        with suppress(OSError):
            socket.send_fds(self._line, [os.fsencode(path)], [lock])

    def remove_directory(self, path: str) -> None:
        """It has been removed."""
        with suppress(OSError):
            self._line.send(os.fsencode(path))


_lock = threading.Lock()
_shared: weakref.WeakValueDictionary[int, Guard] = weakref.WeakValueDictionary()


def share_guard() -> Guard:
    """This process's."""
    with _lock:
        found = _shared.get(os.getpid())
        if found is None:
            found = _shared[os.getpid()] = Guard()
        return found
