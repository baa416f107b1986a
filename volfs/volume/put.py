"""From a local file or directory into a volume, as one version.

The local tree is listed first, then read by a pool of threads in batches (for
small files Python itself is what costs), and bound to names by this one. A
file that changes while it is read ends the whole put; nothing is published.
"""

from __future__ import annotations

import errno
import os
import stat
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import BinaryIO, NamedTuple

from volfs.errors import EntryExistsError, LocalFileError, NotADirectoryInVolumeError
from volfs.model.entry import (
    INLINE_MAX,
    SYMLINK_MAX,
    Entry,
    FileKind,
    replace,
    to_storable_time,
)
from volfs.model.extents import ExtentMap, Piece
from volfs.model.names import Path, show_path
from volfs.model.objects import Buffer
from volfs.store.base import Store, VolumeRecord
from volfs.store.clock import now_ns
from volfs.volume.commit import CommitNote, Published
from volfs.volume.edit import Directory, Edit
from volfs.volume.progress import Report, Tally, report_nothing
from volfs.volume.writer import PARALLEL_WINDOWS

BATCH_FILES = 64
BATCH_BYTES = 4 << 20
BATCHES_AHEAD = 8
"""Batches that may wait to be bound: enough to keep the threads busy, bounded in memory."""


class Stream(NamedTuple):
    """Bytes that are read one after the other, to become a file."""

    file: BinaryIO
    path: Path
    mode: int


class Local(NamedTuple):
    """One thing found in the local tree, and the path it will have in the volume."""

    local: bytes
    path: Path
    status: os.stat_result
    mode: int | None = None
    """The permissions it shall have; None: those it has."""

    @property
    def is_directory(self) -> bool:
        return stat.S_ISDIR(self.status.st_mode)

    @property
    def is_file(self) -> bool:
        return stat.S_ISREG(self.status.st_mode)


@dataclass
class PutResult:
    published: Published
    files: int
    bytes: int
    skipped: list[str] = field(default_factory=list)
    """Sockets, fifos and devices, which were left out."""


def put_local(
    store: Store,
    volume: VolumeRecord,
    local: str | os.PathLike[str],
    path: Path,
    *,
    force: bool = False,
    note: CommitNote | None = None,
    report: Report = report_nothing,
) -> PutResult:
    """Put a file at ``path``, or the contents of a directory below it, as one version.

    A symlink named as ``local`` is followed; those found below are kept as
    symlinks. EntryExistsError for a file that is there already unless ``force``;
    LocalFileError; LimitError. On any error nothing is published.
    """
    found, skipped = scan(os.fsencode(local), path)
    with Edit(store, volume) as edit:
        files = [item for item in found if item.is_file]
        tally = Tally(report, len(files), sum(item.status.st_size for item in files))
        put = _Put(edit, force, tally)
        put.run(found)
        published = edit.publish(note or CommitNote(message=f"put {show_path(path)}"))
    return PutResult(published, tally.files, tally.bytes, skipped)


def put_files(
    store: Store,
    volume: VolumeRecord,
    files: Sequence[Local],
    streams: Sequence[Stream] = (),
    *,
    force: bool = False,
    note: CommitNote | None = None,
    report: Report = report_nothing,
) -> PutResult:
    """Put files, each at its own path, as one version; directories above are made.

    Errors as of ``put_local``; whatever a stream raises. On any error nothing is published.
    """
    with Edit(store, volume) as edit:
        size = sum(item.status.st_size for item in files)
        tally = Tally(report, len(files) + len(streams), size)
        put = _Put(edit, force, tally)
        for stream in streams:
            put.check(stream.path)
        put.run(files)
        for stream in streams:
            put.bind(stream.path, put.read_stream(stream))
        published = edit.publish(note or CommitNote(message=f"put {tally.files} files"))
    return PutResult(published, tally.files, tally.bytes)


# --- the local tree ---------------------------------------------------------


