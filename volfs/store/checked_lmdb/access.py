"""An environment that cannot be written from here: a copy of it in memory is read.

LMDB's readers say in a file that they read, so that no writer takes their pages. Where that
file cannot be written nothing protects them, for others may write: through another mount of
the same disk, as another user, or after the disk was mounted anew. So a copy is read, which
is made between two transactions, and shows the store as it was when it was opened.
"""

from __future__ import annotations

import os
from pathlib import Path

from volfs.errors import StoreUnavailableError
from volfs.store.anchor import anchored
from volfs.store.checked_lmdb.pages import DATA, LOCK, find_transactions

_TRIES = 50


def is_writable(directory: Path) -> bool:
    """Whether an environment can be written there, or made where there is none."""
    there = [path for path in (directory / DATA, directory / LOCK) if path.exists()]
    while not there:
        there = [directory] if directory.exists() else []
        directory = directory.parent
    return all(os.access(path, os.W_OK, effective_ids=True) for path in there)


def say_why(directory: Path) -> str:
    """Why it cannot be written."""
    if os.statvfs(directory).f_flag & os.ST_RDONLY:
        return "it is on a read-only file system"
    return "this user may not write to it"


class Copy:
    """A copy in memory. ``path`` is the file, for this process."""

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
        """StoreUnavailableError where others write all the time."""
        for _ in range(_TRIES):
            before = find_transactions(directory)
            self._copy(directory / DATA)
            # Pages of the state that was copied are written over by the transaction after the
            # next one at the earliest.
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
