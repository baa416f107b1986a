"""Putting a local file or directory into a volume, as one version.

The local tree is listed first. A pool of threads then reads its files in batches, because for
small files Python itself takes the time, and this thread binds them to names. A file that changes
while it is read ends the whole put, and nothing is published.
"""

from __future__ import annotations

import os
import secrets
import stat
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
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
from volfs.volume.local_xattrs import read_local_xattrs
from volfs.volume.progress import ProgressTally
from volfs.volume.put_choice import (
    PutAction,
    PutRules,
    choose_changed,
    identify_file,
    iter_unlisted,
    list_groups,
    sort_actions,
)
from volfs.volume.store_places import StorePlaces

BATCH_FILES = 64
BATCH_BYTES = 4 << 20
BATCHES_AHEAD = 8
"""Batches that may wait to be bound: enough to keep the threads busy, and few enough for
memory."""


@dataclass
class PutResult:
    published: Published | None
    """None after a dry run."""
    files: int
    bytes: int
    skipped: list[str] = field(default_factory=list)
    """Sockets, fifos and devices, which were left out."""
    actions: list[PutAction] = field(default_factory=list)
    """What became of each path that changed, in the order of the paths."""


def put_local(
    store: Store,
    volume: VolumeRecord,
    local: str | os.PathLike[str],
    path: Path,
    *,
    force: bool = False,
    rules: PutRules | None = None,
    note: CommitNote | None = None,
    report: Report = report_nothing,
) -> PutResult:
    """Put a file at ``path``, or the contents of a directory below it, as one version.

    ``rules``, if given, say more than ``force``.

    A symlink named as ``local`` is followed. Symlinks found below it are kept as symlinks. A pipe
    is read to its end. EntryExistsError for a file that exists already, unless ``force``;
    LocalFileError; LimitError. On any error nothing is published.
    """
    top = os.fsencode(local)
    note = note or CommitNote(message=f"put {to_text(join_path(path))}")
    rules = rules or PutRules(force)
    places = StorePlaces(store)
    places.check_path(top)
    with local_errors(top):
        status = os.stat(top)
    if not stat.S_ISDIR(status.st_mode):
        return _put_named(store, volume, Local(top, path, status), rules, note, report)
    with local_errors(top):
        tree = OpenTree(top)
    with tree:
        scanned = scan(tree.top, path, places, rules.excluded if rules.excludes else None)
        result = _put_found(store, volume, scanned.found, (), rules, note, report, scanned.listed)
    result.skipped += scanned.skipped
    return result


def _put_named(
    store: Store,
    volume: VolumeRecord,
    item: Local,
    rules: PutRules,
    note: CommitNote,
    report: Report,
) -> PutResult:
    """Put one file that the user named, or the bytes of a pipe to its end."""
    stream = open_stream(item)
    if stream is None:
        return _put_found(store, volume, [item], (), rules, note, report)
    with stream.file:
        return _put_found(store, volume, [], [stream], rules, note, report)


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
    return _put_found(store, volume, (), [stream], PutRules(force), note, report_nothing)


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
    return _put_found(store, volume, files, streams, PutRules(force), note, report)


def _put_found(
    store: Store,
    volume: VolumeRecord,
    found: Sequence[Local],
    streams: Sequence[ByteStream],
    rules: PutRules,
    note: CommitNote | None,
    report: Report,
    listed: Mapping[Path, set[bytes]] = {},
) -> PutResult:
    with Edit(store, volume) as edit:
        chosen = choose_changed(edit, found, rules)
        files = [item for item in chosen if item.is_file]
        size = sum(item.status.st_size for item in files)
        tally = ProgressTally(report, len(files) + len(streams), size)
        put = _Put(edit, rules, tally)
        for stream in streams:
            put.check(stream.path)
        put.run(chosen, listed)
        for stream in streams:
            put.bind(stream.path, put.content.read_stream(stream))
        actions = sort_actions(put.actions)
        if rules.dry_run:
            return PutResult(None, tally.files, tally.bytes, actions=actions)
        published = edit.commit(note or CommitNote(message=f"put {tally.files} files"))
    return PutResult(published, tally.files, tally.bytes, actions=actions)


# --- reading and binding ----------------------------------------------------


