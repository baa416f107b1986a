"""The operations of a network file system's mount, which looks before it answers and publishes
what it did."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from pyfuse3 import (
    EntryAttributes,
    FileHandleT,
    FileNameT,
    FlagT,
    InodeT,
    ReaddirToken,
    RequestContext,
    SetattrFields,
)

from volfs.fuse.ops import Operations
from volfs.fuse.request_guard import guarded
from volfs.vfs.committer import Committer
from volfs.vfs.inode import ROOT_INO, File
from volfs.vfs.sharing import Sharing

Handler = Callable[..., Coroutine[Any, Any, Any]]


def _looking(handler: Handler) -> Any:
    """Make a handler that answers with what was published before the request."""

    async def look(operations: NetworkOperations, *arguments: Any, **options: Any) -> Any:
        await operations.sharing.revalidate()
        return await handler(operations, *arguments, **options)

    look.__name__ = handler.__name__
    return guarded(look)


def _committing(handler: Handler) -> Any:
    """Make a handler that answers once its change is published."""

    async def commit(operations: NetworkOperations, *arguments: Any, **options: Any) -> Any:
        result = await handler(operations, *arguments, **options)
        await operations.sharing.commit()
        return result

    commit.__name__ = handler.__name__
    return guarded(commit)


class NetworkOperations(Operations):
    """The handlers of a network file system's mount. The kernel keeps no names and no
    attributes."""

    kept = 0.0

    def __init__(self, committer: Committer, sync_root: Callable[[], Awaitable[None]]) -> None:
        super().__init__(
            committer.state,
            committer.bridge,
            committer,
            sync_root,
            committer.store.care.find_space,
        )
        self.sharing = Sharing(committer, self.files, self.names)

    lookup = _looking(Operations.lookup)
    getattr = _looking(Operations.getattr)
    open = _looking(Operations.open)
    opendir = _looking(Operations.opendir)

    mknod = _committing(Operations.mknod)
    mkdir = _committing(Operations.mkdir)
    symlink = _committing(Operations.symlink)
    unlink = _committing(Operations.unlink)
    rmdir = _committing(Operations.rmdir)
    setxattr = _committing(Operations.setxattr)
    removexattr = _committing(Operations.removexattr)

    @guarded
    async def readdir(self, fh: FileHandleT, start_id: int, token: ReaddirToken) -> None:
        if start_id == 0:
            await self.sharing.revalidate()
        await super().readdir(fh, start_id, token)

    @guarded
    async def link(
        self, inode: InodeT, new_parent_inode: InodeT, new_name: FileNameT, ctx: RequestContext
    ) -> EntryAttributes:
        attributes = await super().link(inode, new_parent_inode, new_name, ctx)
        await self._commit_with(inode)
        return attributes

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
        moved = await self.bridge.settle(self.names.lookup, parent_inode_old, name_old)
        await super().rename(parent_inode_old, name_old, parent_inode_new, name_new, flags, ctx)
        # The file is published with its content, as on NFS, because a name is often what makes a
        # file known.
        await self._commit_with(moved.ino if moved else parent_inode_new)

    @guarded
    async def setattr(
        self,
        inode: InodeT,
        attr: EntryAttributes,
        fields: SetattrFields,
        fh: FileHandleT | None,
        ctx: RequestContext,
    ) -> EntryAttributes:
        attributes = await super().setattr(inode, attr, fields, fh, ctx)
        if fields.update_size and fh is None:
            await self._commit_with(inode)
        elif inode not in self.files.list_written():
            await self.sharing.commit()
        # Otherwise the close of the file publishes this, too.
        return attributes

    async def _commit_with(self, ino: int) -> None:
        inode = self.state.inodes.find(ino)
        if isinstance(inode, File):
            await self.sharing.commit_file(inode)
        await self.sharing.commit()

    # --- files -----------------------------------------------------------

    @guarded
    async def flush(self, fh: FileHandleT) -> None:
        await self.sharing.close(fh)

    @guarded
    async def fsync(self, fh: FileHandleT, datasync: bool) -> None:
        await self.sharing.sync(fh)

    @guarded
    async def release(self, fh: FileHandleT) -> None:
        await self.sharing.release(fh)

    @guarded
    async def fsyncdir(self, fh: FileHandleT, datasync: bool) -> None:
        await self.sharing.commit()
        if self._listings[fh][0] == ROOT_INO:
            await self.sync_root()
