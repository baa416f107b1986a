"""Writing: bytes are staged, and uploaded when a file is closed or synced.

A file may be written while it is uploaded. The upload has at least the bytes that were there when
it began. Later bytes are uploaded by the next close.
"""

from __future__ import annotations

import logging
from contextlib import suppress

import trio

from volfs.bucketfs.files import FileHandle, Handles, close_reader
from volfs.bucketfs.names import Facts
from volfs.bucketfs.nodes import DirectoryNode, FileNode
from volfs.bucketfs.small_uploads import upload_small
from volfs.bucketfs.staged import Staged
from volfs.bucketfs.staging import Staging
from volfs.bucketfs.state import BucketState
from volfs.bucketfs.turns import Turns
from volfs.bucketfs.uploads import IfReplaced, UploadSource, make_source, upload
from volfs.buckets.access import Bucket
from volfs.errors import NotPermittedError, VolfsError
from volfs.model.objects import Buffer
from volfs.model.text import describe_error

log = logging.getLogger(__name__)

LIGHT = 1 << 20
HEAVY_AT_ONCE = 8
"""How many uploads of more than ``LIGHT`` bytes run at once, because each has some parts in
memory."""


class Writing:
    """Everything that is written in one mount."""

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
        """The staged file for a file that is about to change."""
        self.state.check_writable()
        if node.staged is None:
            node.staged = self.staging.create(node.key, node.facts)
            self.state.written.add(node)
        return node.staged

    # --- reading ---------------------------------------------------------

    async def read(self, number: int, offset: int, size: int) -> Buffer:
        """The bytes of a file as it is here. StaleInodeError if its object was replaced."""
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
        """Write bytes. OutOfSpaceError if the local disk is full."""
        handle = self.handles.get(number)
        if not handle.may_write:
            raise NotPermittedError("opened for reading alone")
        node = handle.node
        staged = self.stage(node)
        done = staged.write(staged.size if handle.appends else offset, data)
        node.mtime_ns = self.state.now_ns()
        return done

    def truncate(self, node: FileNode, size: int) -> None:
        """Set the size of a file. It is staged even if it has that size already."""
        staged = self.stage(node)
        staged.truncate(size)
        node.mtime_ns = self.state.now_ns()

    # --- uploading -------------------------------------------------------

    async def flush(self, handle: FileHandle, *, always: bool = False) -> None:
        """Return when what was written is in the bucket, or raise what prevents it.

        A handle that only reads uploads nothing when it is closed.
        """
        if handle.may_write or always:
            await self.save(handle.node)

    async def save(self, node: FileNode) -> None:
        """As ``flush``, for a file that is open or not."""
        while node.staged is not None and node.staged.is_dirty and node.parent is not None:
            async with self.turns.alone(node):
                if node.staged is not None and node.staged.is_dirty and node.parent is not None:
                    await self.upload(node, node.key)
                    return

    async def upload(
        self, node: FileNode, key: str, if_replaced: IfReplaced = IfReplaced.LOG
    ) -> None:
        """Upload what is staged. The caller has the file's turn."""
        staged, parent, name = node.staged, node.parent, node.name
        assert staged is not None
        assert parent is not None
        stamp, source = staged.stamp, self._make_source(node, staged)
        try:
            facts = await self._send(key, source, if_replaced)
        except VolfsError as error:
            staged.failed = stamp
            log.error("%s: not uploaded: %s", key, describe_error(error))
            raise
        staged.settle(facts, stamp)
        close_reader(node)
        node.facts, node.shown = facts, facts.etag  # The kernel has the pages that were written.
        if node.parent is parent and node.name == name and key == node.key:
            parent.pending.discard(name)
            self.state.note(parent, name, facts)

    def _make_source(self, node: FileNode, staged: Staged) -> UploadSource:
        if all(piece.is_local for piece in staged.find_pieces(0, staged.size)):
            return make_source(staged, None)
        return make_source(staged, self.handles.get_reader(node).read_at)

    async def _send(self, key: str, source: UploadSource, if_replaced: IfReplaced) -> Facts:
        asker = self.handles.asker
        if source.size <= LIGHT:
            return await upload_small(asker, self.bucket, key, source, if_replaced)
        async with self._heavy:
            return await asker.run(upload, self.bucket, key, source, if_replaced)

    # --- the end of a file -----------------------------------------------

    async def release(self, number: int) -> None:
        """End with the last handle. What its closes could not upload is left. Raises nothing."""
        await self.end(self.handles.remove(number))

    async def end(self, node: FileNode) -> None:
        """If nobody has the file open, upload what came after the last close, through a mapping
        for example, and drop the bytes."""
        if not node.opens and node.staged is not None:
            await self._end(node, node.staged)
        self.state.nodes.drop_if_idle(node)

    async def _end(self, node: FileNode, staged: Staged) -> None:
        if staged.is_dirty and staged.failed != staged.stamp:
            with suppress(VolfsError):  # The failure is logged, and the bytes are left.
                await self.save(node)
        if node.opens or node.staged is not staged:
            return  # Somebody has opened the file meanwhile.
        node.staged = None
        self.state.written.discard(node)
        close_reader(node)
        if staged.is_dirty and node.parent is not None:
            self._leave(node, staged)
        else:
            self.staging.remove(staged)

    def _leave(self, node: FileNode, staged: Staged) -> None:
        """Give the name back to the bucket's object, and keep the bytes under another name."""
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
