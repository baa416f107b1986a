"""The paths that two versions have differently, found through the trees' ids."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from volfs.model.entry import Entry, Totals, with_tree
from volfs.model.names import Path
from volfs.model.objects import NO_OID, Oid
from volfs.model.tree import GetTree, diff_trees


class PathChange(NamedTuple):
    """A path whose entry differs; None where it is absent.

    Directories stand before what is below them, and are there themselves only
    if they come, go, or have other attributes (times apart).
    """

    path: Path
    old: Entry | None
    new: Entry | None


def diff_directories(get: GetTree, old: Oid, new: Oid, path: Path = ()) -> Iterator[PathChange]:
    """All differing paths below two directories, in order. Cost follows what differs."""
    # A stack of its own: directories may be nested deeper than Python's calls.
    stack = [(path, diff_trees(get, old, new))]
    while stack:
        above, changes = stack[-1]
        change = next(changes, None)
        if change is None:
            stack.pop()
            continue
        name, a, b = change
        here = (*above, name)
        if not (a and b and a.is_directory and b.is_directory and _same_attributes(a, b)):
            yield PathChange(here, a, b)
        before = a.tree if a and a.is_directory else NO_OID
        after = b.tree if b and b.is_directory else NO_OID
        stack.append((here, diff_trees(get, before, after)))


def _same_attributes(a: Entry, b: Entry) -> bool:
    return (a.mode, a.uid, a.gid, a.xattrs) == (b.mode, b.uid, b.gid, b.xattrs)


def without_content(directory: Entry) -> Entry:
    """A directory's entry reduced to its own attributes."""
    return with_tree(directory, NO_OID, Totals(0, 0, 0))
