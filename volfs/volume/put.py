"""Putting a local file or directory into a volume, as one version.

The local tree is listed first. A pool of threads then reads its files in batches, because for
small files Python itself takes the time, and this thread binds them to names. A file that changes
while it is read ends the whole put, and nothing is published.
"""

from __future__ import annotations

import os
import stat
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import BinaryIO

from volfs.errors import EntryExistsError, NotADirectoryInVolumeError
from volfs.model.entry import Entry, FileKind, replace, to_storable_time
from volfs.model.names import Path, join_path, show_path
from volfs.model.progress import Report, report_nothing
from volfs.model.text import to_text
from volfs.store.contract.refs import VolumeRecord
from volfs.store.contract.store import Store
from volfs.system.directories import OpenTree
from volfs.volume.commit import CommitNote, Published
from volfs.volume.edit import Edit, EditedDirectory
from volfs.volume.local_content import (
    STREAM_MODE,
    ByteStream,
    LocalContent,
    make_entry,
    open_stream,
    read_symlink,
)
from volfs.volume.local_listing import Local, local_errors, scan
from volfs.volume.progress import ProgressTally
from volfs.volume.store_places import StorePlaces

BATCH_FILES = 64
BATCH_BYTES = 4 << 20
BATCHES_AHEAD = 8
"""Batches that may wait to be bound: enough to keep the threads busy, and few enough for
memory."""


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

    A symlink named as ``local`` is followed. Symlinks found below it are kept as symlinks. A pipe
    is read to its end. EntryExistsError for a file that exists already, unless ``force``;
    LocalFileError; LimitError. On any error nothing is published.
    """
    top = os.fsencode(local)
    note = note or CommitNote(message=f"put {to_text(join_path(path))}")
    places = StorePlaces(store)
    places.check_path(top)
    with local_errors(top):
        status = os.stat(top)
    if not stat.S_ISDIR(status.st_mode):
        return _put_named(store, volume, Local(top, path, status), force, note, report)
    with local_errors(top):
        tree = OpenTree(top)
    with tree:
        found, skipped = scan(tree.top, path, places)
        result = _put_found(store, volume, found, (), force, note, report)
    result.skipped += skipped
    return result


def _put_named(
    store: Store, volume: VolumeRecord, item: Local, force: bool, note: CommitNote, report: Report
) -> PutResult:
    """Put one file that the user named, or the bytes of a pipe to its end."""
    stream = open_stream(item)
    if stream is None:
        return _put_found(store, volume, [item], (), force, note, report)
    with stream.file:
        return _put_found(store, volume, [], [stream], force, note, report)


def put_stream(
    store: Store,
    volume: VolumeRecord,
    file: BinaryIO,
    path: Path,
    *,
    force: bool = False,
    note: CommitNote | None = None,
) -> PutResult:
    """Put the bytes of ``file``, to its end, as a file at ``path``. The errors of
    ``put_local``."""
    note = note or CommitNote(message=f"put {to_text(join_path(path))}")
    stream = ByteStream(file, path, STREAM_MODE)
    return _put_found(store, volume, (), [stream], force, note, report_nothing)


def put_files(
    store: Store,
    volume: VolumeRecord,
    files: Sequence[Local],
    streams: Sequence[ByteStream] = (),
    *,
    force: bool = False,
    note: CommitNote | None = None,
    report: Report = report_nothing,
) -> PutResult:
    """Put files, each at its own path, as one version. Missing directories above them are made.

    The errors of ``put_local``, and whatever a stream raises. On any error nothing is published.
    """
    places = StorePlaces(store)
    for directory in {item.directory for item in files if item.directory is not None}:
        if directory.identity is not None:
            places.check_outside(directory.path, directory.identity)
    return _put_found(store, volume, files, streams, force, note, report)


def _put_found(
    store: Store,
    volume: VolumeRecord,
    found: Sequence[Local],
    streams: Sequence[ByteStream],
    force: bool,
    note: CommitNote | None,
    report: Report,
) -> PutResult:
    files = [item for item in found if item.is_file]
    tally = ProgressTally(
        report, len(files) + len(streams), sum(item.status.st_size for item in files)
    )
    with Edit(store, volume) as edit:
        put = _Put(edit, force, tally)
        for stream in streams:
            put.check(stream.path)
        put.run(found)
        for stream in streams:
            put.bind(stream.path, put.content.read_stream(stream))
        published = edit.commit(note or CommitNote(message=f"put {tally.files} files"))
    return PutResult(published, tally.files, tally.bytes)


# --- reading and binding ----------------------------------------------------


class _Put:
    """One put. It opens the directories, reads the files, and binds the entries."""

    def __init__(self, edit: Edit, force: bool, tally: ProgressTally) -> None:
        self.edit = edit
        self.force = force
        self.content = LocalContent(edit, tally)
        self.directories: dict[Path, EditedDirectory] = {}
        self.waiting: deque[Future[list[tuple[Path, Entry]]]] = deque()

    def run(self, found: Sequence[Local]) -> None:
        made = [(item, self.open(item)) for item in found if item.is_directory]
        batch: list[Local] = []
        size = 0
        for item in found:
            if item.is_directory:
                continue
            self.check(item.path)
            if self.content.is_large(item):
                # Its windows are tasks. If it were a task itself, it would wait for its own pool.
                self.bind(item.path, self.content.read_file(item))
                continue
            batch.append(item)
            size += item.status.st_size
            if len(batch) == BATCH_FILES or size >= BATCH_BYTES:
                self.submit(batch)
                batch, size = [], 0
        self.submit(batch)
        self.settle(0)
        for item, directory in made:
            # This comes last, because binding names changed the time.
            if directory.made:
                directory.attributes = replace(
                    directory.attributes, mtime_ns=to_storable_time(item.status.st_mtime_ns)
                )

    def open(self, item: Local) -> EditedDirectory:
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

    def parent(self, path: Path) -> EditedDirectory:
        parent = self.directories.get(path[:-1])
        if parent is None:
            parent = self.directories[path[:-1]] = self.edit.make_directories(path[:-1])
        return parent

    def check(self, path: Path) -> None:
        """Check, before anything is read, that a file may be put at a path. EntryExistsError."""
        there = self.parent(path).find(path[-1]) if path else self.edit.root
        if isinstance(there, EditedDirectory) or (there is not None and not self.force):
            what = "is a directory" if isinstance(there, EditedDirectory) else "already exists"
            raise EntryExistsError(f"{show_path(path)}: {what}")

    def submit(self, batch: list[Local]) -> None:
        if batch:
            self.waiting.append(self.edit.pool.submit(self.read_batch, batch))
        self.settle(BATCHES_AHEAD)

    def settle(self, left: int) -> None:
        """Bind what has been read, until only ``left`` batches wait."""
        while len(self.waiting) > left:
            for path, entry in self.waiting.popleft().result():
                self.bind(path, entry)

    def bind(self, path: Path, entry: Entry) -> None:
        self.edit.put_in(self.parent(path), path, entry, overwrite=self.force)

    def read_batch(self, batch: list[Local]) -> list[tuple[Path, Entry]]:
        read = []
        for item in batch:
            entry = self.content.read_file(item) if item.is_file else read_symlink(item)
            read.append((item.path, entry))
        return read
