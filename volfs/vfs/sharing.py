"""Close-to-open: what a network file system's mount does at opens and closes.

A program that opens or looks sees all that was published before. A program that closes a file that
it wrote returns once that is published. One commit runs at a time, and programs that close
meanwhile share the next (docs/decisions/0017).
"""

from __future__ import annotations

from collections import Counter

import trio

from volfs.errors import VolfsError
from volfs.vfs.committer import Committer
from volfs.vfs.files import Files
from volfs.vfs.inode import File
from volfs.vfs.namespace import Namespace
from volfs.vfs.overlay import SealedGeneration
from volfs.volume.commit import CommitNote

NOTE = CommitNote(auto=True)
SETTLE_EVERY = 64
"""Commits between two calls of ``settle``. Each commit leaves an arena and some needs in the
lease."""


class _Round:
    """One commit, for all callers that wait for it."""

    def __init__(self) -> None:
        self.is_over = False
        self.error: VolfsError | None = None


class Sharing:
    """Revalidation and group commits of one mount."""

    def __init__(self, committer: Committer, files: Files, names: Namespace) -> None:
        self._committer = committer
        self._files = files
        self._names = names
        self._turn = trio.Lock()
        self._next = _Round()
        self._closing: Counter[int] = Counter()
        """How many closes and syncs are publishing each file, whose content is published although
        it is open for writing."""
        self.commits = 0

    async def revalidate(self) -> None:
        """Show the version that was newest at the call."""
        committer = self._committer
        if await committer.find_head() != committer.state.view.head:
            await committer.follow()

    # --- publishing ------------------------------------------------------

    async def close(self, number: int) -> None:
        """Return once what was written through a handle is published. The errors of a commit."""
        if self._files.handle(number).writes:
            await self.sync(number)

    async def sync(self, number: int) -> None:
        """Return once what was written to a handle's file is published. The errors of a commit."""
        handle = self._files.handle(number)
        if handle.writes:
            await self._committer.bridge.settle(self._names.put_back, handle.file)
        await self.commit_file(handle.file)

    async def release(self, number: int) -> None:
        """Release a handle, then publish what was written through a mapping after the close."""
        handle = self._files.handle(number)
        is_last = handle.writes and self._files.count_writers(handle.file) == 1
        if is_last:
            await self._committer.bridge.settle(self._names.put_back, handle.file)
        self._files.release(number)
        if is_last:
            await self.commit_file(handle.file)

    async def commit_file(self, file: File) -> None:
        """As ``commit``, and publish the content of a file even if it is open for writing."""
        if not self._committer.state.overlay.has(file):
            return
        self._closing[file.ino] += 1
        try:
            await self.commit()
        finally:
            self._closing[file.ino] -= 1
            self._closing += Counter()  # Adding an empty Counter drops the zeros.

    async def commit(self) -> None:
        """Return once what was changed before the call is published. The errors of a commit.

        The content of files that are open for writing is left out: a close or fsync publishes it.
        """
        if self._committer.state.overlay.is_clean:
            return
        mine = self._next
        async with self._turn:
            if not mine.is_over:
                await self._run(mine)
        if mine.error is not None:
            raise mine.error

    async def _run(self, mine: _Round) -> None:
        try:
            await self._committer.commit_only(NOTE, self._seal)
        except VolfsError as error:
            mine.error = error
        mine.is_over = True
        if self._next is mine:
            self._next = _Round()
        self.commits += 1
        if self.commits % SETTLE_EVERY == 0:
            await self._committer.settle()

    def _seal(self) -> SealedGeneration | None:
        """Seal all changes except the content of files that are open for writing; None if there
        are none.

        Callers that come from now on share the next round.
        """
        self._next = _Round()
        overlay = self._committer.state.overlay
        withheld = self._files.list_written() - self._closing.keys()
        if not overlay.dirty.keys() - overlay.find_withheld(withheld).keys():
            return None
        return overlay.seal(withheld)
