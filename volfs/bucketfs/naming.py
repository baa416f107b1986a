"""Changes of names. Each is one request to the bucket or a few, and is done when it returns.

An operation looks, asks the bucket, and then notes the new state without an ``await``. Meanwhile
the kernel lets nobody else change the same names.
"""

from __future__ import annotations

from contextlib import suppress

from volfs.bucketfs.attributes import get_mode
from volfs.bucketfs.looking import Looking
from volfs.bucketfs.names import DIRECTORY, check_key, to_facts, to_part
from volfs.bucketfs.nodes import AnyNode, DirectoryNode, FileNode
from volfs.bucketfs.state import BucketState
from volfs.bucketfs.turns import Turns
from volfs.bucketfs.writing import Writing
from volfs.buckets.access import Bucket
from volfs.buckets.objects import ObjectInfo
from volfs.errors import (
    DirectoryNotEmptyError,
    EntryExistsError,
    InvalidOperationError,
    IsADirectoryInVolumeError,
    NoEntryError,
    NotADirectoryInVolumeError,
    NotPermittedError,
    ObjectExistsError,
)
from volfs.model.text import show


class FileNaming:
    """Making and removing names, and changing attributes of inodes."""

    def __init__(
        self, state: BucketState, bucket: Bucket, looking: Looking, writing: Writing, turns: Turns
    ) -> None:
        self.state = state
        self.bucket = bucket
        self.looking = looking
        self.writing = writing
        self.turns = turns
        self.run = looking.asker.run

    async def find(self, directory: DirectoryNode, name: bytes) -> AnyNode | None:
        """The inode of a name that the bucket has, or that somebody here is about to make."""
        own = directory.children.get(name)
        if isinstance(own, FileNode) and own.is_ours:
            return own
        known = await self.looking.find(directory, name)
        return self.state.bind(directory, name, known.facts)

    async def get(self, directory: DirectoryNode, name: bytes) -> AnyNode:
        node = await self.find(directory, name)
        if node is None:
            raise NoEntryError(show(name))
        return node

    # --- making ----------------------------------------------------------

    async def create(self, parent: int, name: bytes, *, exclusive: bool) -> FileNode:
        """Create a file. With ``exclusive`` the name must be new, here and in the bucket.

        Without it, others see the file when it is closed. EntryExistsError,
        IsADirectoryInVolumeError.
        """
        directory, key = self._check_new(parent, name)
        found = await self.find(directory, name)
        if found is not None and exclusive:
            raise EntryExistsError(show(name))
        if isinstance(found, DirectoryNode):
            raise IsADirectoryInVolumeError(show(name))
        if found is not None:
            return found
        if exclusive:
            return await self._create_now(directory, name, key)
        node = self.state.nodes.add(directory, name, None)
        assert isinstance(node, FileNode)
        try:
            self.writing.stage(node).touch()
        except BaseException:
            self.state.nodes.detach(node)
            raise
        directory.pending.add(name)
        node.mtime_ns = directory.mtime_ns = self.state.now_ns()
        return node

    async def _create_now(self, directory: DirectoryNode, name: bytes, key: str) -> FileNode:
        facts = to_facts(await self._put_new(directory, name, key))
        self.state.note(directory, name, facts)
        node = self.state.bind(directory, name, facts)
        assert isinstance(node, FileNode)
        return node

    async def make_directory(self, parent: int, name: bytes) -> DirectoryNode:
        """Make a directory by its marker. EntryExistsError, also if somebody else makes it at this
        moment."""
        directory, key = self._check_new(parent, name)
        if await self.find(directory, name) is not None:
            raise EntryExistsError(show(name))
        await self._put_new(directory, name, check_key(f"{key}/"))
        self.state.note(directory, name, DIRECTORY)
        node = self.state.bind(directory, name, DIRECTORY)
        assert isinstance(node, DirectoryNode)
        return node

    async def _put_new(self, directory: DirectoryNode, name: bytes, key: str) -> ObjectInfo:
        try:
            return await self.run(lambda: self.bucket.put(key, b"", create=True))
        except ObjectExistsError:
            directory.listing.doubt(name)
            raise EntryExistsError(show(name)) from None

    def _check_new(self, parent: int, name: bytes) -> tuple[DirectoryNode, str]:
        self.state.check_writable()
        directory = self.state.get_directory(parent)
        return directory, self.make_key(directory, name)

    def make_key(self, directory: DirectoryNode, name: bytes) -> str:
        """The key of a new name. InvalidOperationError, NameTooLongError if the service can have
        no such key."""
        key = check_key(directory.key + to_part(name))
        flaw = self.bucket.find_flaw(key)
        if flaw:
            raise InvalidOperationError(f"{show(name)}: {flaw}")
        return key

    # --- removing --------------------------------------------------------

    async def unlink(self, parent: int, name: bytes) -> None:
        """Remove a file. Handles keep it as far as its object is cached."""
        self.state.check_writable()
        directory = self.state.get_directory(parent)
        node = await self.get(directory, name)
        if not isinstance(node, FileNode):
            raise IsADirectoryInVolumeError(show(name))
        async with self.turns.alone(node):
            await self.remove_object(directory, name, node)
            self.state.nodes.detach(node)

    async def remove_object(self, directory: DirectoryNode, name: bytes, node: FileNode) -> None:
        """Remove a file's object from the bucket, and keep its directory."""
        if node.facts is not None:
            await self.keep_directory(directory, name)
            await self.run(self.bucket.delete, directory.key + name.decode())
        directory.pending.discard(name)
        self.state.note(directory, name, None)

    async def keep_directory(self, directory: DirectoryNode, name: bytes) -> None:
        """Keep a directory alive by a marker before its last name may go."""
        if directory.parent is not None and not directory.listing.has_besides(name):
            await self.run(_keep_directory, self.bucket, directory.key, name.decode())

    async def remove_directory(self, parent: int, name: bytes) -> None:
        """Remove a directory. DirectoryNotEmptyError, also if the bucket has keys in it that are
        no paths."""
        self.state.check_writable()
        directory = self.state.get_directory(parent)
        node = await self.get(directory, name)
        if not isinstance(node, DirectoryNode):
            raise NotADirectoryInVolumeError(show(name))
        async with self.turns.alone(node):
            if node.pending or not await self.looking.is_empty(node):
                raise DirectoryNotEmptyError(show(name))
            await self.keep_directory(directory, name)
            await self.run(self.bucket.delete, node.key)
            self.state.note(directory, name, None)
            self.state.nodes.detach(node)

    # --- attributes ------------------------------------------------------

    async def set_attributes(
        self,
        ino: int,
        *,
        size: int | None = None,
        is_open: bool = False,
        mode: int | None = None,
        uid: int | None = None,
        gid: int | None = None,
        mtime_ns: int | None = None,
        atime_ns: int | None = None,
    ) -> AnyNode:
        """Set attributes. NotPermittedError for another owner or mode, which are the same for all
        files.

        A new size is in the bucket when this returns, unless somebody has the file open for
        writing.
        """
        self.state.check_writable()
        node, rules = self.state.get(ino), self.state.rules
        own = get_mode(self.state, is_directory=isinstance(node, DirectoryNode))
        if mode is not None and (mode ^ own) & 0o7777:
            raise NotPermittedError("a bucket keeps no modes")
        if uid not in (None, rules.uid) or gid not in (None, rules.gid):
            raise NotPermittedError("a bucket keeps no owners")
        if size is not None:
            await self._set_size(self.state.get_file(ino), size, is_open=is_open)
        if mtime_ns is not None:
            node.mtime_ns = mtime_ns
        if atime_ns is not None:
            node.atime_ns = atime_ns
        return node

    async def _set_size(self, node: FileNode, size: int, *, is_open: bool) -> None:
        if size == node.size:
            return
        self.writing.truncate(node, size)
        if not is_open:
            node.opens += 1  # The file keeps this time until it is uploaded.
            try:
                await self.writing.save(node)
            finally:
                node.opens -= 1
                await self.writing.end(node)


def _keep_directory(bucket: Bucket, prefix: str, name: str) -> None:
    """Make a directory's marker, unless the directory has it or another name."""
    page = bucket.list_page(prefix, limit=3)
    found = {*page.prefixes, *(info.key for info in page.objects)}
    if page.next is None and not found - {prefix + name, f"{prefix}{name}/"}:
        with suppress(ObjectExistsError):
            bucket.put(prefix, b"", create=True)
