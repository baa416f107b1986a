"""Writing: bytes are staged, and uploaded when a file is closed or synced.

A file that is being uploaded may be written meanwhile: what the upload takes is what was there
when it began or later, and what came later is uploaded by the next close.
"""

from __future__ import annotations

import logging
from contextlib import suppress

import trio

from volfs.bucketfs.files import Buffer, FileHandle, Handles, close_reader
from volfs.bucketfs.names import Facts
from volfs.bucketfs.nodes import DirectoryNode, FileNode
from volfs.bucketfs.staged import Staged
from volfs.bucketfs.staging import Staging
from volfs.bucketfs.state import BucketState
from volfs.bucketfs.turns import Turns
from volfs.bucketfs.uploads import UploadSource, make_source, upload
from volfs.buckets.access import Bucket
from volfs.errors import NotPermittedError, VolfsError
from volfs.model.text import describe_error

log = logging.getLogger(__name__)

LIGHT = 1 << 20
HEAVY_AT_ONCE = 8
"""Uploads of more than ``LIGHT`` bytes: each has some parts in memory."""


class Writing:
    """What is written in one mount."""

    def __init__(
        self, state: BucketState, bucket: Bucket, handles: Handles, staging: Staging, turns: Turns
    ) -> None:
        self.state = state
        self.bucket = bucket
        self.handles = handles
        self.staging = staging
        self.turns = turns
        self._heavy = trio.CapacityLimiter(HEAVY_AT_ONCE)

    def stage(self, node: FileNode) -> Staged:
        """Where the bytes of a file go that is about to change."""
        self.state.check_writable()
        if node.staged is None:
            node.staged = self.staging.create(node.key, node.facts)
            self.state.written.add(node)
        return node.staged

    # --- reading ---------------------------------------------------------

    async def read(self, number: int, offset: int, size: int) -> Buffer:
        """Bytes of a file as it is here. StaleInodeError where they were the object's."""
        handle = self.handles.get(number)
        node, staged = handle.node, handle.node.staged
        if staged is None:
            return await self.handles.read(number, offset, size)
        if not handle.may_read:
            raise NotPermittedError("opened for writing alone")
        found = bytearray()
        for piece in staged.find_pieces(offset, offset + size):
            if not piece.is_local:
                length = piece.end - piece.start
                found += await self.handles.read_object(node, piece.start, length)
            else:
                ready = staged.read_ready(piece.start, piece.end)
                if ready is None:
                    ready = await self.handles.asker.run(staged.read, piece.start, piece.end)
                found += ready
        return found

    # --- writing ---------------------------------------------------------

    def write(self, number: int, offset: int, data: bytes) -> int:
        """OutOfSpaceError where the local disk is full."""
        handle = self.handles.get(number)
        if not handle.may_write:
            raise NotPermittedError("opened for reading alone")
        node = handle.node
        staged = self.stage(node)
        done = staged.write(staged.size if handle.appends else offset, data)
        node.mtime_ns = self.state.now_ns()
        return done

    def truncate(self, node: FileNode, size: int) -> None:
        """A file of this size, which is staged even if it has that size already."""
        staged = self.stage(node)
        staged.truncate(size)
        node.mtime_ns = self.state.now_ns()

    # --- uploading -------------------------------------------------------

    async def flush(self, handle: FileHandle, *, always: bool = False) -> None:
        """Return when what was written is in the bucket; raise what keeps it from there.

        The close of who only reads is no reason to upload what others write.
        """
        if handle.may_write or always:
            await self.save(handle.node)

    async def save(self, node: FileNode) -> None:
        """The same of a file, open or not."""
        while node.staged is not None and node.staged.is_dirty and node.parent is not None:
            async with self.turns.alone(node):
                if node.staged is not None and node.staged.is_dirty and node.parent is not None:
                    await self.upload(node, node.key)
                    return

    async def upload(self, node: FileNode, key: str, *, is_checked: bool = True) -> None:
        """Upload what is staged. The caller has the file's turn.

        With ``is_checked``, the log says so if what it replaces is not what was there before.
        """
        staged, parent, name = node.staged, node.parent, node.name
        assert staged is not None
        assert parent is not None
        stamp, source = staged.stamp, self._make_source(node, staged)
        try:
            facts = await self._send(key, source, is_checked)
        except VolfsError as error:
            staged.failed = stamp
            log.error("%s: not uploaded: %s", key, describe_error(error))
            raise
        staged.settle(facts, stamp)
        close_reader(node)
        node.facts, node.shown = facts, facts.etag  # the kernel has what was written
        if node.parent is parent and node.name == name and key == node.key:
            parent.pending.discard(name)
            self.state.note(parent, name, facts)

    def _make_source(self, node: FileNode, staged: Staged) -> UploadSource:
        if all(piece.is_local for piece in staged.find_pieces(0, staged.size)):
            return make_source(staged, None)
        return make_source(staged, self.handles.get_reader(node).read_at)

    async def _send(self, key: str, source: UploadSource, is_checked: bool) -> Facts:
        run = self.handles.asker.run
        if source.size <= LIGHT:
            return await run(upload, self.bucket, key, source, is_checked)
        async with self._heavy:
            return await run(upload, self.bucket, key, source, is_checked)

    # --- the end of a file -----------------------------------------------

    async def release(self, number: int) -> None:
        """The last of a handle. What its closes could not upload is left; raises nothing."""
        await self.end(self.handles.remove(number))

    async def end(self, node: FileNode) -> None:
        """If nobody has it open: upload what came after the last close, through a mapping say,
        and drop the bytes."""
        if not node.opens and node.staged is not None:
            await self._end(node, node.staged)
        self.state.nodes.drop_if_idle(node)

    async def _end(self, node: FileNode, staged: Staged) -> None:
        if staged.is_dirty and staged.failed != staged.stamp:
            with suppress(VolfsError):  # it is logged, and left
                await self.save(node)
        if node.opens or node.staged is not staged:
            return  # somebody has opened it meanwhile
        node.staged = None
        self.state.written.discard(node)
        close_reader(node)
        if staged.is_dirty and node.parent is not None:
            self._leave(node, staged)
        else:
            staged.remove()

    def _leave(self, node: FileNode, staged: Staged) -> None:
        """The name has again what the bucket has; the bytes are kept under another."""
        try:
            self.staging.leave(staged)
            kept = f"volfs overlays commit {self.staging.left_name}"
            log.error("%s: what was written is kept: `%s` uploads it", node.key, kept)
        except VolfsError as error:
            log.error("%s: what was written stays in %s: %s", node.key, staged.stem, error)
            staged.close()
        node.mtime_ns = None
        if node.facts is None and isinstance(node.parent, DirectoryNode):
            node.parent.pending.discard(node.name)
            self.state.nodes.detach(node)
