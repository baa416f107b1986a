"""What users are told of the difference between two versions: path by path, and in sum."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from heapq import merge
from itertools import groupby

from volfs.model.diff import PathChange, diff_directories
from volfs.model.entry import Entry
from volfs.model.links import find_groups, resolve_link
from volfs.model.manifest import Snapshot
from volfs.model.names import Path
from volfs.model.tree import GetTree, diff_trees


class ChangeKind(enum.Enum):
    """What became of a path; the letters are those of ``volfs diff``."""

    ADDED = "A"
    DELETED = "D"
    MODIFIED = "M"
    TYPE_CHANGED = "T"
    ATTRIBUTES = "U"
    """Mode, owner, extended attributes or modification time, and nothing else."""

    @property
    def words(self) -> str:
        """What listings call it."""
        return (
            "attributes" if self is ChangeKind.ATTRIBUTES else self.name.lower().replace("_", " ")
        )


@dataclass(frozen=True, slots=True)
class Change:
    """One path that two versions have differently; None where it is absent."""

    kind: ChangeKind
    path: Path
    old: Entry | None
    new: Entry | None

    @property
    def entry(self) -> Entry:
        """What is there, or was."""
        entry = self.new or self.old
        assert entry is not None
        return entry

    @property
    def attributes(self) -> list[str]:
        """Those that differ, as users call them."""
        if not (self.old and self.new):
            return []
        pairs = zip(_attributes(self.old).items(), _attributes(self.new).values(), strict=True)
        return [name for (name, old), new in pairs if old != new]


@dataclass(slots=True)
class ChangeTally:
    """Changes of one kind. ``bytes`` is by how much the files have grown together."""

    files: int = 0
    directories: int = 0
    bytes: int = 0


def iter_changes(get: GetTree, old: Snapshot, new: Snapshot) -> Iterator[Change]:
    """All that differs between two versions, in order of paths, hard links resolved.

    Cost follows what differs, but for a changed file with several hard links:
    its names are looked for in the whole tree. Not told: how often a file is
    linked, when attributes changed, and times of directories. Content that is
    stored otherwise counts as modified.
    """
    for path, a, b in _iter_different(get, old, new):
        kind = find_kind(a, b)
        if kind is not None:
            yield Change(kind, path, a, b)


def tally_changes(changes: Iterable[Change]) -> dict[ChangeKind, ChangeTally]:
    """How many changes of each kind; a name of a hard-linked file counts like any other."""
    tallies = {kind: ChangeTally() for kind in ChangeKind}
    for change in changes:
        tally = tallies[change.kind]
        tally.directories += change.entry.is_directory
        tally.files += not change.entry.is_directory
        tally.bytes += _size(change.new) - _size(change.old)
    return tallies


def find_kind(old: Entry | None, new: Entry | None) -> ChangeKind | None:
    """What became of an entry, hard links resolved; None if it differs in nothing told."""
    if old is None:
        return ChangeKind.ADDED if new is not None else None
    if new is None:
        return ChangeKind.DELETED
    if old.kind != new.kind:
        return ChangeKind.TYPE_CHANGED
    if not old.is_directory and _content(old) != _content(new):
        return ChangeKind.MODIFIED
    return ChangeKind.ATTRIBUTES if _attributes(old) != _attributes(new) else None


def _size(entry: Entry | None) -> int:
    return entry.size if entry is not None and not entry.is_directory else 0


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
        # Of two the first: the name itself changed, and its file as well.
        change = next(changes)
        before = change.old and resolve_link(get, old.links, change.old)
        now = change.new and resolve_link(get, new.links, change.new)
        yield PathChange(path, before, now)


def _find_linked(get: GetTree, old: Snapshot, new: Snapshot) -> list[PathChange]:
    """The names, as they are now, of hard-linked files that changed."""
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
