"""Inodes of a bucket's mount: everything that the kernel has a number for. Pure.

An inode is known by its place, and its key follows from the place: renaming a directory gives new
keys to everything below it. If the object of an open file is replaced, the place gets a new inode,
and the old inode is *left* to its handles alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING

from volfs.bucketfs.inode_numbers import derive_number
from volfs.bucketfs.listing import Listing
from volfs.bucketfs.names import Facts

if TYPE_CHECKING:
    from volfs.bucketfs.files import BucketObjectReader
    from volfs.bucketfs.staged import Staged

ROOT_INO = 1


class Node:
    """What files and directories have in common. ``parent`` is None if the node has no place any
    more."""

    __slots__ = ("atime_ns", "ino", "lookups", "mtime_ns", "name", "opens", "parent")

    def __init__(self, ino: int, parent: DirectoryNode | None, name: bytes) -> None:
        self.ino = ino
        self.parent = parent
        self.name = name
        self.lookups = 0
        self.opens = 0
        self.mtime_ns: int | None = None
        """The time that was set, or that of our own writing; None means the object's."""
        self.atime_ns: int | None = None

    @property
    def path(self) -> tuple[bytes, ...]:
        """The names from the mount's root. A node without a place has its last name alone."""
        names: list[bytes] = []
        here: Node = self
        while here.parent is not None:
            names.append(here.name)
            here = here.parent
        return tuple(reversed(names)) or ((self.name,) if self.name else ())

    def is_below(self, directory: DirectoryNode) -> bool:
        """Whether the node is that directory, or is in it at any depth."""
        here: Node | None = self
        while here is not None:
            if here is directory:
                return True
            here = here.parent
        return False


class FileNode(Node):
    """A file. ``facts`` are those of its object; None while the bucket does not have it."""

    __slots__ = ("facts", "reader", "shown", "staged", "writers")

    def __init__(
        self, ino: int, parent: DirectoryNode | None, name: bytes, facts: Facts | None
    ) -> None:
        super().__init__(ino, parent, name)
        self.facts = facts
        self.reader: BucketObjectReader | None = None
        """The open object, as long as there is a handle."""
        self.writers = 0
        """The number of handles that may write."""
        self.staged: Staged | None = None
        """What was written, while there is something."""
        self.shown = ""
        """The ETag of the bytes of which the kernel may have pages."""

    @property
    def key(self) -> str:
        return "/".join(name.decode() for name in self.path)

    @property
    def size(self) -> int:
        if self.staged is not None:
            return self.staged.size
        return self.facts.size if self.facts is not None else 0

    @property
    def is_ours(self) -> bool:
        """Whether the file is what this mount makes it, because somebody here writes it."""
        return bool(self.writers) or self.staged is not None


class DirectoryNode(Node):
    """A directory. ``children`` are the loaded ones; the bucket may have others."""

    __slots__ = ("children", "listing", "pending")

    def __init__(self, ino: int, parent: DirectoryNode | None, name: bytes) -> None:
        super().__init__(ino, parent, name)
        self.children: dict[bytes, FileNode | DirectoryNode] = {}
        self.pending: set[bytes] = set()
        """The names of files that were made here and that the bucket does not have yet."""
        self.listing = Listing()

    @property
    def key(self) -> str:
        """The beginning of all keys in the directory; empty for the root."""
        return "".join(name.decode() + "/" for name in self.path)

    def iter_below(self) -> Iterator[FileNode | DirectoryNode]:
        """Everything loaded below the directory."""
        for child in list(self.children.values()):
            yield child
            if isinstance(child, DirectoryNode):
                yield from child.iter_below()


AnyNode = FileNode | DirectoryNode


class NodeTable:
    """Every loaded inode by its number."""

    def __init__(self) -> None:
        self._by_ino: dict[int, AnyNode] = {}
        self._last = ROOT_INO
        self.root = DirectoryNode(ROOT_INO, None, b"")
        self._by_ino[ROOT_INO] = self.root

    def __len__(self) -> int:
        return len(self._by_ino)

    def __iter__(self) -> Iterator[AnyNode]:
        return iter(self._by_ino.values())

    def find(self, ino: int) -> AnyNode | None:
        return self._by_ino.get(ino)

    def list_idle(self, most: int) -> list[AnyNode]:
        """The oldest inodes that only the kernel keeps, at most so many."""
        idle = (
            node
            for node in self._by_ino.values()
            if node.parent is not None and not node.opens and not _has_more(node)
        )
        return list(islice(idle, most))

    def add(self, parent: DirectoryNode, name: bytes, facts: Facts | None) -> AnyNode:
        """Add an inode at a place that has none. Its number is that of the place, if the number is
        free."""
        is_directory = facts is not None and facts.is_directory
        ino = self._choose(parent, name, is_directory)
        node: AnyNode
        if is_directory:
            node = DirectoryNode(ino, parent, name)
        else:
            node = FileNode(ino, parent, name, facts)
        self._by_ino[ino] = node
        parent.children[name] = node
        return node

    def _choose(self, parent: DirectoryNode, name: bytes, is_directory: bool) -> int:
        """The number of a place, which is the same at each lookup as long as no other inode has
        it, and the name stays in its band."""
        part = name + b"/" if is_directory else name
        ino = derive_number(parent.ino, part, parent.listing.order.get_rank(part))
        while ino in self._by_ino:
            self._last += 1
            ino = self._last
        return ino

    def detach(self, node: AnyNode) -> None:
        """Take an inode from its place. Handles and the kernel still have it."""
        if node.parent is not None and node.parent.children.get(node.name) is node:
            del node.parent.children[node.name]
        node.parent = None
        self.drop_if_idle(node)

    def move(self, node: AnyNode, parent: DirectoryNode, name: bytes) -> None:
        """Move an inode to a place that has none."""
        if node.parent is not None and node.parent.children.get(node.name) is node:
            del node.parent.children[node.name]
        node.parent, node.name = parent, name
        parent.children[name] = node

    def drop_if_idle(self, node: AnyNode) -> None:
        """Forget an inode that nobody knows or has open, and directories that become empty by
        this."""
        while not (node.lookups or node.opens or node.ino == ROOT_INO):
            if _has_more(node):
                return
            self._by_ino.pop(node.ino, None)
            parent = node.parent
            if parent is None:
                return
            if parent.children.get(node.name) is node:
                del parent.children[node.name]
            node = parent


def _has_more(node: AnyNode) -> bool:
    """Whether the inode has something that the bucket does not have."""
    return node.staged is not None if isinstance(node, FileNode) else bool(node.children)
