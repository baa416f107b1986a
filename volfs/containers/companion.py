"""A process beside this one that works for it and gets messages over a line."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import weakref


class Companion:
    """A process that ends with this one, by ``close``, or when nobody refers to it any more.

    Its program gets two descriptors as its last arguments: its end of the line, which is a socket
    that keeps messages apart, and the pidfd of this process.
    """

    def __init__(self, *program: str, stderr: int = subprocess.DEVNULL) -> None:
        """``program``: the arguments of Python."""
        self._line, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        owner = os.pidfd_open(os.getpid())
        try:
            passed = (theirs.fileno(), owner)
            self._process = subprocess.Popen(
                [sys.executable, *program, *map(str, passed)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                pass_fds=passed,
                start_new_session=True,  # a Ctrl-C is for this process
            )
        finally:
            theirs.close()
            os.close(owner)
        self.close = weakref.finalize(self, _end, self._line, self._process, os.getpid())


def _end(line: socket.socket, process: subprocess.Popen[bytes], owner: int) -> None:
    line.close()
    if os.getpid() == owner:  # after a fork, the companion is the parent's
        with process:
            process.kill()
