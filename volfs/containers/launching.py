"""The process that mounts containers' volumes. It can begin before they are known.

Loading the daemon's modules is most of the time that a container takes to start:
this module imports little, so that others can be loaded meanwhile, and containers
share a process that has them.
"""

from __future__ import annotations

import os
import socket
import subprocess
import threading
from typing import Self

from volfs.containers.companion import Companion
from volfs.control.mounts import runtime_directory
from volfs.errors import MountError

# The imports make many objects, and garbage of none: collecting it would take a tenth of the time.
_PROGRAM = "import gc; gc.disable(); from volfs.daemon.launcher import main; main()"


class Launcher(Companion):
    """``volfs.daemon.launcher``. Threads may share it. A context manager.

    It has the environment of when it was begun. What it has mounted stays.
    """

    def __init__(self) -> None:
        # -P: nothing in the current directory is a module of ours.
        super().__init__("-P", "-c", _PROGRAM, stderr=subprocess.PIPE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def begin(self, request: bytes, signs: int) -> int:
        """Ask for mounts, with their signs: the descriptor of a pipe for ``read_answer``."""
        reader, writer = os.pipe()
        try:
            socket.send_fds(self._line, [request], [writer, signs])
        except OSError as error:
            os.close(reader)
            raise self._explain() from error
        finally:
            os.close(writer)
        return reader

    def read_answer(self, reader: int) -> bytes:
        """What it says once everything is mounted or has failed. MountError."""
        with open(reader, "rb") as pipe:
            answer = pipe.read()
        if not answer:
            raise self._explain()
        return answer

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def _explain(self) -> MountError:
        """By the last line of what it said on its standard error."""
        assert self._process.stderr is not None
        os.set_blocking(self._process.stderr.fileno(), False)  # its children may have it, too
        said = (self._process.stderr.read() or b"").decode(errors="replace").splitlines()
        return MountError(f"volumes cannot be mounted: {said[-1] if said else 'no answer'}")


# --- the one that a process's containers share --------------------------------

_lock = threading.Lock()
_shared: dict[tuple[int, str], Launcher] = {}
"""One at most, by process and runtime directory."""


def share_launcher() -> Launcher:
    """The one of this process, begun at the first call, until ``drop_launcher``."""
    key = os.getpid(), str(runtime_directory())
    with _lock:
        if key not in _shared or not _shared[key].is_alive:
            _shared.clear()
            _shared[key] = Launcher()
        return _shared[key]


def drop_launcher() -> None:
    """It ends as soon as nobody waits for an answer of it."""
    with _lock:
        _shared.clear()
