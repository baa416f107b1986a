"""An environment that this process cannot write: it reads a copy in memory.

LMDB's readers register in a file, so that no writer reuses the pages that they read. If that file
cannot be written, nothing protects a reader, because others may still write: through another mount
of the same disk, as another user, or after the disk was mounted anew. Therefore such a process
reads a copy, which is made between two transactions, and which shows the store as it was when it
was opened.
"""

from __future__ import annotations

import os
from pathlib import Path

from volfs.errors import StoreUnavailableError
from volfs.store.anchor import anchored
from volfs.store.checked_lmdb.pages import DATA, LOCK, find_transactions

_TRIES = 50


def is_writable(directory: Path) -> bool:
    """Whether an environment there can be written, or made if there is none."""
    there = [path for path in (directory / DATA, directory / LOCK) if path.exists()]
    while not there:
        there = [directory] if directory.exists() else []
        directory = directory.parent
    return all(os.access(path, os.W_OK, effective_ids=True) for path in there)


def say_why(directory: Path) -> str:
    """The reason why the environment cannot be written."""
    if os.statvfs(directory).f_flag & os.ST_RDONLY:
        return "it is on a read-only file system"
    return "this user may not write to it"


class Copy:
    """A copy of the environment's file in memory. ``path`` leads to it in this process."""

    def __init__(self, directory: Path) -> None:
        self._descriptor = os.memfd_create("volfs-index")
        self.path = anchored(self._descriptor)
        try:
            if (directory / DATA).exists():
                self._fill(directory)
        except BaseException:
            self.close()
            raise

    def _fill(self, directory: Path) -> None:
        """Copy the file. StoreUnavailableError if others write it all the time."""
        for _ in range(_TRIES):
            before = find_transactions(directory)
            self._copy(directory / DATA)
            # A transaction writes over pages of the copied state only if it is the next but one,
            # or a later one.
            if before == find_transactions(directory):
                return
        raise StoreUnavailableError(f"{directory}: others write it all the time; try again")

    def _copy(self, data: Path) -> None:
        with data.open("rb") as source:
            size = os.fstat(source.fileno()).st_size
            os.ftruncate(self._descriptor, 0)
            done = 0
            while done < size:
                copied = os.sendfile(self._descriptor, source.fileno(), done, size - done)
                if not copied:
                    break
                done += copied
        os.lseek(self._descriptor, 0, os.SEEK_SET)

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
