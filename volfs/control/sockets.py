"""Sockets of mounts, reached by descriptors, and the processes at their other ends.

The kernel is never given a path: a path could be changed between the check and its use, and is cut
off at 107 bytes. ``/proc/self/fd`` leads to what was checked.
"""

from __future__ import annotations

import os
import socket
import stat
import struct
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, Protocol

from volfs.control.runtime import open_directory
from volfs.errors import MountError
from volfs.system.files import remove_file

BACKLOG = 128


class Peer(NamedTuple):
    """The process at the other end: the one that connected, or the one that began to listen."""

    pid: int
    """The process id; 0 if the process is in a namespace of process ids that we do not see."""
    uid: int
    gid: int


class ControlSocket(Protocol):
    """A socket of the standard library, or of trio."""

    def getsockopt(self, level: int, option: int, size: int, /) -> bytes: ...


def find_peer(connection: ControlSocket) -> Peer:
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    return Peer(*struct.unpack("3i", raw))


def connect(path: Path, owners: Collection[int], timeout: float | None) -> socket.socket:
    """Connect to a socket of one of these users, or root, in a place that only they can change.

    OSError; MountError if others could have put the socket there, or if it belongs to another
    user.
    """
    directory = open_directory(path.parent, {0, *owners})
    try:
        found = os.open(path.name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    finally:
        os.close(directory)
    try:
        _check_socket(path, os.fstat(found), {0, *owners})
        return _connect(path, found, {0, *owners}, timeout)
    finally:
        os.close(found)


def _check_socket(path: Path, status: os.stat_result, owners: Collection[int]) -> None:
    if not stat.S_ISSOCK(status.st_mode):
        raise MountError(f"{path}: not a socket")
    if status.st_uid not in owners:
        raise MountError(f"{path}: belongs to another user ({status.st_uid})")


def _connect(
    path: Path, found: int, owners: Collection[int], timeout: float | None
) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(timeout)
        connection.connect(f"/proc/self/fd/{found}")
        peer = find_peer(connection)
        if peer.uid not in owners:
            raise MountError(f"{path}: process {peer.pid} of another user ({peer.uid}) listens")
    except BaseException:
        connection.close()
        raise
    return connection


class Bound:
    """A listening socket in a directory that only its owner can change."""

    def __init__(self, path: Path) -> None:
        """Listen, in place of a socket that was left behind. OSError; MountError."""
        self._name = path.name
        self._directory = open_directory(path.parent, {os.geteuid()})
        remove_file(os.fsencode(self._name), self._directory)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        before = os.umask(0o177)
        try:
            self.socket.bind(f"/proc/self/fd/{self._directory}/{self._name}")
        finally:
            os.umask(before)
        self.socket.listen(BACKLOG)
        self._status = self._look()

    def remove(self) -> None:
        """Remove the socket's name, unless a newer mount with the same number has it by now."""
        with suppress(FileNotFoundError):
            if os.path.samestat(self._look(), self._status):
                os.unlink(self._name, dir_fd=self._directory)

    def _look(self) -> os.stat_result:
        return os.stat(self._name, dir_fd=self._directory, follow_symlinks=False)


def remove_left_socket(path: Path, owner: int) -> None:
    """Remove the socket that a user's dead daemon left, if that is possible."""
    with suppress(OSError, MountError):
        directory = open_directory(path.parent, {owner})
        try:
            os.unlink(path.name, dir_fd=directory)
        finally:
            os.close(directory)
