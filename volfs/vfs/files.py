"""Content and attributes: open files, reading, writing, truncating, xattrs."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple

from volfs.errors import (
    DataError,
    EntryExistsError,
    InvalidOperationError,
    IsADirectoryInVolumeError,
    NoAttributeError,
    NotPermittedError,
    StaleHandleError,
    StaleInodeError,
    VolfsError,
)
from volfs.model.acl import (
    ACCESS,
    DEFAULT,
    NAMES,
    Acl,
    Xattrs,
    decode_acl,
    follow_mode,
    set_acl,
    to_mode,
)
from volfs.model.content import find_slices
from volfs.model.entry import TIMES, Entry, FileKind, replace
from volfs.model.extents import BASE, ZERO, ExtentMap
from volfs.model.objects import Buffer, Oid
from volfs.model.xattr import check_name, check_sizes, list_names
from volfs.vfs.caller import CAP_FOWNER, CAP_SYS_ADMIN, ROOT, Caller
from volfs.vfs.inode import File, Inode
from volfs.vfs.state import MountState

XATTR_CREATE, XATTR_REPLACE = 1, 2


@dataclass(slots=True)
class Handle:
    """One open file."""

    file: File
    writes: bool = True
    maps: bool = True
    """Whether the handle allows a shared and writable mapping."""
    opener: Caller = ROOT
    """The caller whose capabilities count for writes through this handle."""
    expected: int = 0
    """The offset at which the next sequential read begins."""
    ahead: int = 0
    """The offset up to which chunks have been requested in advance."""


class Segment(NamedTuple):
    """Part of a read: from a chunk, or ready in ``data`` (None: zeros)."""

    length: int
    oid: Oid | None
    offset: int
    data: Buffer | None


class Files:
    """Operations on the files of one mount. Any may raise ``Miss`` before it changes anything."""

    def __init__(self, state: MountState) -> None:
        self.state = state
        self.overlay = state.overlay
        self.objects = state.view.objects
        self.dropped: list[int] = []
        """Inodes that lost set-id bits by a change of content, until the kernel has been told."""
        self._handles: dict[int, Handle] = {}
        self._next_handle = 1

    # --- handles ---------------------------------------------------------

    def open(
        self, ino: int, flags: int, caller: Caller = ROOT, opener: Caller | None = None
    ) -> int:
        """Open a file, and return a handle. Truncates if ``flags`` ask for it, which may drop
        set-id bits.

        Writes drop set-id bits by the rights of ``opener``. It is the caller, unless the kernel
        takes care of writes itself.
        """
        file = self._file(self.state.get(ino))
        if file.stale:
            self._open_left(file)
        writes = bool(flags & os.O_ACCMODE != os.O_RDONLY or flags & os.O_TRUNC)
        if writes:
            self.state.check_writable()
        if flags & os.O_TRUNC:
            self.resize(file, 0, caller)
        return self.add_handle(file, flags, writes=writes, opener=opener or caller)

    def _open_left(self, file: File) -> None:
        """Open a file that was left behind since the kernel looked its path up, if the mount
        follows the head.

        StaleInodeError if it does not follow. The path may mean another file at each lookup, so
        the one that was looked up is opened.
        """
        if not self.state.follows:
            raise StaleInodeError(f"inode {file.ino} has another one in its place")
        self.overlay.orphans[file.ino] = file

    def add_handle(
        self, file: File, flags: int = os.O_RDWR, *, writes: bool = True, opener: Caller = ROOT
    ) -> int:
        number = self._next_handle
        self._next_handle += 1
        maps = flags & os.O_ACCMODE == os.O_RDWR
        self._handles[number] = Handle(file, writes, maps, opener)
        if maps:
            self.state.count_mappable(file, 1)
        file.opens += 1
        self.state.open_files += 1
        return number

    def handle(self, number: int) -> Handle:
        try:
            return self._handles[number]
        except KeyError:
            raise StaleHandleError(f"handle {number} is not open") from None

    def release(self, number: int) -> None:
        handle = self._handles.pop(number)
        file = handle.file
        if handle.maps:
            self.state.count_mappable(file, -1)
        file.opens -= 1
        self.state.open_files -= 1
        self.state.drop_if_idle(file)

    def open_paths(self) -> list[bytes]:
        """The paths of open files, each once, sorted."""
        files = {handle.file for handle in self._handles.values()}
        return sorted(b"/".join(file.path) for file in files)

    def list_written(self) -> set[int]:
        """The inode numbers of files that are open for writing."""
        return {handle.file.ino for handle in self._handles.values() if handle.writes}

    def count_writers(self, file: File) -> int:
        return sum(handle.writes and handle.file is file for handle in self._handles.values())

    def _file(self, inode: Inode) -> File:
        if not isinstance(inode, File):
            raise IsADirectoryInVolumeError("is a directory")
        return inode

    # --- reading ---------------------------------------------------------

    def locate(self, number: int, offset: int, length: int) -> list[Segment]:
        """Find where the bytes of a read are. Bytes in scratch are read at once. Miss."""
        handle = self._handles.get(number) or self.handle(number)
        file = handle.file
        end = min(offset + length, file.entry.size)
        if end <= offset:
            return []
        if file.extents is None:
            segments = self._locate_base(file.entry, offset, end)
        else:
            segments = self._locate_pieces(file, file.extents, offset, end)
        if handle.expected == offset:
            self._prefetch(handle, file, end)
        handle.expected = end
        return segments

    def _locate_pieces(
        self, file: File, extents: ExtentMap, offset: int, end: int
    ) -> list[Segment]:
        segments: list[Segment] = []
        for piece in extents.iter_pieces(offset, end):
            size = piece.end - piece.start
            if piece.source == BASE:
                segments += self._locate_base(file.base, piece.start, piece.end)
            elif piece.source == ZERO:
                segments.append(Segment(size, None, 0, None))
            else:
                data = self.state.scratch.read(piece.source, piece.offset, size)
                segments.append(Segment(size, None, 0, data))
        return segments

    def _locate_base(self, entry: Entry, offset: int, end: int) -> list[Segment]:
        if entry.inline:
            return [Segment(end - offset, None, 0, entry.inline[offset:end])]
        slices = find_slices(self.state.view.reader.get_list, entry, offset, end - offset)
        if len(slices) == 1 and slices[0].oid:
            oid, at, size = slices[0]
            return [Segment(size, oid, at, None)]
        return [Segment(part.length, part.oid or None, part.offset, None) for part in slices]

    def _prefetch(self, handle: Handle, file: File, end: int) -> None:
        """Request the next chunks of a file that is read in order."""
        content = file.entry if file.extents is None else file.base
        start, stop = max(handle.ahead, end), min(end + self.objects.ahead, content.size)
        if stop <= start or stop - start < min(self.objects.ahead // 2, content.size - start):
            return
        if content.inline:
            return
        get = self.state.view.reader.get_list
        with suppress(DataError):  # A reader that comes so far meets the error, and is told.
            for part in find_slices(get, content, start, stop - start):
                if part.oid:
                    self.objects.prefetch(part.oid)
        handle.ahead = stop

    def read_ready(self, segments: list[Segment]) -> Buffer | None:
        """The bytes, or None if that would wait for a disk, a network or much decoding."""
        length, oid, offset, _ = segments[0]
        if oid is not None and len(segments) == 1:
            return self.objects.read_object_ready(oid, offset, length)
        return _join(segments, self.objects.read_object_ready)

    def read_waiting(self, segments: list[Segment]) -> Buffer:
        """The bytes, however long that takes. In a thread."""
        data = _join(segments, self.objects.read_object)
        assert data is not None, "a waiting read did not wait"
        return data

    # --- writing ---------------------------------------------------------

    def write(self, number: int, offset: int, data: Buffer) -> int:
        """Write bytes into scratch, and return their number.

        May drop set-id bits, by the rights of the caller that opened the handle, because the
        kernel does not say who writes.
        """
        self.state.check_writable()
        handle = self.handle(number)
        file = handle.file
        end = offset + len(data)
        if not data:
            return 0
        self.state.profile.check_file_size(end)
        was_base = file.extents is None
        extents = self._materialise(file)
        try:
            file.run = self.state.scratch.write(extents, file.run, offset, data)
        except VolfsError:
            if was_base:
                file.extents = None
            if file in self.state.open_mappable:
                self.state.refused.note(file, offset, data)
            raise
        if self.state.refused:
            self.state.refused.forget(file, offset, end)
        mode = handle.opener.keep_mode(file.entry.mode, file.entry.gid)
        self._changed(file, mode)
        return len(data)

    def resize(self, file: File, size: int, caller: Caller = ROOT) -> None:
        """Cut a file, or extend it with zeros. May drop set-id bits."""
        self.state.check_writable()
        self.state.profile.check_file_size(size)
        extents = self._materialise(file)
        before = file.entry.size
        file.run = self.state.scratch.truncate(extents, file.run, size)
        self.state.refused.forget(file, size, before)
        mode = caller.keep_mode(file.entry.mode, file.entry.gid)
        self._changed(file, mode)

    def _materialise(self, file: File) -> ExtentMap:
        if file.entry.kind != FileKind.FILE:
            raise InvalidOperationError("has no content")
        if file.extents is None:
            file.base = file.entry
            file.counted = self.state.get_counted(file)
            file.extents = ExtentMap.of_base(file.entry.size)
        return file.extents

    def _changed(self, file: File, mode: int) -> None:
        assert file.extents is not None
        if mode != file.entry.mode:
            self.dropped.append(file.ino)
        now = self.state.clock()
        entry = replace(file.entry, size=file.extents.size, mtime_ns=now, ctime_ns=now, mode=mode)
        if file.entry.links:
            self.overlay.touch(file, entry)
            self.state.uncounted.add(file)
        else:
            file.entry = entry

    # --- attributes ------------------------------------------------------

    def set_attributes(
        self,
        ino: int,
        *,
        size: int | None = None,
        mode: int | None = None,
        uid: int | None = None,
        gid: int | None = None,
        mtime_ns: int | None = None,
        atime_ns: int | None = None,
        caller: Caller = ROOT,
    ) -> Inode:
        """Change the given attributes, all or none.

        InvalidOperationError for a time that an entry has no room for and would return as another
        time. NotPermittedError as for ``_lose_set_id``.
        """
        self.state.check_writable()
        if any(time is not None and time not in TIMES for time in (mtime_ns, atime_ns)):
            raise InvalidOperationError("times go from the year 1677 to 2262")
        inode = self.state.get(ino)
        if size is not None and inode.stale and not inode.opens:
            raise StaleInodeError(f"inode {ino} has another one in its place")
        if size is not None:
            self.resize(self._file(inode), size, caller)
        entry = inode.entry
        bits = entry.mode if mode is None else mode & 0o7777
        if mode is None and isinstance(inode, File):
            is_empty = all(one is None for one in (size, uid, gid, mtime_ns, atime_ns))
            if is_empty or uid is not None or gid is not None:
                bits = self._lose_set_id(inode, caller, is_empty=is_empty)
        if size is not None:  # The kernel's mode may have kept bits that this caller may not keep.
            bits = caller.keep_mode(bits, entry.gid)
        changed = replace(
            entry,
            mode=bits,
            uid=entry.uid if uid is None else uid,
            gid=entry.gid if gid is None else gid,
            mtime_ns=entry.mtime_ns if mtime_ns is None else mtime_ns,
            ctime_ns=self.state.clock(),
            xattrs=entry.xattrs if mode is None else follow_mode(entry.xattrs, mode),
        )
        if atime_ns is not None:
            inode.atime_ns = atime_ns
        self._touch(inode, changed)
        return inode

    def _lose_set_id(self, file: File, caller: Caller, *, is_empty: bool) -> int:
        """The mode of a file with a new owner or group, or after a change of nothing.

        The kernel asks for a change of nothing before a write by a caller that may not keep the
        bits, and for ``chown(-1, -1)``, for which it has not checked the caller. NotPermittedError
        if the file is not open for writing and the caller is not the owner.
        """
        mode = caller.drop_set_id(file.entry.mode, file.entry.gid)
        if is_empty and mode != file.entry.mode and not self.count_writers(file):
            is_owner = caller.is_user(file.entry.uid) or caller.is_capable(CAP_FOWNER)
            if not is_owner:
                raise NotPermittedError("only the owner may do that")
        return mode

    def _touch(self, inode: Inode, entry: Entry) -> None:
        if inode.entry.links:
            self.overlay.touch(inode, entry)
        else:
            inode.entry = entry

    def get_xattr(self, ino: int, name: bytes) -> bytes:
        """The value of an attribute. NoAttributeError; the errors of ``model.xattr.check_name``
        for names that are not kept."""
        check_name(name, reading=True)
        for key, value in self.state.get(ino).entry.xattrs:
            if key == name:
                return value
        raise NoAttributeError("no such attribute")

    def list_xattrs(self, ino: int, caller: Caller = ROOT) -> list[bytes]:
        return list_names(
            self.state.get(ino).entry.xattrs, privileged=caller.is_capable(CAP_SYS_ADMIN)
        )

    def set_xattr(
        self,
        ino: int,
        name: bytes,
        value: bytes,
        flags: int = 0,
        caller: Caller = ROOT,
    ) -> None:
        """Set an attribute. EntryExistsError and NoAttributeError as ``flags`` ask;
        AttributeTooLargeError.

        For ACLs the flags mean nothing. An access ACL also sets the mode, in which set-group-id
        stays only if the caller is in the file's group. A malformed ACL, or one in the wrong
        place, is an InvalidOperationError.
        """
        self.state.check_writable()
        check_name(name)
        if name in NAMES:
            self._set_acl(ino, name, decode_acl(value), caller)
            return
        xattrs = dict(self.state.get(ino).entry.xattrs)
        if flags & XATTR_CREATE and name in xattrs:
            raise EntryExistsError("the attribute exists")
        if flags & XATTR_REPLACE and name not in xattrs:
            raise NoAttributeError("no such attribute")
        xattrs[name] = value
        self._set_xattrs(ino, tuple(sorted(xattrs.items())))

    def _set_acl(self, ino: int, name: bytes, acl: Acl, caller: Caller) -> None:
        entry = self.state.get(ino).entry
        if entry.kind == FileKind.SYMLINK or (name == DEFAULT and not entry.is_directory):
            raise InvalidOperationError("has no such ACL")
        mode = entry.mode
        if acl and name == ACCESS:
            mode = mode & ~0o777 | to_mode(acl)
            if mode & 0o2000 and not caller.in_group(entry.gid):
                mode &= ~0o2000
        self._set_xattrs(ino, set_acl(entry.xattrs, name, acl), mode)

    def remove_xattr(self, ino: int, name: bytes) -> None:
        """Remove an attribute. NoAttributeError if it is not there, except for ACLs, as on
        ext4."""
        self.state.check_writable()
        check_name(name)
        xattrs = dict(self.state.get(ino).entry.xattrs)
        if name in xattrs:
            del xattrs[name]
            self._set_xattrs(ino, tuple(xattrs.items()))
        elif name not in NAMES:
            raise NoAttributeError("no such attribute")

    def _set_xattrs(self, ino: int, xattrs: Xattrs, mode: int | None = None) -> None:
        check_sizes(xattrs)
        inode = self.state.get(ino)
        entry = inode.entry
        bits = entry.mode if mode is None else mode
        self._touch(inode, replace(entry, mode=bits, xattrs=xattrs, ctime_ns=self.state.clock()))


def _join(segments: list[Segment], read: Callable[[Oid, int, int], Buffer | None]) -> Buffer | None:
    """The bytes of segments, without a copy if there is only one. None as soon as ``read`` returns
    None."""
    parts: list[Buffer] = []
    for part in segments:
        data = part.data if part.oid is None else read(part.oid, part.offset, part.length)
        if data is None and part.oid is not None:
            return None
        parts.append(bytes(part.length) if data is None else data)
    return parts[0] if len(parts) == 1 else b"".join(parts)
