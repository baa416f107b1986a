"""Inodes: the files that the kernel knows by number, with what the overlay has changed in them.

Inodes are loaded lazily from the view. An inode stays in the table as long as the kernel remembers
it, a handle is open, or the overlay needs it.
"""

from __future__ import annotations

from collections.abc import Iterator

from volfs.model.entry import Entry, FileKind
from volfs.model.extents import ExtentMap
from volfs.model.names import Path
from volfs.vfs.numbers import ROOT_INO as ROOT_INO
from volfs.vfs.numbers import NumberOwner, Numbers

NOT_LOADED = b""
"""The name, in the root, of a hard-linked file of which no name is loaded."""


class Inode:
    """One file of any kind. ``entry`` always has its present attributes.

    ``parent`` and ``name`` say where it is bound. ``parent`` is None once it is bound nowhere.
    With several hard links they are the one that was used last. ``stamp`` grows with each change,
    so that a commit can tell whether it published the newest state.
    """

    __slots__ = ("atime_ns", "entry", "ino", "lookups", "name", "opens", "parent", "stale", "stamp")

    def __init__(self, ino: int, entry: Entry, parent: Directory | None, name: bytes) -> None:
        self.ino = ino
        self.entry = entry
        self.parent = parent
        self.name = name
        self.lookups = 0
        self.opens = 0
        self.stamp = 0
        self.stale = False
        self.atime_ns: int | None = None
        """The access time, only if it was set. Reading does not change it, and no version keeps
        it."""

    @property
    def path(self) -> Path:
        """The names from the mount's root to this inode; of a removed inode, the names from where
        the removal cut it off. Only the root's path is empty."""
        names: list[bytes] = []
        here: Inode = self
        while here.parent is not None:
            names.append(here.name)
            here = here.parent
        if here.ino != ROOT_INO:
            names.append(here.name)
        return tuple(reversed(names))


class File(Inode):
    """A file of any kind except a directory.

    ``extents`` is None while the content is the view's, as ``entry`` has it. Once the content is
    materialised, ``base`` is the entry whose content its BASE pieces mean, and ``counted`` is the
    number of bytes of data that the usage has counted for the file. ``aliases`` are the known
    names of a file with hard links. ``left`` is the place of the file at the moment when a
    checkout found another file there.
    """

    __slots__ = ("aliases", "base", "counted", "extents", "left", "run")

    def __init__(self, ino: int, entry: Entry, parent: Directory | None, name: bytes) -> None:
        super().__init__(ino, entry, parent, name)
        self.base = entry
        self.extents: ExtentMap | None = None
        self.counted = 0
        self.run: Run | None = None
        self.aliases: set[tuple[Directory, bytes]] = set()
        self.left: tuple[Directory, bytes] | None = None


class Run:
    """Room in an arena that is reserved for a growing file: from ``at`` to ``end``."""

    __slots__ = ("arena", "at", "end", "logical", "room")

    def __init__(self, arena: int, at: int, room: int, logical: int) -> None:
        self.arena = arena
        self.at = at
        self.room = room
        """Bytes of the first reservation, and of all that followed it without a gap."""
        self.end = at + room
        self.logical = logical
        """The file's offset that belongs at ``at``."""


class Directory(Inode):
    """A directory: the tree of ``entry``, with ``changed`` names on top.

    ``children`` holds the loaded names. Names in ``changed`` are bound by the overlay, and there
    None is a whiteout. ``count`` is the number of names, None until it is needed.
    """

    __slots__ = ("changed", "children", "count")

    def __init__(self, ino: int, entry: Entry, parent: Directory | None, name: bytes) -> None:
        super().__init__(ino, entry, parent, name)
        self.children: dict[bytes, Inode | None] = {}
        self.changed: set[bytes] = set()
        self.count: int | None = None

    @property
    def is_made(self) -> bool:
        """Whether the overlay, and not the view, has bound the directory at its place."""
        return self.parent is not None and self.name in self.parent.changed


class InodeTable:
    """Every loaded inode by number, and the hard-linked files by group."""

    def __init__(self) -> None:
        self._by_ino: dict[int, Inode] = {}
        self.by_group: dict[int, File] = {}
        self.numbers = Numbers()

    def __len__(self) -> int:
        return len(self._by_ino)

    def __iter__(self) -> Iterator[Inode]:
        return iter(self._by_ino.values())

    def find(self, ino: int) -> Inode | None:
        return self._by_ino.get(ino)

    def add(
        self, entry: Entry, parent: Directory | None, name: bytes, ino: int | None = None
    ) -> Inode:
        """Add a new inode, with the number of its place, or with the number that a catalog
        recorded."""
        if ino is None:
            ino = self._choose(entry, parent, name)
        kind = Directory if entry.kind == FileKind.DIRECTORY else File
        inode = kind(ino, entry, parent, name)
        self._by_ino[ino] = inode
        if isinstance(inode, File) and entry.group:
            self.by_group[entry.group] = inode
        return inode

    def _choose(self, entry: Entry, parent: Directory | None, name: bytes) -> int:
        if parent is None:
            return ROOT_INO
        return self.numbers.choose(key_of(entry, parent, name), self._by_ino.__contains__)

    def keep_number(self, inode: Inode, parent: Directory, name: bytes) -> None:
        """Keep an inode's number for its name, so that a later lookup gives the same number after
        the inode was unloaded."""
        self.numbers.keep(key_of(inode.entry, parent, name), inode.ino)

    def remove(self, inode: Inode) -> None:
        self._by_ino.pop(inode.ino, None)
        if isinstance(inode, File) and self.by_group.get(inode.entry.group) is inode:
            del self.by_group[inode.entry.group]


def key_of(entry: Entry, parent: Directory, name: bytes) -> NumberOwner:
    """The key of a file's inode number: its link group, or else its directory's number and its
    name."""
    return entry.group or (parent.ino, name)