class _Put:
    """One put. It opens the directories, reads the files, and binds the entries."""

    def __init__(self, edit: Edit, rules: PutRules, tally: ProgressTally) -> None:
        self.edit = edit
        self.rules = rules
        self.content = LocalContent(edit, tally)
        self.directories: dict[Path, EditedDirectory] = {}
        self.waiting: deque[Future[list[tuple[Path, Entry]]]] = deque()
        self.actions: list[PutAction] = []

    def run(self, found: Sequence[Local], listed: Mapping[Path, set[bytes]] = {}) -> None:
        made = [(item, self.open(item)) for item in found if item.is_directory]
        if self.rules.delete:
            top = found[0].path if found else ()
            for path, directory in self.directories.copy().items():
                if path in listed:
                    names = listed[path]
                    self.actions += iter_unlisted(directory, path, names, self.rules, len(top))
        files = [item for item in found if not item.is_directory]
        for item in files:
            self.check(item.path)
        if self.rules.dry_run:
            return
        groups = list_groups(files) if self.rules.preserve else {}
        first = {id(items[0]) for items in groups.values()}
        self.read(i for i in files if identify_file(i) not in groups or id(i) in first)
        for items in groups.values():
            self.link(items)
        for item, directory in made:
            # This comes last, because binding names changed the time.
            self.finish(item, directory)

    def read(self, files: Iterable[Local]) -> None:
        batch: list[Local] = []
        size = 0
        for item in files:
            if self.content.is_large(item):
                # Its windows are tasks. If it were a task itself, it would wait for its own pool.
                self.bind(item.path, self.describe(item, self.content.read_file(item)))
                continue
            batch.append(item)
            size += item.status.st_size
            if len(batch) == BATCH_FILES or size >= BATCH_BYTES:
                self.submit(batch)
                batch, size = [], 0
        self.submit(batch)
        self.settle(0)

    def link(self, items: Sequence[Local]) -> None:
        """Make the names of one local file hard links of what was read for the first of them."""
        record = self.parent(items[0].path).find(items[0].path[-1])
        assert isinstance(record, Entry), "a file was read"
        group = secrets.randbits(62) + 1
        self.edit.records[group] = record
        for item in items:
            name = Entry(item.path[-1], FileKind.FILE, group=group)
            self.edit.put_in(self.parent(item.path), item.path, name)

    def finish(self, item: Local, directory: EditedDirectory) -> None:
        """Give a directory the time of the local one, if it was made, and all attributes if they
        are preserved."""
        if directory.made or self.rules.preserve:
            entry = replace(
                directory.attributes, mtime_ns=to_storable_time(item.status.st_mtime_ns)
            )
            if self.rules.preserve:
                entry = self.describe(item, replace(entry, mode=stat.S_IMODE(item.status.st_mode)))
            directory.touched |= entry != directory.attributes
            directory.attributes = entry

    def describe(self, item: Local, entry: Entry) -> Entry:
        """The entry with the owner and the extended attributes of the local file, if they are
        preserved."""
        if not self.rules.preserve:
            return entry
        owner = item.status
        xattrs = read_local_xattrs(item)
        return replace(entry, uid=owner.st_uid, gid=owner.st_gid, xattrs=xattrs)

    def open(self, item: Local) -> EditedDirectory:
        """The volume's directory for a local one: as it is, or new with the local attributes."""
        if not item.path:
            directory = self.edit.root
        else:
            parent = self.parent(item.path)
            there = parent.find(item.path[-1])
            if isinstance(there, Entry) and not self.rules.delete:
                raise NotADirectoryInVolumeError(f"{show_path(item.path)}: not a directory")
            if not isinstance(there, EditedDirectory):
                self.actions.append(PutAction("T" if there else "A", item.path))
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
        parent = self.parent(path) if path else None
        there = parent.find(path[-1]) if parent else self.edit.root
        if isinstance(there, EditedDirectory) and parent and self.rules.delete:
            parent.bind(path[-1], None)
            self.actions.append(PutAction("T", path))
            return
        if isinstance(there, EditedDirectory) or (there is not None and not self.rules.force):
            what = "is a directory" if isinstance(there, EditedDirectory) else "already exists"
            raise EntryExistsError(f"{show_path(path)}: {what}")
        self.actions.append(PutAction("A" if there is None else "M", path))

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
        """Bind what was read. EntryExistsError if two files go to one path, unless one may replace
        the other."""
        self.edit.put_in(self.parent(path), path, entry, overwrite=self.rules.force)

    def read_batch(self, batch: list[Local]) -> list[tuple[Path, Entry]]:
        read = []
        for item in batch:
            entry = self.content.read_file(item) if item.is_file else read_symlink(item)
            read.append((item.path, self.describe(item, entry)))
        return read
