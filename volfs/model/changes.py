"""The difference between two versions as users see it: path by path, and summed up."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from heapq import merge
from itertools import groupby
from typing import Protocol

from volfs.model.diff import PathChange, diff_directories
from volfs.model.entry import Entry
from volfs.model.links import find_groups, resolve_link
from volfs.model.manifest import Snapshot
from volfs.model.names import Path
from volfs.model.tree import GetTree, diff_trees


class ChangeKind(enum.Enum):
    """What happened to a path. The values are the letters of ``volfs diff``."""

    ADDED = "A"
    DELETED = "D"
    MODIFIED = "M"
    TYPE_CHANGED = "T"
    ATTRIBUTES = "U"
    """Only mode, owner, extended attributes or modification time differ."""

    @property
    def words(self) -> str:
        """The name of the kind in listings."""
        return (
            "attributes" if self is ChangeKind.ATTRIBUTES else self.name.lower().replace("_", " ")
        )


@dataclass(frozen=True, slots=True)
class Change:
    """A path that differs between two versions; None where the path is absent."""

    kind: ChangeKind
    path: Path
    old: Entry | None
    new: Entry | None

    @property
    def entry(self) -> Entry:
        """The entry of the newer version, or of the older one if the path was removed."""
        entry = self.new or self.old
        assert entry is not None
        return entry

    @property
    def is_directory(self) -> bool:
        return self.entry.is_directory

    @property
    def old_size(self) -> int | None:
        """The size before; None for a directory, and for what was not there."""
        return _find_size(self.old)

    @property
    def new_size(self) -> int | None:
        return _find_size(self.new)

    @property
    def attributes(self) -> list[str]:
        """The attributes that differ, by the names that users know."""
        if not (self.old and self.new):
            return []
        pairs = zip(_attributes(self.old).items(), _attributes(self.new).values(), strict=True)
        return [name for (name, old), new in pairs if old != new]


@dataclass(slots=True)
class ChangeTally:
    """Changes of one kind. ``bytes`` is how much their files have grown or shrunk together."""

    files: int = 0
    directories: int = 0
    bytes: int = 0


def iter_changes(get: GetTree, old: Snapshot, new: Snapshot) -> Iterator[Change]:
    """All differences between two versions in the order of their paths, hard links resolved.

    The cost follows what differs, except that the names of a changed file with several hard links
    are searched for in the whole tree. Three things are not reported: how often a file is linked,
    when its attributes changed, and times of directories. Content that is stored in another way
    counts as modified.
    """
    for path, a, b in _iter_different(get, old, new):
        kind = find_kind(a, b)
        if kind is not None:
            yield Change(kind, path, a, b)


class Changed(Protocol):
    """What is counted of a change."""

    @property
    def kind(self) -> ChangeKind: ...
    @property
    def is_directory(self) -> bool: ...
    @property
    def old_size(self) -> int | None: ...
    @property
    def new_size(self) -> int | None: ...


def tally_changes(changes: Iterable[Changed]) -> dict[ChangeKind, ChangeTally]:
    """How many changes of each kind there are. Each name of a hard-linked file counts."""
    tallies = {kind: ChangeTally() for kind in ChangeKind}
    for change in changes:
        tally = tallies[change.kind]
        tally.directories += change.is_directory
        tally.files += not change.is_directory
        tally.bytes += (change.new_size or 0) - (change.old_size or 0)
    return tallies


def find_kind(old: Entry | None, new: Entry | None) -> ChangeKind | None:
    """The kind of change, hard links resolved; None if nothing differs that is reported."""
    if old is None:
        return ChangeKind.ADDED if new is not None else None
    if new is None:
        return ChangeKind.DELETED
    if old.kind != new.kind:
        return ChangeKind.TYPE_CHANGED
    if not old.is_directory and _content(old) != _content(new):
        return ChangeKind.MODIFIED
    return ChangeKind.ATTRIBUTES if _attributes(old) != _attributes(new) else None


def _find_size(entry: Entry | None) -> int | None:
    return None if entry is None or entry.is_directory else entry.size


def _content(entry: Entry) -> tuple[object, ...]:
    return entry.size, entry.inline, entry.extents, entry.root, entry.rdev


def _attributes(entry: Entry) -> dict[str, object]:
    return {
        "mode": entry.mode,
        "owner": (entry.uid, entry.gid),
        "xattrs": entry.xattrs,
        "mtime": None if entry.is_directory else entry.mtime_ns,
    }


# --- hard links ---------------------------------------------------------------


def _iter_different(get: GetTree, old: Snapshot, new: Snapshot) -> Iterator[PathChange]:
    yield PathChange((), old.root, new.root)
    names = diff_directories(get, old.root.tree, new.root.tree)
    both = merge(names, _find_linked(get, old, new), key=_path_of)
    for path, changes in groupby(both, _path_of):
        # If both differ, the change of the name itself comes first.
        change = next(changes)
        before = change.old and resolve_link(get, old.links, change.old)
        now = change.new and resolve_link(get, new.links, change.new)
        yield PathChange(path, before, now)


def _find_linked(get: GetTree, old: Snapshot, new: Snapshot) -> list[PathChange]:
    """The present names of hard-linked files that changed."""
    records = diff_trees(get, old.links, new.links)
    groups = {int(name, 16) for name, a, b in records if a and b and find_kind(a, b)}
    if not groups:
        return []
    root = new.root.tree
    return sorted(
        (PathChange(path, link, link) for path, link in find_groups(get, root, groups)),
        key=_path_of,
    )


def _path_of(change: PathChange) -> Path:
    return change.path
