"""Changing the committed state without a mount: each edit is one atomic version.

An ``Edit`` is a working copy of the version that it began with. Directories are opened as they are
needed, and remember which of their names have changed. ``commit`` makes a delta of the changes and
commits it as a mount's delta is committed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Self

from volfs.errors import (
    DirectoryNotEmptyError,
    EntryExistsError,
    InvalidPathError,
    IsADirectoryInVolumeError,
    NoEntryError,
    NotADirectoryInVolumeError,
)
from volfs.model.delta import Delta, DirectoryDelta
from volfs.model.entry import Entry, FileKind, Totals, replace, with_tree
from volfs.model.names import Path, parse_path, show_path
from volfs.model.objects import NO_OID
from volfs.model.profile import get_profile
from volfs.model.tree import GetTree, count_entries, find_entry, iter_entries
from volfs.store.clock import now_ns
from volfs.store.contract.refs import VolumeRecord
from volfs.store.contract.store import Store
from volfs.volume.commit import CommitNote, CommitTarget, DeltaBase, Published, commit_delta
from volfs.volume.content_writer import ContentWriter
from volfs.volume.leases import held_version
from volfs.volume.version_reader import Reader


class EditedDirectory:
    """A directory in an edit: the tree that it began with, and the names that were opened or
    changed.

    ``attributes`` are its own, but the tree in them stays the one that it began with. ``made``
    says that the base has another directory at this path, or none.
    """

    __slots__ = ("attributes", "get_tree", "length", "made", "names", "touched")

    def __init__(self, get_tree: GetTree, attributes: Entry, *, made: bool = False) -> None:
        self.get_tree = get_tree
        self.attributes = attributes
        self.made = made
        self.touched = False
        self.names: dict[bytes, Entry | EditedDirectory | None] = {}
        self.length = count_entries(get_tree, attributes.tree)

    def find(self, name: bytes) -> Entry | EditedDirectory | None:
        """What a name stands for now; None for nothing. A hard link is as it is in the tree."""
        if name in self.names:
            return self.names[name]
        entry = find_entry(self.get_tree, self.attributes.tree, name)
        return self._open(entry) if entry and entry.is_directory else entry

    def iter_items(self) -> Iterator[tuple[bytes, Entry | EditedDirectory]]:
        """Yield all names with what they stand for, those of the base first."""
        seen = set()
        for entry in iter_entries(self.get_tree, self.attributes.tree):
            seen.add(entry.name)
            found = self.find(entry.name)
            if found is not None:
                yield entry.name, found
        for name, found in list(self.names.items()):
            if found is not None and name not in seen:
                yield name, found

    def bind(self, name: bytes, what: Entry | EditedDirectory | None) -> None:
        """Let a name stand for something else, or (None) for nothing."""
        self.length += (what is not None) - (self.find(name) is not None)
        self.names[name] = replace(what, name=name) if isinstance(what, Entry) else what
        now = now_ns()
        self.attributes = replace(self.attributes, mtime_ns=now, ctime_ns=now)
        self.touched = True

    def copy(self) -> EditedDirectory:
        """Another directory with the same tree and changes."""
        top = self._copy_names()
        waiting = [top]
        for here in waiting:
            for name, what in here.names.items():
                if isinstance(what, EditedDirectory):
                    below = here.names[name] = what._copy_names()
                    waiting.append(below)
        return top

    def _copy_names(self) -> EditedDirectory:
        """A copy whose directories are the very directories of the original."""
        twin = EditedDirectory(self.get_tree, self.attributes, made=self.made)
        twin.touched, twin.length = self.touched, self.length
        twin.names = self.names.copy()
        return twin

    def replace_links(self, change: Callable[[Entry], Entry]) -> None:
        """Let each name of a hard link, at any depth, stand for ``change`` of its entry.

        Opens all directories below.
        """
        waiting = [self]
        while waiting:
            here = waiting.pop()
            for name, what in list(here.iter_items()):
                if isinstance(what, EditedDirectory):
                    waiting.append(what)
                elif what.group:
                    here.names[name] = change(what)

    def find_delta(self) -> DirectoryDelta | None:
        """The changes as a delta; None if there are none."""
        opened = [self]
        for here in opened:
            opened += [below for below in here.names.values() if isinstance(below, EditedDirectory)]
        found: dict[int, DirectoryDelta | None] = {}
        for here in reversed(opened):
            found[id(here)] = here._make_delta(found)
        return found[id(self)]

    def _make_delta(self, below: Mapping[int, DirectoryDelta | None]) -> DirectoryDelta | None:
        """The changes of this directory. ``below`` has the deltas of the directories in it, by
        their identity."""
        names: dict[bytes, Entry | DirectoryDelta | None] = {}
        for name, what in self.names.items():
            change = below[id(what)] if isinstance(what, EditedDirectory) else what
            if change is not None or what is None:
                names[name] = change
        if not (names or self.made or self.touched):
            return None
        attributes = self.attributes if self.made or self.touched else None
        return DirectoryDelta(attributes, self.attributes.tree if self.made else None, names)

    def _open(self, entry: Entry) -> EditedDirectory:
        directory = self.names[entry.name] = EditedDirectory(self.get_tree, entry)
        return directory


class Edit:
    """Changes to one volume on their way to a version. A context manager, for one thread.

    Paths are names from the volume's root. Content goes through ``writer``, and lies in the store
    unpublished until ``commit``.
    """

    def __init__(self, store: Store, volume: VolumeRecord) -> None:
        with ExitStack() as stack:
            self.store = store
            self.volume = volume
            self.profile = get_profile(volume.profile)
            self.head = stack.enter_context(
                held_version(store, volume, lambda: store.refs.get_head(volume.id))
            )
            self.upload = stack.enter_context(store.open_upload(volume.id))
            self.pool = stack.enter_context(ThreadPoolExecutor(os.cpu_count()))
            self.reader = Reader(self.upload.load_object)
            objects = store.objects_of(volume.id)
            self.writer = ContentWriter(objects, self.upload, volume.chunk_bits, self.pool)
            self.base = self.reader.load_manifest(self.head.manifest).snapshot
            self.root = EditedDirectory(self.reader.get_tree, self.base.root)
            self.records: dict[int, Entry] = {}
            """The records of link groups that the edit changed, by group."""
            self.shares = {self.head.version}
            """The versions whose parts the new one has. They must be there until it is
            published."""
            self._stack = stack.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.pool.shutdown(wait=True, cancel_futures=True)
        self._stack.close()

    # --- looking ---------------------------------------------------------

    def find(self, path: Path) -> Entry | None:
        """The entry at a path as it is now; None if there is none. The tree and totals of a
        directory are the base's."""
        what = self._look_up(path)
        if isinstance(what, EditedDirectory):
            return what.attributes
        return what and self.reader.resolve(self.base, what)

    def get(self, path: Path) -> Entry:
        """As ``find``, but NoEntryError if there is no entry."""
        entry = self.find(path)
        if entry is None:
            raise _no_entry(path)
        return entry

    def open(self, path: Path) -> EditedDirectory:
        """The directory at a path. NoEntryError; NotADirectoryInVolumeError."""
        here = self.root
        for depth, name in enumerate(path, start=1):
            below = here.find(name)
            if below is None:
                raise _no_entry(path[:depth])
            if isinstance(below, Entry):
                raise NotADirectoryInVolumeError(f"{show_path(path[:depth])}: not a directory")
            here = below
        return here

    def _look_up(self, path: Path) -> Entry | EditedDirectory | None:
        if not path:
            return self.root
        try:
            return self.open(path[:-1]).find(path[-1])
        except NoEntryError:
            return None

    def choose_target(self, source: Path, destination: str, *, several: bool = False) -> Path:
        """The path to which cp and mv bring a source: in ``destination`` if that is a directory,
        else ``destination``.

        NotADirectoryInVolumeError if the destination must be a directory and is none.
        """
        target = parse_path(destination)
        entry = self.find(target)
        if entry is not None and entry.is_directory:
            return (*target, *source[-1:])
        what = self.find(source)
        if several or (destination.endswith("/") and not (what and what.is_directory)):
            raise NotADirectoryInVolumeError(f"{destination}: not a directory")
        return target

    # --- changing --------------------------------------------------------

    def make_directories(self, path: Path) -> EditedDirectory:
        """The directory at a path. It is made if it is missing, with the directories above it."""
        here = self.root
        for depth, name in enumerate(path, start=1):
            below = here.find(name)
            if below is None:
                below = self.new_directory(make_directory_entry())
                self.bind(here, path[:depth], below)
            if isinstance(below, Entry):
                raise NotADirectoryInVolumeError(f"{show_path(path[:depth])}: not a directory")
            here = below
        return here

    def new_directory(self, attributes: Entry) -> EditedDirectory:
        """An empty directory, which the caller binds to a name."""
        empty = with_tree(attributes, NO_OID, Totals(0, 0, 0))
        return EditedDirectory(self.reader.get_tree, empty, made=True)

    def bind(self, directory: EditedDirectory, path: Path, what: Entry | EditedDirectory) -> None:
        """Let the last name of ``path``, which lies in ``directory``, stand for ``what``.

        Whatever had the name is replaced. LimitError if the directory is full.
        """
        if directory.find(path[-1]) is None:
            self.profile.check_entries(directory.length + 1, path[:-1])
        directory.bind(path[-1], what)

    def put(self, path: Path, entry: Entry, *, overwrite: bool = True) -> None:
        """Bind a file to a path. Makes the directories above it, and never replaces a
        directory."""
        _check_not_root(path)
        directory = self.make_directories(path[:-1])
        self.put_in(directory, path, entry, overwrite=overwrite)

    def put_in(
        self, directory: EditedDirectory, path: Path, entry: Entry, *, overwrite: bool = True
    ) -> None:
        """As ``put``, if the directory of ``path`` is at hand."""
        old = directory.find(path[-1])
        if isinstance(old, EditedDirectory):
            raise IsADirectoryInVolumeError(f"{show_path(path)}: is a directory")
        if old is not None and not overwrite:
            raise EntryExistsError(f"{show_path(path)}: already exists")
        self.bind(directory, path, entry)

    def remove(self, path: Path, *, recursive: bool = False) -> None:
        """Remove a file, or with ``recursive`` a directory and all below."""
        _check_not_root(path)
        what = self._get(path)
        if isinstance(what, EditedDirectory) and not recursive:
            raise IsADirectoryInVolumeError(
                f"{show_path(path)}: is a directory; it is only removed recursively"
            )
        self.open(path[:-1]).bind(path[-1], None)

    def move(self, source: Path, target: Path) -> None:
        """Rename a file, over an existing one if there is one, or a directory with all below."""
        _check_not_below(source, target)
        what = self._get(source)
        self._place(target, what, merge=False)
        self.open(source[:-1]).bind(source[-1], None)

    def copy(self, source: Path, target: Path, *, recursive: bool = False) -> None:
        """Copy a file, or with ``recursive`` a directory into or as ``target``, sharing trees.

        A copy of a hard link is a file of its own. The copied directories are only looked into if
        the volume has hard links, or if ``target`` is an existing directory.
        """
        _check_not_below(source, target)
        what = self._get(source)
        if isinstance(what, EditedDirectory) and not recursive:
            raise IsADirectoryInVolumeError(
                f"{show_path(source)}: is a directory; it is only copied recursively"
            )
        self._place(target, self._copy_of(what), merge=True)

    def commit(self, note: CommitNote) -> Published:
        """Make the changes the next version. LimitError if a directory or the volume grew too
        large."""
        return self.commit_delta(Delta(self.root.find_delta() or DirectoryDelta()), note)

    def commit_delta(self, delta: Delta, note: CommitNote, *, exact: bool = False) -> Published:
        """As ``commit``, for a delta that was not made through this edit's directories.

        With ``exact`` the head must still be the one that the edit began with: HeadMovedError.
        """
        delta.records.update(self.records)
        base = DeltaBase(self.base, self.shares, only_on=self.head if exact else None)
        return commit_delta(CommitTarget(self.store, self.upload, self.volume), base, delta, note)

    # --- inside ----------------------------------------------------------

    def _get(self, path: Path) -> Entry | EditedDirectory:
        what = self._look_up(path)
        if what is None:
            raise _no_entry(path)
        return what

    def _place(self, path: Path, what: Entry | EditedDirectory, *, merge: bool) -> None:
        """Bind to a path by the rules of cp and mv: a directory never replaces a file, nor a file
        a directory. With ``merge`` a directory goes into an existing one."""
        _check_not_root(path)
        waiting = [(self.open(path[:-1]), path, what)]
        while waiting:
            parent, here, what = waiting.pop()
            old = parent.find(here[-1])
            if merge and isinstance(what, EditedDirectory) and isinstance(old, EditedDirectory):
                waiting += [(old, (*here, name), below) for name, below in what.iter_items()]
            else:
                self._place_one(parent, here, what, old)

    def _place_one(
        self,
        parent: EditedDirectory,
        path: Path,
        what: Entry | EditedDirectory,
        old: Entry | EditedDirectory | None,
    ) -> None:
        if isinstance(what, Entry):
            self.put_in(parent, path, what)
            return
        if isinstance(old, Entry):
            raise NotADirectoryInVolumeError(f"{show_path(path)}: not a directory")
        if old is not None and old.length:
            raise DirectoryNotEmptyError(f"{show_path(path)}: directory not empty")
        what.made = True
        self.bind(parent, path, what)

    def _copy_of(self, what: Entry | EditedDirectory) -> Entry | EditedDirectory:
        if isinstance(what, Entry):
            return self._separate(what)
        twin = what.copy()
        if self.base.links:
            twin.replace_links(self._separate)
        return twin

    def _separate(self, entry: Entry) -> Entry:
        """The entry. If it is one of several hard links, it becomes a file of its own."""
        if not entry.group:
            return entry
        return replace(self.reader.resolve(self.base, entry), group=0, links=1)


def make_directory_entry(mode: int = 0o755) -> Entry:
    """The entry of a new, empty directory of the calling user."""
    now = now_ns()
    return Entry(
        b"new", FileKind.DIRECTORY, mode, os.getuid(), os.getgid(), mtime_ns=now, ctime_ns=now
    )


def _no_entry(path: Path) -> NoEntryError:
    return NoEntryError(f"{show_path(path)}: no such file or directory")


def _check_not_root(path: Path) -> None:
    if not path:
        raise InvalidPathError("the root of a volume can be neither replaced nor removed")


def _check_not_below(source: Path, target: Path) -> None:
    _check_not_root(source)
    if target[: len(source)] == source:
        same = "are the same" if target == source else "lies in it"
        raise InvalidPathError(f"{show_path(source)} and {show_path(target)}: {same}")
