"""The one ``guard`` that this process's containers share, while there are any."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import weakref
from contextlib import suppress

from volfs.containers import guard
from volfs.containers.members import Members


class Guard:
    """A process that kills members when this one is killed. Ends when nobody refers to it."""

    def __init__(self) -> None:
        self._line, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        owner = os.pidfd_open(os.getpid())
        try:
            passed = (theirs.fileno(), owner)
            # Isolated and without site: it takes a third of the time to start.
            process = subprocess.Popen(
                [sys.executable, "-I", "-S", guard.__file__, *map(str, passed)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=passed,
                start_new_session=True,  # a Ctrl-C is for us
            )
        finally:
            theirs.close()
            os.close(owner)
        # Not at the interpreter's exit: containers that are open then still have to be ended.
        weakref.finalize(self, _end, self._line, process, os.getpid()).atexit = False

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


def _end(line: socket.socket, process: subprocess.Popen[bytes], owner: int) -> None:
    line.close()
    if os.getpid() == owner:  # after a fork it is the parent's
        with process:
            process.kill()


_lock = threading.Lock()
_shared: weakref.WeakValueDictionary[int, Guard] = weakref.WeakValueDictionary()


def share_guard() -> Guard:
    """This process's."""
    with _lock:
        found = _shared.get(os.getpid())
        if found is None:
            found = _shared[os.getpid()] = Guard()
        return found
