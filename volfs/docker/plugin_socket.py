"""The socket at which Docker finds a plugin: only root, or the user of the plugin, can connect."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from pathlib import Path

from volfs.control.sockets import Bound
from volfs.errors import MountError

_FIRST_PASSED = 3
"""The descriptor of the first socket that systemd passes."""


class PluginSocket:
    """A listening socket. ``name`` is what Docker calls the plugin: the socket's name without its
    ending."""

    def __init__(self, path: Path) -> None:
        """Take the socket that systemd passes, or make one at ``path``. MountError."""
        self.path = Path(os.path.abspath(path))
        self._bound: Bound | None = None
        passed = _take_passed()
        if passed is not None:
            self.socket = passed
            return
        _check_free(self.path)
        try:
            self.path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            self._bound = Bound(self.path)
        except OSError as error:
            raise MountError(f"{self.path}: cannot listen: {error.strerror}") from error
        self.socket = self._bound.socket

    @property
    def name(self) -> str:
        return self.path.stem

    def close(self) -> None:
        """Close the socket, and remove it unless it is systemd's."""
        if self._bound is not None:
            self._bound.remove()
        self.socket.close()


def _take_passed() -> socket.socket | None:
    """The socket that systemd passes to this very process. MountError for several."""
    owner, count = os.environ.pop("LISTEN_PID", ""), os.environ.pop("LISTEN_FDS", "")
    if owner != str(os.getpid()):
        return None
    if count != "1":
        raise MountError(f"systemd passes {count} sockets: one unit of one socket is served")
    return socket.socket(fileno=_FIRST_PASSED)


def _check_free(path: Path) -> None:
    """MountError if another program listens there, or if there is something else than a socket."""
    if os.path.lexists(path) and not path.is_socket():
        raise MountError(f"{path}: not a socket; remove it, or name another with --socket")
    with suppress(OSError), socket.socket(socket.AF_UNIX) as client:
        client.connect(os.fspath(path))
        raise MountError(f"{path}: another plugin listens there; --socket names another place")
