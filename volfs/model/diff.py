"""The paths that differ between two versions, found through the ids of their trees."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from volfs.model.entry import Entry, Totals, with_tree
from volfs.model.names import Path
from volfs.model.objects import NO_OID, Oid
from volfs.model.tree import GetTree, diff_trees


class PathChange(NamedTuple):
    """A path whose entry differs; None where the path is absent.

    A directory comes before the paths below it. It is reported itself only if it comes, goes, or
    has other attributes (times apart).
    """

    path: Path
    old: Entry | None
    new: Entry | None


def diff_directories(get: GetTree, old: Oid, new: Oid, path: Path = ()) -> Iterator[PathChange]:
    """All paths that differ below two directories, in order. The cost follows what differs."""
    # The stack is our own: directories may be nested deeper than Python's calls.
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


@dataclass(slots=True)
class Made:
    """A directory of which only the names that came since count."""

    directory: Entry
    names: dict[bytes, Entry | Made] = field(default_factory=dict)

    def as_entry(self) -> Entry:
        """The entry of the directory before any of these names is in its tree."""
        below = sum(isinstance(e, Made) or e.is_directory for e in self.names.values())
        return with_tree(self.directory, NO_OID, Totals(0, 0, 0, below))

    def groups(self) -> Iterator[int]:
        """The link groups of its files."""
        waiting = [self]
        for here in waiting:
            waiting += [below for below in here.names.values() if isinstance(below, Made)]
            yield from (e.group for e in here.names.values() if isinstance(e, Entry) and e.group)


def find_made(get: GetTree, old: Entry, new: Entry) -> Made:
    """What ``new`` has and the directory ``old`` had not, at any depth. The cost follows that."""
    top = Made(new)
    opened: list[tuple[Made, bytes, Made]] = []
    waiting = [(top, old, new)]
    for here, before, after in waiting:
        for name, was, entry in diff_trees(get, before.tree, after.tree):
            if entry is not None and was is None:
                here.names[name] = entry
            elif entry and was and entry.is_directory and was.is_directory:
                below = here.names[name] = Made(entry)
                opened.append((here, name, below))
                waiting.append((below, was, entry))
    for above, name, below in reversed(opened):
        if not below.names:
            del above.names[name]
    return top
