"""The operations of a mount, in pyfuse3's words. This module decides nothing; ``volfs.vfs``
does."""

from __future__ import annotations

import errno
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
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
    XAttrNameT,
)

from volfs.errors import InvalidOperationError, OutOfSpaceError, VolfsError
from volfs.fuse.callers import find_caller, note_caller
from volfs.fuse.kernel_attributes import BLOCK_SIZE, KIND, make_absent, make_attributes
from volfs.fuse.mountable import Mountable
from volfs.fuse.negotiation import Features
from volfs.fuse.notices import forget
from volfs.fuse.request_guard import guarded
from volfs.model.entry import FileKind
from volfs.model.names import NAME_MAX, show_path
from volfs.store.contract.care import Space
from volfs.vfs.aio import Bridge
from volfs.vfs.caller import ROOT, Caller
from volfs.vfs.checkout_plan import KernelNotice
from volfs.vfs.committer import Committer
from volfs.vfs.data_bytes import measure_data
from volfs.vfs.files import Files
from volfs.vfs.inode import ROOT_INO, File, Inode
from volfs.vfs.namespace import Namespace
from volfs.vfs.state import MountState
from volfs.vfs.view import Miss

FOREVER = 1e9
"""Seconds that the kernel may keep what it was told, because we tell it what to forget."""
UNLIMITED_INODES = 1 << 40
FREEINGS = 2
"""How often a write on a full disk frees room. While the first freeing runs, the kernel lets go of
files that were deleted before the write. The second one frees the room of these files."""
RENAME_WHITEOUT = 4
"""A flag of renameat2(2), which pyfuse3 has no name for."""

_BY_HANDLE = frozenset(("read", "write", "flush", "fsync", "release"))
_BY_LISTING = frozenset(("readdir", "fsyncdir", "releasedir"))


