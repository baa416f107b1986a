"""What a mount changed, as data, and its application to the tree that it began from.

``apply_delta`` knows no conflicts. It makes the *local* tree of one mount from the base that this
mount saw. ``model/merge.py`` brings the local tree together with what others published.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from volfs.errors import NoEntryError
from volfs.model.entry import Entry, replace, with_tree
from volfs.model.links import settle_links
from volfs.model.manifest import ROOT_NAME, Snapshot
from volfs.model.names import Path, show_path
from volfs.model.objects import Oid, Put
from volfs.model.tree import GetTree, diff_trees, edit_tree, find_entry


@dataclass(slots=True)
class DirectoryDelta:
    """The changes of one directory.

    ``names`` maps each changed name to its new state: None is a whiteout, an Entry a file with
    that name, a DirectoryDelta a directory with changes below. ``attributes`` replace the
    directory's own (name, tree and totals in them are ignored), or are None. ``start`` is None for
    a directory that the base has at this path. For a directory that was made or moved here,
    ``start`` is the tree that it came with.
    """

    attributes: Entry | None = None
    start: Oid | None = None
    names: dict[bytes, Entry | DirectoryDelta | None] = field(default_factory=dict)


@dataclass(slots=True)
class Delta:
    """A sealed overlay: the changed part of the directory tree, and link records by group."""

    root: DirectoryDelta = field(default_factory=DirectoryDelta)
    records: dict[int, Entry] = field(default_factory=dict)

    def at(self, path: Path) -> DirectoryDelta:
        """The delta of the directory at ``path``, which the base has; made if it is missing."""
        here = self.root
        for name in path:
            below = here.names.get(name)
            if not isinstance(below, DirectoryDelta):
                below = here.names[name] = DirectoryDelta()
            here = below
        return here


def make_replacement(get: GetTree, base: Snapshot, wanted: Snapshot) -> Delta:
    """The delta that turns ``base`` into ``wanted``, whatever the two have in common."""
    changes = diff_trees(get, base.links, wanted.links)
    records = {int(name, 16): record for name, _, record in changes if record is not None}
    return Delta(DirectoryDelta(wanted.root, wanted.root.tree), records)


class Applied(NamedTuple):
    """The local tree, and the new entry of each directory that the delta names."""

    snapshot: Snapshot
    directories: dict[Path, Entry]


def apply_delta(get: GetTree, put: Put, base: Snapshot, delta: Delta) -> Applied:
    """``base`` with the delta applied. NoEntryError if the delta belongs to another base."""
    # Two passes and no recursion: directories may be nested deeper than Python's calls.
    directories: dict[Path, Entry] = {}
    for node in reversed(list(_iter_nodes(get, base.root, delta.root))):
        edits = {
            name: directories[*node.path, name] if isinstance(change, DirectoryDelta) else change
            for name, change in node.delta.names.items()
        }
        edited = edit_tree(get, put, node.base.tree, edits)
        directories[node.path] = with_tree(node.base, edited.oid, edited.totals)
    snapshot = settle_links(get, put, base, directories[()], delta.records)
    return Applied(snapshot, directories)


class _DeltaNode(NamedTuple):
    """A directory that the delta names. ``base`` has its new attributes and its old tree."""

    path: Path
    delta: DirectoryDelta
    base: Entry


def _iter_nodes(get: GetTree, root: Entry, delta: DirectoryDelta) -> Iterator[_DeltaNode]:
    """The delta's directories, each before the directories below it."""
    stack = [_make_node((), delta, root)]
    while stack:
        node = stack.pop()
        yield node
        for name, change in node.delta.names.items():
            if isinstance(change, DirectoryDelta):
                base = find_entry(get, node.base.tree, name)
                stack.append(_make_node((*node.path, name), change, base))


def _make_node(path: Path, delta: DirectoryDelta, base: Entry | None) -> _DeltaNode:
    attributes, start = delta.attributes or base, delta.start
    if start is None:
        if base is None or not base.is_directory:
            raise NoEntryError(f"{show_path(path)}: the delta changes a directory not there")
        start = base.tree
    assert attributes is not None, "a directory that is made has attributes"
    name = path[-1] if path else ROOT_NAME
    return _DeltaNode(path, delta, replace(attributes, name=name, root=start))