def scan(top: bytes, path: Path) -> tuple[list[Local], list[str]]:
    """Everything to put, a directory before what is in it; and what cannot be put."""
    with local_errors(top):
        first = Local(top, path, os.stat(top))
    found, skipped = [first], []
    below = [first] if first.is_directory else []
    while below:
        for item in _scan_directory(below.pop()):
            mode = item.status.st_mode
            if item.is_directory:
                below.append(item)
            if item.is_directory or item.is_file or stat.S_ISLNK(mode):
                found.append(item)
            else:
                skipped.append(os.fsdecode(item.local))
    if not (first.is_directory or first.is_file):
        raise LocalFileError(f"{os.fsdecode(top)}: neither a file nor a directory")
    return found, skipped


def _scan_directory(directory: Local) -> list[Local]:
    with local_errors(directory.local), os.scandir(directory.local) as names:
        return [
            Local(item.path, (*directory.path, item.name), item.stat(follow_symlinks=False))
            for item in names
        ]


@contextmanager
def local_errors(path: bytes) -> Iterator[None]:
    """OSError of a local path as LocalFileError."""
    try:
        yield
    except OSError as error:
        raise LocalFileError(f"{os.fsdecode(path)}: {error.strerror or error}") from error


# --- reading and binding ----------------------------------------------------


