"""What a volume should look like: a tree of plain Python values, and the rules of a merge.

Written without a look at how volfs does it, so slow and simple. ``volume`` has
the same clock as the mounts it is compared with.
"""

from __future__ import annotations

import copy
from collections import Counter
from dataclasses import dataclass, field

from volfs.model.names import Path

DIRECTORY, FILE, SYMLINK = "DIRECTORY", "FILE", "SYMLINK"


@dataclass(eq=False, repr=False)
class Node:
    """A file of any kind. Hard links are several names of one object."""

    kind: str
    mode: int
    mtime: int
    ctime: int
    data: bytes = b""
    target: bytes = b""
    xattrs: dict[bytes, bytes] = field(default_factory=dict)
    names: dict[bytes, Node] = field(default_factory=dict)

    @property
    def is_directory(self) -> bool:
        return self.kind == DIRECTORY


class Tree:
    """A tree of nodes, as one mount sees it, or as one version has it."""

    def __init__(self, root: Node) -> None:
        self.root = root

    def copy(self) -> Tree:
        return Tree(copy.deepcopy(self.root))

    def find(self, path: Path) -> Node | None:
        here: Node | None = self.root
        for name in path:
            here = here.names.get(name) if here is not None and here.is_directory else None
        return here

    def get(self, path: Path) -> Node:
        found = self.find(path)
        assert found is not None, path
        return found

    def walk(self) -> list[tuple[Path, Node]]:
        found: list[tuple[Path, Node]] = [((), self.root)]
        for path, node in found:
            found += [((*path, name), below) for name, below in node.names.items()]
        return found

    # --- operations ------------------------------------------------------

    def bind(self, path: Path, node: Node, now: int) -> None:
        parent = self.get(path[:-1])
        parent.names[path[-1]] = node
        parent.mtime = parent.ctime = now

    def unbind(self, path: Path, now: int) -> Node:
        parent = self.get(path[:-1])
        parent.mtime = parent.ctime = now
        node = parent.names.pop(path[-1])
        node.ctime = now
        return node

    def make(self, path: Path, kind: str, mode: int, now: int, target: bytes = b"") -> Node:
        node = Node(kind, mode, now, now, target=target)
        self.bind(path, node, now)
        return node

    def rename(self, path: Path, new: Path, now: int) -> None:
        if self.find(new) is self.get(path):
            return
        if self.find(new) is not None:
            self.unbind(new, now)
        node = self.unbind(path, now)
        self.bind(new, node, now)

    def exchange(self, path: Path, new: Path, now: int) -> None:
        one, two = self.get(path), self.get(new)
        if one is two:
            return
        self.bind(path, two, now)
        self.bind(new, one, now)
        one.ctime = two.ctime = now

    # --- showing ---------------------------------------------------------

    def describe(self) -> dict[Path, tuple[object, ...]]:
        """As ``rig.list_tree`` has it."""
        nodes = self.walk()
        links = Counter(id(node) for _, node in nodes)
        found = {}
        for path, node in nodes:
            count = links[id(node)]
            if node.is_directory:
                count = 2 + sum(below.is_directory for below in node.names.values())
            shown: tuple[object, ...] = (node.kind, node.mode, 0, count, (node.mtime, node.ctime))
            shown += (tuple(sorted(node.xattrs.items())), node.target)
            found[path] = shown if node.kind != FILE else (*shown, node.data)
        return found


def write(data: bytes, offset: int, piece: bytes) -> bytes:
    """``data`` with a piece written over it."""
    filled = data.ljust(offset, b"\0")
    return filled[:offset] + piece + filled[offset + len(piece) :]


def is_same(a: Node | None, b: Node | None) -> bool:
    """Whether two nodes are equal in everything, and all below them."""
    if a is None or b is None:
        return a is b
    return (
        facts(a) == facts(b)
        and (a.mtime, a.ctime, a.names.keys()) == (b.mtime, b.ctime, b.names.keys())
        and all(is_same(below, b.names[name]) for name, below in a.names.items())
    )


def is_same_but_times(a: Node | None, b: Node) -> bool:
    return (
        a is not None
        and facts(a) == facts(b)
        and a.names.keys() == b.names.keys()
        and all(is_same(below, b.names[name]) for name, below in a.names.items())
    )


def facts(node: Node) -> tuple[object, ...]:
    return node.kind, node.mode, node.data, node.target, node.xattrs


def merge(base: Node | None, ours: Node | None, theirs: Node | None) -> Node | None:
    """What is there after both changed ``base`` and ours is the later. No hard links."""
    if is_same(ours, theirs) or is_same(theirs, base):
        return copy.deepcopy(ours)
    if is_same(ours, base):
        return copy.deepcopy(theirs)
    sides = [side for side in (ours, theirs) if side is not None]
    before = base if base is not None and base.is_directory else None
    if all(side.is_directory for side in sides) and (len(sides) == 2 or before):
        return _merge_directories(before, ours, theirs)
    return copy.deepcopy(ours)


def _merge_directories(base: Node | None, ours: Node | None, theirs: Node | None) -> Node | None:
    trees = [node.names if node is not None else {} for node in (base, ours, theirs)]
    names: dict[bytes, Node] = {}
    for name in sorted(set().union(*trees)):
        merged = merge(*(tree.get(name) for tree in trees))
        if merged is not None:
            names[name] = merged
    if ours is None or theirs is None:
        only = ours or theirs
        assert only is not None
        is_ours = ours is not None and not is_same_but_times(base, ours)
        return _directory(only, names) if names or is_ours else None
    unchanged = base is not None and facts(base) == facts(ours)
    merged = _directory(theirs if unchanged else ours, names)
    merged.mtime = _merge_times(base and base.mtime, ours.mtime, theirs.mtime)
    merged.ctime = _merge_times(base and base.ctime, ours.ctime, theirs.ctime)
    return merged


def _merge_times(base: int | None, ours: int, theirs: int) -> int:
    if ours == base:
        return theirs
    return ours if theirs == base else max(ours, theirs)


def _directory(node: Node, names: dict[bytes, Node]) -> Node:
    xattrs = dict(node.xattrs)
    return Node(DIRECTORY, node.mode, node.mtime, node.ctime, xattrs=xattrs, names=names)
