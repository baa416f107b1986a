"""Everything that the kernel can ask of a bucket's mount, over one state."""

from __future__ import annotations

import os
from contextlib import suppress

import trio

from volfs.bucketfs.directories import Directories
from volfs.bucketfs.files import Handles, OpenObject
from volfs.bucketfs.looking import Asker, Looking
from volfs.bucketfs.naming import FileNaming
from volfs.bucketfs.nodes import AnyNode, FileNode
from volfs.bucketfs.renaming import Renaming
from volfs.bucketfs.staging import Staging
from volfs.bucketfs.state import BucketState
from volfs.bucketfs.turns import Turns
from volfs.bucketfs.writing import Writing
from volfs.buckets.access import Bucket
from volfs.errors import StaleInodeError, VolfsError
from volfs.model.text import show


class BucketFiles:
    """One mount's operations. Each may raise the errors of ``fuse/errno_map.py``."""

    def __init__(
        self, state: BucketState, bucket: Bucket, open_object: OpenObject, staging: Staging
    ) -> None:
        self.state = state
        self.bucket = bucket
        self.asker = Asker()
        self.looking = Looking(state, bucket, self.asker)
        self.directories = Directories(state, self.looking)
        self.handles = Handles(state, self.looking, open_object)
        self.staging = staging
        turns = Turns()
        self.writing = Writing(state, bucket, self.handles, staging, turns)
        self.naming = FileNaming(state, bucket, self.looking, self.writing, turns)
        self.renaming = Renaming(self.naming)

    # --- inodes ----------------------------------------------------------

    async def lookup(self, parent: int, name: bytes) -> tuple[AnyNode | None, float]:
        """The inode of a name, or None, and the time since which that is believed."""
        directory = self.state.get_directory(parent)
        if name in (b".", b".."):
            up = directory if name == b"." else directory.parent or directory
            return up, self.state.clock()
        own = directory.children.get(name)
        if isinstance(own, FileNode) and own.is_ours:
            return own, self.state.clock()
        known = await self.looking.find(directory, name)
        return self.state.bind(directory, name, known.facts), known.as_of

    async def look_again(self, ino: int) -> tuple[AnyNode, float | None]:
        """An inode as it is now. StaleInodeError if its name is gone or belongs to another inode.

        An open file stays the one that was opened.
        """
        node = self.state.get(ino)
        if not isinstance(node, FileNode) or node.opens or node.is_ours or node.parent is None:
            return node, None
        found, as_of = await self.lookup(node.parent.ino, node.name)
        if found is not node:
            raise StaleInodeError(f"{show(node.name)}: another file has its name by now")
        return node, as_of

    # --- files -----------------------------------------------------------

    async def open(self, ino: int, flags: int) -> tuple[int, bool]:
        """Open a file: a new handle, and whether the kernel may keep the pages that it has of the
        file."""
        node = self.state.get_file(ino)
        if flags & os.O_ACCMODE != os.O_RDONLY or flags & os.O_TRUNC:
            self.state.check_writable()
        if flags & os.O_TRUNC:
            self.writing.truncate(node, 0)
        return self._add_handle(node, flags)

    async def create(self, parent: int, name: bytes, flags: int) -> tuple[int, bool, FileNode]:
        """Create a file: its inode, and a handle."""
        exclusive = bool(flags & os.O_EXCL)
        node = await self.naming.create(parent, name, exclusive=exclusive)
        if flags & os.O_TRUNC and node.size:
            self.writing.truncate(node, 0)
        return *self._add_handle(node, flags), node

    def _add_handle(self, node: FileNode, flags: int) -> tuple[int, bool]:
        number = self.handles.add(node, flags)
        etag = node.facts.etag if node.facts is not None else ""
        keep, node.shown = bool(etag) and node.shown == etag, etag
        return number, keep

    async def flush(self, number: int, *, always: bool = False) -> None:
        """Return when what was written is in the bucket."""
        await self.writing.flush(self.handles.get(number), always=always)

    async def release(self, number: int) -> None:
        await self.writing.release(number)

    # --- what is on its way ----------------------------------------------

    def list_dirty(self) -> list[FileNode]:
        """The files with bytes that the bucket does not have."""
        return [node for node in self.state.written if node.staged and node.staged.is_dirty]

    @property
    def dirty_bytes(self) -> int:
        return sum(node.size for node in self.list_dirty())

    async def upload_all(self) -> None:
        """Upload what is written and not closed. Failures are logged."""
        async with trio.open_nursery() as nursery:
            for node in self.list_dirty():
                nursery.start_soon(self._upload_quietly, node)

    async def _upload_quietly(self, node: FileNode) -> None:
        with suppress(VolfsError):
            await self.writing.save(node)

    def end(self, *, discards: bool) -> bool:
        """End the mount. Whether something stays that is not uploaded."""
        for node in list(self.state.written):
            staged = node.staged
            if staged is not None and (discards or not staged.is_dirty or node.parent is None):
                staged.remove()
        return self.staging.finish()
