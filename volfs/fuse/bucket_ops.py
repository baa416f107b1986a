"""The operations of a bucket's mount, in pyfuse3's words. This module decides nothing;
``bucketfs`` does.

Extended attributes have no handlers: the kernel then answers that there are none, and does not ask
again. Locks have no handlers either: the kernel keeps them, within this mount.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import pyfuse3
from pyfuse3 import (
    EntryAttributes,
    FileHandleT,
    FileInfo,
    FileNameT,
    FlagT,
    InodeT,
    ModeT,
    ReaddirToken,
    RequestContext,
    SetattrFields,
    StatvfsData,
)

from volfs.bucketfs.attributes import BLOCK, Attributes, describe
from volfs.bucketfs.directories import FIRST
from volfs.bucketfs.mount import BucketFiles
from volfs.bucketfs.nodes import AnyNode
from volfs.errors import InvalidOperationError, NotPermittedError, VolfsError
from volfs.fuse.mountable import Mountable
from volfs.fuse.request_guard import guarded
from volfs.model.names import NAME_MAX, show_path

ROOM = 1 << 50
"""Bytes that a bucket appears to have, because it has no limit."""
_BY_HANDLE = frozenset(("read", "write", "flush", "fsync", "release"))
_BY_LISTING = frozenset(("readdir", "fsyncdir", "releasedir"))


class BucketOperations(Mountable):
    """The handlers of one bucket's mount."""

    # The fetcher reads ahead. More requests at once would only put more memory between the copy
    # that a reader gets and the processor's caches.
    read_ahead_kib = 1024
    supports_dot_lookup = True
    enable_writeback_cache = False
    enable_acl = False

    def __init__(self, files: BucketFiles) -> None:
        super().__init__()
        self.files = files
        self.state = files.state

    def describe(self, handler: str, subject: object) -> str:
        if not isinstance(subject, int):
            return repr(subject)
        if handler in _BY_HANDLE:
            return show_path(self.files.handles.get(subject).node.path)
        if handler in _BY_LISTING:
            return show_path(self.files.directories.handle(subject).node.path)
        node = self.state.nodes.find(subject)
        return show_path(node.path) if node else f"inode {subject}"

    def list_open(self) -> list[bytes]:
        return self.files.handles.list_paths()

    def is_busy(self) -> bool:
        return self.files.asker.is_busy

    # --- inodes ----------------------------------------------------------

    @guarded
    async def lookup(
        self, parent_inode: InodeT, name: FileNameT, ctx: RequestContext
    ) -> EntryAttributes:
        node, as_of = await self.files.lookup(parent_inode, name)
        if node is not None:
            return self._tell(node, as_of)
        attributes = EntryAttributes()
        # A number of 0 means that the name is absent. The kernel may keep that as well.
        attributes.st_ino = 0
        age = self.state.clock() - as_of
        attributes.entry_timeout = max(0.0, self.state.rules.metadata_ttl - age)
        return attributes

    @guarded
    async def getattr(self, inode: InodeT, ctx: RequestContext) -> EntryAttributes:
        node, as_of = await self.files.look_again(inode)
        return _to_entry(describe(self.state, node, as_of))

    async def forget(self, inode_list: Sequence[tuple[InodeT, int]]) -> None:
        for ino, lookups in inode_list:
            self.state.forget(ino, lookups)

    @guarded
    async def access(self, inode: InodeT, mode: ModeT, ctx: RequestContext) -> bool:
        return True  # The kernel checks access, because of ``default_permissions``.

    @guarded
    async def setattr(
        self,
        inode: InodeT,
        attr: EntryAttributes,
        fields: SetattrFields,
        fh: FileHandleT | None,
        ctx: RequestContext,
    ) -> EntryAttributes:
        node = await self.files.naming.set_attributes(
            inode,
            size=attr.st_size if fields.update_size else None,
            is_open=fh is not None,
            mode=attr.st_mode if fields.update_mode else None,
            uid=attr.st_uid if fields.update_uid else None,
            gid=attr.st_gid if fields.update_gid else None,
            mtime_ns=attr.st_mtime_ns if fields.update_mtime else None,
            atime_ns=attr.st_atime_ns if fields.update_atime else None,
        )
        return _to_entry(describe(self.state, node))

    # --- names -----------------------------------------------------------

    @guarded
    async def mkdir(
        self, parent_inode: InodeT, name: FileNameT, mode: ModeT, ctx: RequestContext
    ) -> EntryAttributes:
        return self._tell(await self.files.naming.make_directory(parent_inode, name))

    @guarded
    async def mknod(
        self, parent_inode: InodeT, name: FileNameT, mode: ModeT, rdev: int, ctx: RequestContext
    ) -> EntryAttributes:
        raise NotPermittedError("a bucket has files and directories alone")

    @guarded
    async def symlink(
        self, parent_inode: InodeT, name: FileNameT, target: FileNameT, ctx: RequestContext
    ) -> EntryAttributes:
        raise NotPermittedError("a bucket has no links")

    @guarded
    async def link(
        self, inode: InodeT, new_parent_inode: InodeT, new_name: FileNameT, ctx: RequestContext
    ) -> EntryAttributes:
        raise NotPermittedError("a bucket has no links")

    @guarded
    async def unlink(self, parent_inode: InodeT, name: FileNameT, ctx: RequestContext) -> None:
        await self.files.naming.unlink(parent_inode, name)

    @guarded
    async def rmdir(self, parent_inode: InodeT, name: FileNameT, ctx: RequestContext) -> None:
        await self.files.naming.remove_directory(parent_inode, name)

    @guarded
    async def rename(
        self,
        parent_inode_old: InodeT,
        name_old: FileNameT,
        parent_inode_new: InodeT,
        name_new: FileNameT,
        flags: FlagT,
        ctx: RequestContext,
    ) -> None:
        if flags & ~pyfuse3.RENAME_NOREPLACE:
            raise InvalidOperationError(f"rename flags {flags:#x}")
        names = (parent_inode_old, name_old, parent_inode_new, name_new)
        replaces = not flags & pyfuse3.RENAME_NOREPLACE
        await self.files.renaming.rename(*names, replaces=replaces)

    # --- files -----------------------------------------------------------

    @guarded
    async def open(self, inode: InodeT, flags: FlagT, ctx: RequestContext) -> FileInfo:
        number, keep = await self.files.open(inode, flags)
        return FileInfo(fh=FileHandleT(number), keep_cache=keep)

    @guarded
    async def create(
        self, parent_inode: InodeT, name: FileNameT, mode: ModeT, flags: FlagT, ctx: RequestContext
    ) -> tuple[FileInfo, EntryAttributes]:
        number, keep, node = await self.files.create(parent_inode, name, flags)
        return FileInfo(fh=FileHandleT(number), keep_cache=keep), self._tell(node)

    @guarded
    async def read(self, fh: FileHandleT, off: int, size: int) -> bytes:
        # pyfuse3 takes any buffer.
        return cast(bytes, await self.files.writing.read(fh, off, size))

    @guarded
    async def write(self, fh: FileHandleT, off: int, buf: bytes) -> int:
        return self.files.writing.write(fh, off, buf)

    @guarded
    async def flush(self, fh: FileHandleT) -> None:
        await self.files.flush(fh)

    @guarded
    async def fsync(self, fh: FileHandleT, datasync: bool) -> None:
        await self.files.flush(fh, always=True)

    @guarded
    async def release(self, fh: FileHandleT) -> None:
        await self.files.release(fh)

    # --- directories -----------------------------------------------------

    @guarded
    async def opendir(self, inode: InodeT, ctx: RequestContext) -> FileHandleT:
        return FileHandleT(self.files.directories.open(inode))

    @guarded
    async def readdir(self, fh: FileHandleT, start_id: int, token: ReaddirToken) -> None:
        at = start_id
        try:
            while at < FIRST:
                if not self._reply_dots(fh, at, token):
                    return
                at += 1
            while await self._reply_window(fh, at, token):
                at = self.files.directories.get_after(fh)
        except VolfsError:
            if at == start_id:
                raise
            # The kernel must get the names before this one. The next request meets the error
            # again.

    async def _reply_window(self, fh: int, at: int, token: ReaddirToken) -> bool:
        """Add the entries of one page, from ``at`` on. False if the reply is full or the listing
        has ended.

        The kernel begins a listing anew by asking for its first entry.
        """
        directories = self.files.directories
        window = await directories.get_window(fh, at)
        if window is None:
            return False
        directory = directories.handle(fh).node
        attributes = EntryAttributes()
        _fill_same(attributes, self.state.rules.uid, self.state.rules.gid)
        for number, listed in enumerate(window.entries[at - window.first :], at + 1):
            node = directories.bind(directory, listed)
            if node is None:
                continue
            _fill(attributes, describe(self.state, node, listed.as_of))
            if not pyfuse3.readdir_reply(token, FileNameT(listed.name), attributes, number):
                self.state.nodes.drop_if_idle(node)
                return False
            self.state.remember(node)
        return True

    def _reply_dots(self, fh: int, at: int, token: ReaddirToken) -> bool:
        """Add the directory itself, or the one above. These are not lookups. False if the reply is
        full."""
        if at == 0:
            self.files.directories.rewind(fh)
        node = self.files.directories.handle(fh).node
        shown = node if at == 0 else node.parent or node
        attributes = _to_entry(describe(self.state, shown))
        return pyfuse3.readdir_reply(token, FileNameT(b"." * (at + 1)), attributes, at + 1)

    @guarded
    async def releasedir(self, fh: FileHandleT) -> None:
        self.files.directories.release(fh)

    @guarded
    async def fsyncdir(self, fh: FileHandleT, datasync: bool) -> None:
        """Do nothing: names are in the bucket when the call that made them returns."""

    @guarded
    async def statfs(self, ctx: RequestContext) -> StatvfsData:
        data = StatvfsData()
        data.f_bsize = data.f_frsize = BLOCK
        data.f_blocks = data.f_bfree = data.f_bavail = ROOM // BLOCK
        data.f_files = data.f_ffree = data.f_favail = 1 << 40
        data.f_namemax = NAME_MAX
        return data

    # --- answers ---------------------------------------------------------

    def _tell(self, node: AnyNode, as_of: float | None = None) -> EntryAttributes:
        self.state.remember(node)
        return _to_entry(describe(self.state, node, as_of))


def _to_entry(said: Attributes) -> EntryAttributes:
    attributes = EntryAttributes()
    _fill_same(attributes, said.uid, said.gid)
    _fill(attributes, said)
    return attributes


def _fill_same(attributes: EntryAttributes, uid: int, gid: int) -> None:
    """Fill in what is the same for all inodes."""
    attributes.generation = 0
    attributes.st_uid, attributes.st_gid = uid, gid
    attributes.st_blksize = BLOCK
    attributes.st_nlink = 1
    attributes.st_rdev = 0


def _fill(attributes: EntryAttributes, said: Attributes) -> None:
    ino, mode, _, _, size, mtime_ns, atime_ns, kept = said
    attributes.st_ino, attributes.st_mode = ino, mode
    attributes.entry_timeout = attributes.attr_timeout = kept
    attributes.st_mtime_ns = attributes.st_ctime_ns = mtime_ns
    attributes.st_atime_ns = atime_ns
    attributes.st_size, attributes.st_blocks = size, -(-size // 512)
