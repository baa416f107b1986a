"""The process that mounts containers' volumes. It can start before the volumes are known.

Loading the daemon's modules takes most of the time in which a container starts. Therefore this
module imports little, other modules can be loaded meanwhile, and containers share a process that
has loaded the daemon's.
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

# The imports make many objects and no garbage. Collection would take a tenth of the time.
_PROGRAM = "import gc; gc.disable(); from volfs.daemon.launcher import main; main()"

_MOUNT, _OUTLIVING = b"mount", b"outliving"


class Launcher(Companion):
    """A process that runs ``volfs.daemon.launcher``. Threads may share it. It is a context
    manager.

    It keeps the environment of the moment at which it started. What it has mounted stays after its
    end.
    """

    def __init__(self) -> None:
        # -P: no module is taken from the current directory.
        super().__init__("-P", "-c", _PROGRAM, stderr=subprocess.PIPE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def begin(self, request: bytes, signs: int, *, outliving: bool = False) -> int:
        """Ask for mounts. ``signs`` is the descriptor of their signs. Returns the descriptor of a
        pipe for ``read_answer``.

        The mounts end with this process, unless they are ``outliving`` it.
        """
        reader, writer = os.pipe()
        body = self._write_down(request)
        message = _OUTLIVING if outliving else _MOUNT
        try:
            socket.send_fds(self._line, [message], [writer, signs, body])
        except OSError as error:
            os.close(reader)
            raise self._explain() from error
        finally:
            os.close(body)
            os.close(writer)
        return reader

    def _write_down(self, request: bytes) -> int:
        """Write a request to memory, and return its descriptor. The credentials of many buckets
        are longer than a message on the line may be."""
        memory = os.memfd_create("volfs-mounts", os.MFD_CLOEXEC)
        with open(memory, "wb", closefd=False) as file:
            file.write(request)
        return memory

    def read_answer(self, reader: int) -> bytes:
        """The launcher's answer, which comes once everything is mounted or has failed.
        MountError."""
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
        """The error to raise, with the last line of the launcher's standard error."""
        assert self._process.stderr is not None
        os.set_blocking(self._process.stderr.fileno(), False)  # its children may hold it open
        said = (self._process.stderr.read() or b"").decode(errors="replace").splitlines()
        return MountError(f"volumes cannot be mounted: {said[-1] if said else 'no answer'}")


# --- the launcher that a process's containers share ---------------------------

_lock = threading.Lock()
_shared: dict[tuple[int, str], Launcher] = {}
"""The launcher by process id and runtime directory: at most one."""


def share_launcher() -> Launcher:
    """The launcher of this process. It starts at the first call, and is kept until
    ``drop_launcher``."""
    key = os.getpid(), str(runtime_directory())
    with _lock:
        if key not in _shared or not _shared[key].is_alive:
            _shared.clear()
            _shared[key] = Launcher()
        return _shared[key]


def drop_launcher() -> None:
    """Drop the shared launcher. It ends as soon as nobody waits for its answer."""
    with _lock:
        _shared.clear()
