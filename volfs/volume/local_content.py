"""The content of local files for entries: read to its end, whatever size the file states.

A file's stated size is trusted as long as reading agrees with it. Several threads can therefore
read its windows, and holes stay holes. Files of /proc and /sys have more or fewer bytes than they
state. They, and streams without a size, are read from the first byte to the last.
"""

from __future__ import annotations

import os
import select
import stat
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from volfs.errors import LocalFileError
from volfs.model.entry import (
    INLINE_MAX,
    SYMLINK_MAX,
    Entry,
    FileKind,
    replace,
    set_content,
    to_storable_time,
)
from volfs.model.extents import ExtentMap, Piece
from volfs.model.names import Path
from volfs.model.objects import Buffer
from volfs.model.text import show
from volfs.store.clock import now_ns
from volfs.system.descriptors import find_descriptor
from volfs.volume.content_writer import PARALLEL_WINDOWS
from volfs.volume.edit import Edit
from volfs.volume.local_listing import (
    Local,
    check_unchanged,
    iter_data,
    local_errors,
    opened_file,
    read_link,
)
from volfs.volume.progress import ProgressTally

LOCAL = 0
"""The source of the bytes of a local file, where others have the number of an arena."""
STREAM_MODE = 0o644
_NULL = os.makedev(1, 3)


class ByteStream(NamedTuple):
    """Bytes that are read one after the other, to become a file."""

    file: BinaryIO
    path: Path
    mode: int


class _WrongSizeError(Exception):
    """A file has more or fewer bytes than it states."""


