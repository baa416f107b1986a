"""The content of an overlay by path: a delta as values, apart from the version below it.

It is made from the catalog's records. If the overlay bound a directory that has names of the
version below it (the directory was moved), these names belong to the overlay, and are read from
the store as far as it has them. The result is a ``LeftTree``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from volfs.errors import DataError, FileSystemError
from volfs.model.entry import Entry, FileKind
from volfs.model.extents import ExtentMap
from volfs.model.links import find_groups, resolve_link
from volfs.model.manifest import Snapshot
from volfs.model.names import Path, show_path
from volfs.model.tree import iter_entries
from volfs.vfs.inode import NOT_LOADED, ROOT_INO
from volfs.vfs.records import StoredInode
from volfs.vfs.salvage import Salvaged, explain
from volfs.volume.version_reader import Reader


@dataclass(slots=True, eq=False)
class LeftFile:
    """A file of any kind except a directory. All names of one file share one ``LeftFile``."""

    entry: Entry
    base: Entry
    """The entry whose content the BASE pieces mean."""
    extents: ExtentMap
    ino: int = 0
    is_written: bool = False
    """Whether at least a part of the content is the overlay's; else all of it is the base's."""
    is_doubtful: bool = False
    """Whether parts that no piece covers may be something else than zeros."""


@dataclass(slots=True, eq=False)
class LeftDirectory:
    entry: Entry
    is_changed: bool
    """Whether the directory has changes of its own; else it only leads to changes."""


class Left(NamedTuple):
    """The present meaning of one path. ``what`` is None if the path was removed."""

    path: Path
    what: LeftFile | LeftDirectory | None
    is_bound: bool = True
    """Whether the overlay bound this name, or a directory above it; else the name was there
    before."""


class Unknown(NamedTuple):
    """Something that the overlay holds and nobody can tell any more: what is below a path, or
    whose name a path is."""

    path: Path
    problem: str


@dataclass(slots=True)
class LeftTree:
    """All that an overlay holds. In ``items`` a directory comes before the names in it.

    ``strays`` are files and directories to which no path leads any more. Each gets a made-up name,
    with all below it.
    """

    root: Entry
    is_root_changed: bool = False
    items: list[Left] = field(default_factory=list)
    strays: list[Left] = field(default_factory=list)
    unknown: list[Unknown] = field(default_factory=list)
    partly_named: set[LeftFile] = field(default_factory=set)
    """Files with hard links that had more names, which only the version could tell."""


def read_left_tree(salvaged: Salvaged, reader: Reader, sub_path: Path = ()) -> LeftTree:
    """Read all that the records tell. StoreError. What the store lacks is ``unknown``."""
    return _Building(salvaged, reader, sub_path).run()


class _Building:
    def __init__(self, salvaged: Salvaged, reader: Reader, sub_path: Path) -> None:
        self.recorded = salvaged.recorded
        self.doubtful = salvaged.doubtful
        self.reader = reader
        self.sub_path = sub_path
        base = self.recorded.base
        self.snapshot: Snapshot | None = base.snapshot if base else None
        self.children = self.find_children()
        self.files: dict[int, LeftFile] = {}
        self.groups: dict[int, LeftFile] = {}
        """The files with hard links, by group."""
        self.named: dict[int, int] = {}
        """The number of names under which each file was met."""
        self.seen: set[int] = set()
        root = self.recorded.inodes.get(ROOT_INO)
        entry = root.entry if root else Entry(b"", FileKind.DIRECTORY, 0o755)
        self.tree = LeftTree(entry, root is not None and root.dirty)

    def run(self) -> LeftTree:
        self.seen.add(ROOT_INO)
        self.meet_groups()
        self.tree.items.extend(self.walk((), ROOT_INO, is_bound=False))
        self.find_other_names()
        for ino, inode in sorted(self.recorded.inodes.items()):
            if ino not in self.seen and inode.parent not in self.recorded.inodes:
                self.add_stray(ino, inode)
        for ino, inode in sorted(self.recorded.inodes.items()):
            if ino not in self.seen:  # The inode is bound where nothing can be.
                self.add_stray(ino, inode)
        return self.tree

    def find_children(self) -> dict[int, dict[bytes, tuple[int, bool]]]:
        """For each directory its names: the inode (0: removed), and whether the overlay bound
        it."""
        children: dict[int, dict[bytes, tuple[int, bool]]] = {}
        for parent, name, ino in self.recorded.names:
            children.setdefault(parent, {})[name] = ino, True
        for ino, inode in self.recorded.inodes.items():
            if ino != ROOT_INO and inode.name != NOT_LOADED:
                children.setdefault(inode.parent, {}).setdefault(inode.name, (ino, False))
        return children

    # --- the records -----------------------------------------------------

    def walk(self, path: Path, ino: int, *, is_bound: bool) -> Iterator[Left]:
        """Yield what is below a directory. No recursion, because it may be deep."""
        waiting = [(path, ino, is_bound)]
        while waiting:
            here, number, moved = waiting.pop()
            names = self.children.get(number, {})
            for name, (child, bound) in sorted(names.items()):
                for left in self.take((*here, name), child, bound or moved):
                    yield left
                    if isinstance(left.what, LeftDirectory):
                        waiting.append((left.path, child, left.is_bound))
            if moved:
                yield from self.expand(here, self.recorded.inodes[number].entry, set(names))

    def take(self, path: Path, ino: int, is_bound: bool) -> list[Left]:
        if ino == 0:
            return [Left(path, None)]
        inode = self.recorded.inodes.get(ino)
        if inode is None:
            self.tree.unknown.append(Unknown(path, "its record is lost"))
            return []
        if not inode.entry.is_directory:
            self.seen.add(ino)
            self.named[ino] = self.named.get(ino, 0) + 1
            return [Left(path, self.file(ino, inode), is_bound)]
        if ino in self.seen:
            return []
        self.seen.add(ino)
        return [Left(path, LeftDirectory(inode.entry, inode.dirty), is_bound)]

    def file(self, ino: int, inode: StoredInode) -> LeftFile:
        if ino not in self.files:
            made = self.make_file(ino, inode)
            self.files[ino] = made
            if inode.entry.group:
                self.groups[inode.entry.group] = made
        return self.files[ino]

    def make_file(self, ino: int, inode: StoredInode) -> LeftFile:
        if inode.base is None:
            return _whole(inode.entry, ino)
        pieces = self.recorded.pieces.get(ino, [])
        extents = ExtentMap(inode.size, pieces)
        return LeftFile(inode.entry, inode.base, extents, ino, True, ino in self.doubtful)

    # --- what the version has --------------------------------------------

    def expand(self, path: Path, directory: Entry, known: set[bytes]) -> Iterator[Left]:
        """Yield the names that a directory brought with it when it was moved."""
        waiting = [(path, directory, known)]
        while waiting:
            here, entry, hidden = waiting.pop()
            try:
                below = iter_entries(self.reader.get_tree, entry.tree)
                whole = [self.resolve(e) for e in below if e.name not in hidden]
            except DataError as error:
                self.tree.unknown.append(Unknown(here, f"names in it are {explain(error)}"))
                continue
            for child in whole:
                at = (*here, child.name)
                yield Left(at, self.of_version(child))
                if child.is_directory:
                    waiting.append((at, child, set()))

    def resolve(self, entry: Entry) -> Entry:
        if not entry.group or entry.group in self.groups or self.snapshot is None:
            return entry
        return resolve_link(self.reader.get_tree, self.snapshot.links, entry)

    def of_version(self, entry: Entry) -> LeftFile | LeftDirectory:
        if entry.is_directory:
            return LeftDirectory(entry, True)
        if not entry.group:
            return _whole(entry)
        file = self.groups.setdefault(entry.group, _whole(entry))
        self.seen.add(file.ino)
        self.named[file.ino] = self.named.get(file.ino, 0) + 1
        return file

    def find_other_names(self) -> None:
        """Add those names of changed files with hard links that the mount had not met."""
        wanted = {
            inode.entry.group: ino
            for ino, inode in self.recorded.inodes.items()
            if inode.entry.group and inode.dirty and self.named.get(ino, 0) < inode.entry.links
        }
        if not wanted or self.snapshot is None:
            return
        try:
            top = self.reader.find_path(self.snapshot, self.sub_path)
            found = list(find_groups(self.reader.get_tree, top.tree, wanted)) if top else []
        except (DataError, FileSystemError):  # Files without any known name become strays.
            known = (self.files[ino] for ino in wanted.values() if ino in self.seen)
            self.tree.partly_named.update(known)
            return
        for path, entry in sorted(found):
            if self.is_untouched(path):
                self.add_other_name(path, wanted[entry.group])

    def meet_groups(self) -> None:
        """Make the files with hard links first, because a moved directory may have names of
        changed files."""
        for ino, inode in self.recorded.inodes.items():
            if inode.entry.group:
                self.file(ino, inode)

    def is_untouched(self, path: Path) -> bool:
        """Whether a path of the version means the same in the overlay, which does not know it."""
        ino = ROOT_INO
        for name in path:
            ino, is_bound = self.children.get(ino, {}).get(name, (-1, False))
            if ino < 0:
                return True
            if is_bound:
                return False
        return False

    def add_other_name(self, path: Path, ino: int) -> None:
        self.seen.add(ino)
        self.add_directories(path[:-1])
        self.tree.items.append(Left(path, self.file(ino, self.recorded.inodes[ino]), False))

    def add_directories(self, path: Path) -> None:
        """Add the version's directories that lead to a path, as the version has them."""
        known = {left.path for left in self.tree.items}
        for depth in range(1, len(path) + 1):
            if path[:depth] not in known and self.snapshot is not None:
                entry = self.reader.get_path(self.snapshot, (*self.sub_path, *path[:depth]))
                self.tree.items.append(Left(path[:depth], LeftDirectory(entry, False), False))

    # --- what has no path ------------------------------------------------

    def add_stray(self, ino: int, inode: StoredInode) -> None:
        path = (b"inode-%d" % ino,)
        name = f", called {show_path((inode.name,))}" if inode.name else ""
        problem = f"where it was{name} is not known"
        self.tree.unknown.append(Unknown(path, problem))
        for left in self.take(path, ino, True):
            self.tree.strays.append(left)
            if isinstance(left.what, LeftDirectory):
                self.tree.strays.extend(self.walk(path, ino, is_bound=True))


def _whole(entry: Entry, ino: int = 0) -> LeftFile:
    """A file whose content is exactly what its entry says."""
    size = entry.size if entry.kind == FileKind.FILE else 0
    return LeftFile(entry, entry, ExtentMap.of_base(size), ino)
