"""Room that is kept for the day when the disk is full: a file that nobody reads.

To delete a row, LMDB writes new pages before it may use the old ones again. On a full disk it
could not do that. So the store keeps a little room in a file. The file is removed when a
transaction that frees room finds none (docs/decisions/0029-ballast.md), and made again when there
is plenty.
"""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path

from volfs.store.owner import give_to_owner

BALLAST = "ballast"
SIZE = 2 << 20
"""Measured: deleting, and putting aside in small parts, takes LMDB less than half of this."""
PLENTY = 32 << 20
"""Free bytes of the disk from which on the ballast is made again."""


class Ballast:
    """The file that keeps the room. Thread-safe, and for any number of processes. It never fails,
    because it is a reserve and no promise."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / BALLAST

    def spend(self) -> bool:
        """Give the room to the disk. False if it was given before."""
        try:
            self._path.unlink()
        except OSError:
            return False
        return True

    def restore(self) -> None:
        """Make the file again, if it is not there and the disk has plenty of room."""
        with suppress(OSError):
            if self._path.exists():
                return
            disk = os.statvfs(self._path.parent)
            if disk.f_bavail * disk.f_frsize >= PLENTY:
                self._make()

    def _make(self) -> None:
        fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            give_to_owner(fd, self._path.parent)
            # Random bytes, because a disk that compresses would keep no room for zeros.
            os.posix_fallocate(fd, 0, SIZE)
            os.pwrite(fd, secrets.token_bytes(SIZE), 0)
        except OSError:
            self.spend()
        finally:
            os.close(fd)