class LocalContent:
    """Makes entries of local files, with their content in an edit's upload. Used by several
    threads."""

    def __init__(self, edit: Edit, tally: ProgressTally) -> None:
        self.writer = edit.writer
        self.profile = edit.profile
        self.tally = tally

    def is_large(self, item: Local) -> bool:
        """Whether the windows of a file are tasks of their own."""
        return item.is_file and item.status.st_size > (PARALLEL_WINDOWS - 1) << self.writer.bits

    def read_file(self, item: Local) -> Entry:
        """The entry of a file, with its content. LocalFileError if the file changes meanwhile;
        LimitError."""
        self.profile.check_file_size(item.status.st_size)
        with opened_file(item) as fd:
            entry = self._read_content(item, fd)
            check_unchanged(item, os.fstat(fd))
        self.tally.add(files=1)
        return entry

    def _read_content(self, item: Local, fd: int) -> Entry:
        entry = make_entry(item, FileKind.FILE)
        try:
            return self._read_sized(entry, item.status, fd)
        except _WrongSizeError:
            check_unchanged(item, os.fstat(fd))
            return self._read_pieces(entry, _iter_file(fd, 1 << self.writer.bits))

    def _read_sized(self, entry: Entry, status: os.stat_result, fd: int) -> Entry:
        """Read a file that has as many bytes as it states; else _WrongSizeError."""
        size = status.st_size

        def read_at(arena: int, offset: int, length: int) -> Buffer:
            data = os.pread(fd, length, offset)
            if len(data) != length:
                raise _WrongSizeError
            self.tally.add(size=length)
            return data

        if size <= INLINE_MAX:
            entry = set_content(entry, size, inline=bytes(read_at(0, 0, size)) if size else b"")
        else:
            pieces = [Piece(start, end, LOCAL, start) for start, end in iter_data(fd, status)]
            entry = self.writer.write(entry, ExtentMap(size, pieces), read_at)
        if os.pread(fd, 1, size):
            raise _WrongSizeError
        return entry

    def read_stream(self, stream: ByteStream) -> Entry:
        """The entry of a stream, with its content. LimitError as soon as it is longer than a file
        may be; whatever reading raises."""
        window = 1 << self.writer.bits
        entry = self._read_pieces(make_file_entry(stream), _iter_stream(stream.file, window))
        self.tally.add(files=1)
        return entry

    def _read_pieces(self, entry: Entry, pieces: Iterator[bytes]) -> Entry:
        return self.writer.write_stream(entry, self._counted(pieces))

    def _counted(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        size = 0
        for piece in pieces:
            size += len(piece)
            self.profile.check_file_size(size)
            self.tally.add(size=len(piece))
            yield piece


def _iter_file(fd: int, window: int) -> Iterator[bytes]:
    """Yield a file from its first byte on, in pieces of a window. The last piece may be
    smaller."""
    at = 0
    while True:
        piece = b""
        while len(piece) < window and (more := os.pread(fd, window - len(piece), at)):
            piece += more
            at += len(more)
        if piece:
            yield piece
        if len(piece) < window:  # This is the end, also of a file that has grown since.
            return


def _iter_stream(file: BinaryIO, window: int) -> Iterator[bytes]:
    """Yield a stream to its first end, in pieces of a window. The last piece may be smaller."""
    while piece := _read_up_to(file, window):
        yield piece
        if len(piece) < window:  # This is the end, also of a file that has grown since.
            return


def _read_up_to(file: BinaryIO, size: int) -> bytes:
    """Read ``size`` bytes, fewer only at the end."""
    data = b""
    while len(data) < size:
        more: bytes | None = file.read(size - len(data))
        if more is None:  # Somebody else has made the descriptor non-blocking, so we wait here.
            select.select([file], [], [])
        elif more:
            data += more
        else:
            break
    return data


# --- streams ----------------------------------------------------------------


def open_stream(item: Local) -> ByteStream | None:
    """A stream of what the user named, if it is read to its end without a size; None for a file.

    Streams are pipes, terminals and descriptors such as /dev/stdin. LocalFileError for a socket,
    and for a device, which may never end.
    """
    with local_errors(item.local):
        fd = _open_stream(item)
        return None if fd is None else ByteStream(os.fdopen(fd, "rb", 0), item.path, STREAM_MODE)


def _open_stream(item: Local) -> int | None:
    number = find_descriptor(item.local)
    if number is not None:
        return os.dup(number)
    if item.is_file:
        return None
    mode, shown = item.status.st_mode, show(item.local)
    if stat.S_ISFIFO(mode):
        return os.open(item.local, os.O_RDONLY | os.O_CLOEXEC)
    if stat.S_ISCHR(mode):
        fd = os.open(item.local, os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
        if item.status.st_rdev == _NULL or os.isatty(fd):
            return fd
        os.close(fd)
    if stat.S_ISSOCK(mode):
        raise LocalFileError(f"{shown}: a socket; only files, directories and pipes can be put")
    raise LocalFileError(
        f"{shown}: a device, which may have no end; `volfs put VOLUME - PATH <{shown}` reads it"
    )


# --- entries ----------------------------------------------------------------


def make_file_entry(stream: ByteStream) -> Entry:
    now = now_ns()
    name = stream.path[-1] if stream.path else b"root"
    return Entry(
        name, FileKind.FILE, stream.mode, os.getuid(), os.getgid(), mtime_ns=now, ctime_ns=now
    )


def read_symlink(item: Local) -> Entry:
    target = read_link(item)
    if len(target) > SYMLINK_MAX:
        raise LocalFileError(f"{show(item.local)}: a target of {len(target)} bytes")
    return replace(make_entry(item, FileKind.SYMLINK), size=len(target), inline=target)


def make_entry(item: Local, kind: FileKind) -> Entry:
    """An entry with the mode and modification time of the local file. It belongs to the calling
    user."""
    status = item.status
    return Entry(
        item.path[-1] if item.path else b"root",
        kind,
        stat.S_IMODE(status.st_mode) if item.mode is None else item.mode,
        os.getuid(),
        os.getgid(),
        mtime_ns=to_storable_time(status.st_mtime_ns),
        ctime_ns=now_ns(),
    )