class _Put:
    """One put: opens the directories, reads the files, binds the entries."""

    def __init__(self, edit: Edit, force: bool, tally: Tally) -> None:
        self.edit = edit
        self.force = force
        self.tally = tally
        self.directories: dict[Path, Directory] = {}
        self.waiting: deque[Future[list[tuple[Path, Entry]]]] = deque()

    def run(self, found: Sequence[Local]) -> None:
        made = [(item, self.open(item)) for item in found if item.is_directory]
        batch: list[Local] = []
        size = 0
        for item in found:
            if item.is_directory:
                continue
            self.check(item.path)
            if self.is_large(item):
                # Its windows are the tasks; in a task it would wait for its own pool.
                self.bind(item.path, self.read_file(item))
                continue
            batch.append(item)
            size += item.status.st_size
            if len(batch) == BATCH_FILES or size >= BATCH_BYTES:
                self.submit(batch)
                batch, size = [], 0
        self.submit(batch)
        self.settle(0)
        for item, directory in made:
            # Last, for binding names changed the time.
            if directory.made:
                directory.attributes = replace(
                    directory.attributes, mtime_ns=to_storable_time(item.status.st_mtime_ns)
                )

    def is_large(self, item: Local) -> bool:
        return (
            item.is_file and item.status.st_size > (PARALLEL_WINDOWS - 1) << self.edit.writer.bits
        )

    def open(self, item: Local) -> Directory:
        """The volume's directory for a local one: as it is, or new with the local attributes."""
        if not item.path:
            directory = self.edit.root
        else:
            parent = self.parent(item.path)
            there = parent.find(item.path[-1])
            if isinstance(there, Entry):
                raise NotADirectoryInVolumeError(f"{show_path(item.path)}: not a directory")
            if there is None:
                there = self.edit.new_directory(make_entry(item, FileKind.DIRECTORY))
                self.edit.bind(parent, item.path, there)
            directory = there
        self.directories[item.path] = directory
        return directory

    def parent(self, path: Path) -> Directory:
        parent = self.directories.get(path[:-1])
        if parent is None:
            parent = self.directories[path[:-1]] = self.edit.make_directories(path[:-1])
        return parent

    def check(self, path: Path) -> None:
        """Find out before anything is read."""
        there = self.parent(path).find(path[-1]) if path else self.edit.root
        if isinstance(there, Directory) or (there is not None and not self.force):
            what = "is a directory" if isinstance(there, Directory) else "already exists"
            raise EntryExistsError(f"{show_path(path)}: {what}")

    def submit(self, batch: list[Local]) -> None:
        if batch:
            self.waiting.append(self.edit.pool.submit(self.read_batch, batch))
        self.settle(BATCHES_AHEAD)

    def settle(self, left: int) -> None:
        """Bind what has been read, until ``left`` batches wait."""
        while len(self.waiting) > left:
            for path, entry in self.waiting.popleft().result():
                self.bind(path, entry)

    def bind(self, path: Path, entry: Entry) -> None:
        self.edit.put_in(self.parent(path), path, entry, overwrite=self.force)

    def read_batch(self, batch: list[Local]) -> list[tuple[Path, Entry]]:
        read = []
        for item in batch:
            entry = self.read_file(item) if item.is_file else read_symlink(item)
            read.append((item.path, entry))
        return read

    def read_file(self, item: Local) -> Entry:
        self.edit.profile.check_file_size(item.status.st_size)
        with local_errors(item.local):
            fd = os.open(item.local, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            try:
                check_unchanged(item, os.fstat(fd))
                entry = self.read_content(item, fd)
                check_unchanged(item, os.fstat(fd))
            finally:
                os.close(fd)
        self.tally.add(files=1)
        return entry

    def read_content(self, item: Local, fd: int) -> Entry:
        size = item.status.st_size
        entry = make_entry(item, FileKind.FILE)

        def read_at(arena: int, offset: int, length: int) -> Buffer:
            data = os.pread(fd, length, offset)
            if len(data) != length:
                raise LocalFileError(f"{os.fsdecode(item.local)}: changed while it was read")
            self.tally.add(size=length)
            return data

        if size <= INLINE_MAX:
            return replace(entry, size=size, inline=read_at(0, 0, size))
        pieces = [Piece(start, end, 0, start) for start, end in iter_data(fd, item.status)]
        return self.edit.writer.write(entry, ExtentMap(size, pieces), read_at)

    def read_stream(self, stream: Stream) -> Entry:
        window = 1 << self.edit.writer.bits
        entry = self.edit.writer.write_stream(
            make_file_entry(stream), iter(lambda: _read_up_to(stream.file, window), b"")
        )
        self.edit.profile.check_file_size(entry.size)
        self.tally.add(files=1, size=entry.size)
        return entry


def _read_up_to(file: BinaryIO, size: int) -> bytes:
    """So many bytes, fewer only at the end."""
    data = file.read(size)
    while len(data) < size and (more := file.read(size - len(data))):
        data += more
    return data


def make_file_entry(stream: Stream) -> Entry:
    now = now_ns()
    name = stream.path[-1] if stream.path else b"root"
    return Entry(
        name, FileKind.FILE, stream.mode, os.getuid(), os.getgid(), mtime_ns=now, ctime_ns=now
    )


def read_symlink(item: Local) -> Entry:
    with local_errors(item.local):
        target = os.readlink(item.local)
    if len(target) > SYMLINK_MAX:
        raise LocalFileError(f"{os.fsdecode(item.local)}: a target of {len(target)} bytes")
    return replace(make_entry(item, FileKind.SYMLINK), size=len(target), inline=target)


def make_entry(item: Local, kind: FileKind) -> Entry:
    """Mode and modification time of the local file; it belongs to whoever puts it."""
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


def check_unchanged(item: Local, now: os.stat_result) -> None:
    """LocalFileError if the file is not the one that was listed, as it was then."""
    if _identity(item.status) != _identity(now):
        raise LocalFileError(f"{os.fsdecode(item.local)}: changed while it was read")


def _identity(status: os.stat_result) -> tuple[int, ...]:
    return (status.st_dev, status.st_ino, status.st_mode, status.st_size, status.st_mtime_ns)


def iter_data(fd: int, status: os.stat_result) -> Iterator[tuple[int, int]]:
    """The ranges of a file that are not holes."""
    at, size = 0, status.st_size
    if status.st_blocks * 512 >= size:
        yield 0, size
        return
    while at < size:
        try:
            start = os.lseek(fd, at, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # a hole up to the end
                return
            raise
        at = min(os.lseek(fd, start, os.SEEK_HOLE), size)
        if at > start:
            yield start, at
