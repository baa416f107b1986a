"""Open files, and the bytes that a handle reads. A handle reads one object, by its ETag, to its
end."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Protocol

from volfs.bucketfs.looking import Asker, Looking
from volfs.bucketfs.names import Facts
from volfs.bucketfs.nodes import FileNode
from volfs.bucketfs.state import BucketState
from volfs.buckets.objects import ObjectInfo
from volfs.errors import (
    NotPermittedError,
    ObjectChangedError,
    ObjectNotFoundError,
    StaleHandleError,
    StaleInodeError,
)
from volfs.model.names import join_path
from volfs.model.objects import Buffer
from volfs.model.text import show


class BucketObjectReader(Protocol):
    """An open object: ``volfs.buckets.cache.cached_bucket.CachedObject``."""

    def read_at(self, offset: int, length: int) -> Buffer: ...

    def read_ready(self, offset: int, length: int) -> Buffer | None: ...

    def close(self) -> None: ...


OpenObject = Callable[[ObjectInfo], BucketObjectReader]


class FileHandle:
    """One open file."""

    __slots__ = ("appends", "may_read", "may_write", "node")

    def __init__(self, node: FileNode, flags: int) -> None:
        access = flags & os.O_ACCMODE
        self.node = node
        self.may_read = access != os.O_WRONLY
        self.may_write = access != os.O_RDONLY
        self.appends = bool(flags & os.O_APPEND)


class Handles:
    """The open files of a mount, by the numbers that the kernel has for them."""

    def __init__(self, state: BucketState, looking: Looking, open_object: OpenObject) -> None:
        self.state = state
        self.looking = looking
        self.asker: Asker = looking.asker
        self.open_object = open_object
        self._handles: dict[int, FileHandle] = {}
        self._last = 0

    def __len__(self) -> int:
        return len(self._handles)

    def get(self, number: int) -> FileHandle:
        if number not in self._handles:
            raise StaleHandleError(f"handle {number}")
        return self._handles[number]

    def add(self, node: FileNode, flags: int) -> int:
        """Open a file. From now on the handle reads the object that the file is now."""
        handle = FileHandle(node, flags)
        if handle.may_write:
            self.state.check_writable()
            node.writers += 1
        node.opens += 1
        self.state.open_files += 1
        self._last += 1
        self._handles[self._last] = handle
        if handle.may_read and node.facts is not None:
            self.get_reader(node)
        return self._last

    def remove(self, number: int) -> FileNode:
        """Close a handle. The caller sees to what was written."""
        handle = self.get(number)
        del self._handles[number]
        node = handle.node
        node.opens -= 1
        node.writers -= handle.may_write
        self.state.open_files -= 1
        if not node.opens:
            close_reader(node)
        return node

    def get_reader(self, node: FileNode) -> BucketObjectReader:
        """The object of a file that is open, or that was written to."""
        if node.reader is None:
            facts = node.facts
            assert facts is not None, "the bucket has none of it"
            node.reader = self.open_object(to_info(node.key, facts))
        return node.reader

    def list_paths(self) -> list[bytes]:
        """The paths of the open files, each once."""
        return sorted({join_path(handle.node.path) for handle in self._handles.values()})

    # --- reading ---------------------------------------------------------

    async def read(self, number: int, offset: int, size: int) -> Buffer:
        """Read bytes. StaleInodeError if the object was replaced and these bytes are not
        cached."""
        handle = self.get(number)
        if not handle.may_read:
            raise NotPermittedError("opened for writing alone")
        return await self.read_node(handle.node, offset, size)

    async def read_node(self, node: FileNode, offset: int, size: int) -> Buffer:
        if node.facts is None:
            return b""
        return await self.read_object(node, offset, size)

    async def read_object(self, node: FileNode, offset: int, size: int) -> Buffer:
        """Read bytes of the object that the file is, or was before it was written to."""
        reader = self.get_reader(node)
        ready = reader.read_ready(offset, size)
        if ready is not None:
            return ready
        try:
            return await self.asker.run(reader.read_at, offset, size)
        except (ObjectChangedError, ObjectNotFoundError) as error:
            self._doubt(node)
            raise StaleInodeError(f"{show(node.name)}: {error}") from error

    def _doubt(self, node: FileNode) -> None:
        """Let the name be looked up again at its next use."""
        if node.parent is not None:
            node.parent.listing.doubt(node.name)


def to_info(key: str, facts: Facts) -> ObjectInfo:
    return ObjectInfo(key, facts.size, facts.mtime_ns, facts.etag)


def close_reader(node: FileNode) -> None:
    reader, node.reader = node.reader, None
    if reader is not None:
        reader.close()