class Operations(Mountable):
    """The handlers of one mount. Each is guarded, except ``forget``, which never raises, and
    ``flush``."""

    supports_dot_lookup = True
    enable_writeback_cache = False
    enable_acl = True
    kept = FOREVER
    """Seconds that the kernel may keep names and attributes."""

    def __init__(
        self,
        state: MountState,
        bridge: Bridge,
        committer: Committer,
        sync_root: Callable[[], Awaitable[None]],
        find_space: Callable[[], Space | None],
    ) -> None:
        super().__init__()
        self.state = state
        self.bridge = bridge
        self.flusher = committer.flusher
        self.sync_root = sync_root
        self.names = Namespace(state)
        self.files = Files(state)
        self.find_space = find_space
        self.activity = committer.activity
        self._listings: dict[int, tuple[int, list[bytes]]] = {}
        self._next_listing = 1

    def describe(self, handler: str, subject: object) -> str:
        """The path that a request is about, for the log."""
        if not isinstance(subject, int):
            return repr(subject)
        if handler in _BY_HANDLE:
            return show_path(self.files.handle(subject).file.path)
        if handler in _BY_LISTING:
            subject, _ = self._listings.get(subject, (0, []))
        inode = self.state.inodes.find(subject)
        return show_path(inode.path) if inode else f"inode {subject}"

    def list_open(self) -> list[bytes]:
        return self.files.open_paths()

    # --- inodes ----------------------------------------------------------

    @guarded
    async def lookup(
        self, parent_inode: InodeT, name: FileNameT, ctx: RequestContext
    ) -> EntryAttributes:
        inode = await self.bridge.settle(self.names.lookup, parent_inode, name)
        return make_absent(self.kept) if inode is None else await self._tell(inode)

    @guarded
    async def getattr(self, inode: InodeT, ctx: RequestContext) -> EntryAttributes:
        return await self._describe(self.state.get(inode))

    @guarded
    async def setattr(
        self,
        inode: InodeT,
        attr: EntryAttributes,
        fields: SetattrFields,
        fh: FileHandleT | None,
        ctx: RequestContext,
    ) -> EntryAttributes:
        changed = await self.bridge.settle(
            self.files.set_attributes,
            inode,
            size=attr.st_size if fields.update_size else None,
            mode=attr.st_mode if fields.update_mode else None,
            uid=attr.st_uid if fields.update_uid else None,
            gid=attr.st_gid if fields.update_gid else None,
            mtime_ns=attr.st_mtime_ns if fields.update_mtime else None,
            atime_ns=attr.st_atime_ns if fields.update_atime else None,
            caller=find_caller(ctx),
        )
        return await self._describe(changed)

    async def forget(self, inode_list: Sequence[tuple[InodeT, int]]) -> None:
        for ino, lookups in inode_list:
            self.state.forget(ino, lookups)

    @guarded
    async def readlink(self, inode: InodeT, ctx: RequestContext) -> FileNameT:
        entry = self.state.get(inode).entry
        if entry.kind != FileKind.SYMLINK:
            raise InvalidOperationError("is not a symlink")
        return FileNameT(entry.inline)

    @guarded
    async def access(self, inode: InodeT, mode: ModeT, ctx: RequestContext) -> bool:
        return True  # The kernel checks access, because of ``default_permissions``.

    # --- names -----------------------------------------------------------

    async def _make(
        self,
        parent: int,
        name: bytes,
        kind: FileKind,
        mode: int,
        ctx: RequestContext,
        *,
        target: bytes = b"",
        rdev: int = 0,
    ) -> Inode:
        return await self.bridge.settle(
            self.names.make,
            parent,
            name,
            kind,
            mode,
            (ctx.uid, ctx.gid),
            umask=ctx.umask,
            target=target,
            rdev=rdev,
        )

    @guarded
    async def mknod(
        self, parent_inode: InodeT, name: FileNameT, mode: ModeT, rdev: int, ctx: RequestContext
    ) -> EntryAttributes:
        kind = KIND.get(mode & 0o170000, FileKind.FILE)
        return await self._tell(await self._make(parent_inode, name, kind, mode, ctx, rdev=rdev))

    @guarded
    async def mkdir(
        self, parent_inode: InodeT, name: FileNameT, mode: ModeT, ctx: RequestContext
    ) -> EntryAttributes:
        return await self._tell(await self._make(parent_inode, name, FileKind.DIRECTORY, mode, ctx))

    @guarded
    async def symlink(
        self, parent_inode: InodeT, name: FileNameT, target: FileNameT, ctx: RequestContext
    ) -> EntryAttributes:
        inode = await self._make(
            parent_inode, name, FileKind.SYMLINK, 0o777, ctx, target=bytes(target)
        )
        return await self._tell(inode)

    @guarded
    async def link(
        self, inode: InodeT, new_parent_inode: InodeT, new_name: FileNameT, ctx: RequestContext
    ) -> EntryAttributes:
        return await self._tell(
            await self.bridge.settle(self.names.link, inode, new_parent_inode, new_name)
        )

    @guarded
    async def unlink(self, parent_inode: InodeT, name: FileNameT, ctx: RequestContext) -> None:
        await self.bridge.settle(self.names.unlink, parent_inode, name)

    @guarded
    async def rmdir(self, parent_inode: InodeT, name: FileNameT, ctx: RequestContext) -> None:
        await self.bridge.settle(self.names.rmdir, parent_inode, name)

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
        names = (parent_inode_old, name_old, parent_inode_new, name_new)
        if flags == pyfuse3.RENAME_EXCHANGE:
            await self.bridge.settle(self.names.exchange, *names)
        elif flags & ~(pyfuse3.RENAME_NOREPLACE | RENAME_WHITEOUT):
            raise InvalidOperationError(f"rename flags {flags:#x}")
        else:
            await self.bridge.settle(
                self.names.rename,
                *names,
                replace_target=not flags & pyfuse3.RENAME_NOREPLACE,
                left_by=(ctx.uid, ctx.gid) if flags & RENAME_WHITEOUT else None,
            )

    # --- files -----------------------------------------------------------

    @guarded
    async def create(
        self, parent_inode: InodeT, name: FileNameT, mode: ModeT, flags: FlagT, ctx: RequestContext
    ) -> tuple[FileInfo, EntryAttributes]:
        inode = await self._make(parent_inode, name, FileKind.FILE, mode, ctx)
        assert isinstance(inode, File)
        number = self.files.add_handle(inode, flags, opener=self._note_opener(ctx))
        return FileInfo(fh=FileHandleT(number)), await self._tell(inode)

    @guarded
    async def open(self, inode: InodeT, flags: FlagT, ctx: RequestContext) -> FileInfo:
        caller, opener = find_caller(ctx), self._note_opener(ctx)
        number = await self.bridge.settle(self.files.open, inode, flags, caller, opener)
        await self._tell_dropped()
        return FileInfo(fh=FileHandleT(number), keep_cache=True)

    @guarded
    async def read(self, fh: FileHandleT, off: int, size: int) -> bytes:
        try:
            segments = self.files.locate(fh, off, size)
        except Miss:
            segments = await self.bridge.settle(self.files.locate, fh, off, size)
        if not segments:
            return b""
        data = self.files.read_ready(segments)
        if data is None:
            self.activity.reads_waited += 1
            data = await self.bridge.run(self.files.read_waiting, segments)
        else:
            self.activity.reads_ready += 1
        self.activity.read_bytes += len(data)
        return cast(bytes, data)  # pyfuse3 takes any buffer.

    @guarded
    async def write(self, fh: FileHandleT, off: int, buf: bytes) -> int:
        try:
            written = await self.bridge.settle(self.files.write, fh, off, buf)
        except OutOfSpaceError as error:
            written = await self._write_in_freed_room(fh, off, buf, error)
        self.activity.written_bytes += written
        if self.files.dropped:
            await self._tell_dropped()
        return written

    async def _write_in_freed_room(
        self, fh: FileHandleT, off: int, buf: bytes, error: OutOfSpaceError
    ) -> int:
        """Write on a full disk, in the room of content that was deleted. ``error`` if there is
        none."""
        for _ in range(FREEINGS):
            if not await self.flusher.free_room():
                break
            with suppress(OutOfSpaceError):
                return await self.bridge.settle(self.files.write, fh, off, buf)
        raise error

    async def _tell_dropped(self) -> None:
        """Let the kernel ask for the modes that lost set-id bits by requests whose answers have no
        attributes."""
        while self.files.dropped:
            notice = KernelNotice(self.files.dropped.pop(), None)
            await self.bridge.run(forget, [notice])

    def _note_opener(self, ctx: RequestContext) -> Caller:
        """The caller by whose rights writes through a handle drop set-id bits; root if the kernel
        drops them itself."""
        return ROOT if Features.HANDLE_KILLPRIV_V2 in self.granted else note_caller(ctx)

    async def flush(self, fh: FileHandleT) -> None:
        # Every write has reached us, so nothing is to do when a file is closed. The kernel takes
        # this answer for success, and does not ask again.
        raise pyfuse3.FUSEError(errno.ENOSYS)

    @guarded
    async def fsync(self, fh: FileHandleT, datasync: bool) -> None:
        self.files.handle(fh)
        await self.flusher.flush()

    @guarded
    async def release(self, fh: FileHandleT) -> None:
        self.files.release(fh)

    # --- directories -----------------------------------------------------

    @guarded
    async def opendir(self, inode: InodeT, ctx: RequestContext) -> FileHandleT:
        self.names.directory(inode)
        number = self._next_listing
        self._next_listing += 1
        self._listings[number] = (inode, [])
        return FileHandleT(number)

    @guarded
    async def readdir(self, fh: FileHandleT, start_id: int, token: ReaddirToken) -> None:
        ino, names = self._listings[fh]
        if start_id == 0:
            # A listing shows one moment. Rewinding makes a new one.
            names = await self.bridge.settle(self.names.list_names, ino)
            self._listings[fh] = (ino, names)
        dots = (b".", b"..")
        for at in range(start_id, len(names) + len(dots)):
            name = dots[at] if at < len(dots) else names[at - len(dots)]
            try:
                if not await self._reply(token, ino, name, at + 1):
                    return
            except VolfsError:
                if at == start_id:
                    raise
                # The kernel must get the names before this one. The next request meets the error
                # again.
                return

    async def _reply(self, token: ReaddirToken, ino: int, name: bytes, next_id: int) -> bool:
        """Add a name to a listing. False if the reply is full."""
        inode = await self.bridge.settle(self.names.lookup, ino, name)
        if inode is None:
            return True  # The name was removed since the listing was made.
        attributes = await self._describe(inode)
        taken = pyfuse3.readdir_reply(token, FileNameT(name), attributes, next_id)
        if taken and name not in (b".", b".."):
            self.state.remember(inode)
        elif not taken:
            self.state.drop_if_idle(inode)
        return taken

    @guarded
    async def releasedir(self, fh: FileHandleT) -> None:
        del self._listings[fh]

    @guarded
    async def fsyncdir(self, fh: FileHandleT, datasync: bool) -> None:
        await self.flusher.flush()
        if self._listings[fh][0] == ROOT_INO:
            await self.sync_root()

    # --- attributes ------------------------------------------------------

    @guarded
    async def statfs(self, ctx: RequestContext) -> StatvfsData:
        free = await self.bridge.run(self._find_free)
        await self.bridge.settle(self.state.count_uncounted)
        usage, limit = self.state.usage, self.state.profile.max_inodes
        data = StatvfsData()
        data.f_bsize = data.f_frsize = BLOCK_SIZE
        data.f_blocks = -(-usage.data // BLOCK_SIZE) + free // BLOCK_SIZE
        data.f_bfree = data.f_bavail = free // BLOCK_SIZE
        inodes = max(0, (limit if limit is not None else UNLIMITED_INODES) - usage.inodes)
        data.f_files = usage.inodes + inodes
        data.f_ffree = data.f_favail = inodes
        data.f_namemax = NAME_MAX
        return data

    def _find_free(self) -> int:
        """The number of bytes that are free. If the store has no size, writes fit while the
        overlay has room."""
        space = self.find_space()
        if space is not None:
            return space.free
        return self.state.scratch.find_room()

    @guarded
    async def getxattr(self, inode: InodeT, name: XAttrNameT, ctx: RequestContext) -> bytes:
        return self.files.get_xattr(inode, name)

    @guarded
    async def listxattr(self, inode: InodeT, ctx: RequestContext) -> Sequence[XAttrNameT]:
        names = self.files.list_xattrs(inode, find_caller(ctx))
        return [XAttrNameT(name) for name in names]

    @guarded
    async def setxattr(
        self, inode: InodeT, name: XAttrNameT, value: bytes, ctx: RequestContext
    ) -> None:
        self.files.set_xattr(inode, name, value, caller=find_caller(ctx))

    @guarded
    async def removexattr(self, inode: InodeT, name: XAttrNameT, ctx: RequestContext) -> None:
        self.files.remove_xattr(inode, name)

    # --- answers ---------------------------------------------------------

    async def _tell(self, inode: Inode) -> EntryAttributes:
        self.state.remember(inode)
        return await self._describe(inode)

    async def _describe(self, inode: Inode) -> EntryAttributes:
        data = await self.bridge.settle(measure_data, self.state.view.reader.get_list, inode)
        return make_attributes(inode, self.kept, data)
