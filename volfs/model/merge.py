"""Bringing two changes of one base together, path by path; the later commit wins a file whole.

*Ours* is the local tree of the mount that commits now, *theirs* the head that
others published meanwhile, *base* what our mount began from. Equal ids are
taken without a look inside, so the cost follows what both sides changed.

Rules, each with its test in tests/model/test_merge.py:

- changed on one side only: that side.
- a file changed on both: ours, whole; theirs is reported as overridden.
- removed by one, changed by the other: ours, the later; theirs is reported.
- a directory on both sides: its names one by one; attributes ours if we changed
  them; the later times, if both changed them.
- a directory that one side removed: its names one by one, too. What the other
  side made inside stays, what we changed comes back, and the directory with it;
  if we changed it, even without a name.
- a file on one side and a directory on the other: ours.
- hard links: names as above; the attributes and content that they share count
  as one file. Names that come or go, and times, are no change of it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from volfs.model.delta import Delta, apply_delta
from volfs.model.diff import without_content
from volfs.model.entry import Entry, FileKind, is_same, replace, same_but_times, with_tree
from volfs.model.links import find_groups, has_group, settle_links
from volfs.model.manifest import Snapshot
from volfs.model.names import Path
from volfs.model.objects import NO_OID, Oid, Put
from volfs.model.profile import Profile
from volfs.model.tree import GetTree, diff_trees, edit_tree, find_entry


class OverriddenChange(NamedTuple):
    """A path where our change replaced a change that others had committed. Theirs stays in
    history."""

    path: Path
    theirs: str
    """What they had done: ``created``, ``modified`` or ``removed``."""
    ours: str


class Merged(NamedTuple):
    snapshot: Snapshot
    overridden: list[OverriddenChange]
    """The merged version, and the overridden changes in the order of their paths."""


def merge_snapshots(
    get: GetTree, put: Put, base: Snapshot, ours: Snapshot, theirs: Snapshot, profile: Profile
) -> Merged:
    """Our changes on top of theirs. LimitError if the profile forbids both together."""
    records = list(_iter_records(get, base.links, ours.links, theirs.links))
    kept = {record.group: record.ours for record in records if record.ours and record.is_ours}

    def merge_over(seen: Entry) -> Merged:
        merge = _Merge(get, put, profile)
        root = merge.roots(seen, ours.root, theirs.root)
        return Merged(
            settle_links(get, put, theirs, root, kept, spare=ours.links), merge.overridden
        )

    snapshot, overridden = merge_over(base.root)
    changed = {record.group for record in records if record.is_changed}
    marked: set[int] = set()
    while lost := {g for g in changed - marked if not has_group(get, snapshot.links, g)}:
        marked |= lost
        snapshot, overridden = merge_over(_mark(get, put, base, marked))
    profile.check_inodes(snapshot.totals.inodes)
    doubled = {record.group for record in records if record.is_doubled}
    if doubled:
        paths = find_groups(get, ours.root.tree, doubled)
        overridden += [OverriddenChange(path, "modified", "modified") for path, _ in paths]
    return Merged(snapshot, sorted(set(overridden)))


# --- the tree of directories ------------------------------------------------


@dataclass
class _MergedDirectory:
    """A directory that both sides have, or that one side removed and the other changed."""

    path: Path
    base: Entry | None
    ours: Entry | None
    theirs: Entry | None
    names: dict[bytes, Entry | _MergedDirectory | None] = field(default_factory=dict)
    """The merged entry of each name that we changed; None if the name goes."""
    merged: Entry | None = None


@dataclass
class _Merge:
    get: GetTree
    put: Put
    profile: Profile
    overridden: list[OverriddenChange] = field(default_factory=list)

    def roots(self, base: Entry, ours: Entry, theirs: Entry) -> Entry:
        """The merged root. Directories are opened from the root down, then closed from the leaves
        up, without recursion, because depth has no limit."""
        root = self.entry((), base, ours, theirs)
        opened = [root] if isinstance(root, _MergedDirectory) else []
        for directory in opened:
            self.open(directory)
            opened += [
                name for name in directory.names.values() if isinstance(name, _MergedDirectory)
            ]
        for directory in reversed(opened):
            self.close(directory)
        root = root.merged if isinstance(root, _MergedDirectory) else root
        assert root is not None, "both sides have a root"
        return root

    def entry(
        self, path: Path, base: Entry | None, ours: Entry | None, theirs: Entry | None
    ) -> Entry | _MergedDirectory | None:
        """What the merged tree has at ``path``."""
        if is_same(ours, theirs) or is_same(theirs, base):
            return ours
        if is_same(ours, base):
            return theirs
        sides = [entry for entry in (ours, theirs) if entry]
        if all(map(_is_directory, sides)) and (len(sides) == 2 or _is_directory(base)):
            return _MergedDirectory(path, base if _is_directory(base) else None, ours, theirs)
        if not (ours and theirs and same_but_times(ours, theirs)):
            self.overridden.append(
                OverriddenChange(path, _describe(base, theirs), _describe(base, ours))
            )
        return ours

    def open(self, here: _MergedDirectory) -> None:
        """Decide about each name that we changed."""
        for name, before, mine in diff_trees(self.get, _tree(here.base), _tree(here.ours)):
            other = find_entry(self.get, _tree(here.theirs), name)
            merged = self.entry((*here.path, name), before, mine, other)
            if isinstance(merged, _MergedDirectory) or not is_same(merged, other):
                here.names[name] = merged

    def close(self, here: _MergedDirectory) -> None:
        """Put the decided names into the directory's tree. All directories below are closed by
        then."""
        edits = {
            name: merged.merged if isinstance(merged, _MergedDirectory) else merged
            for name, merged in here.names.items()
        }
        edited = edit_tree(self.get, self.put, _tree(here.theirs), edits)
        if edits:
            self.profile.check_entries(edited.length, here.path)
        if here.ours and here.theirs:
            attributes = merge_attributes(here.base, here.ours, here.theirs)
            here.merged = with_tree(attributes, edited.oid, edited.totals)
        elif here.ours and not (here.base and same_but_times(here.base, here.ours)):
            here.merged = with_tree(here.ours, edited.oid, edited.totals)
        elif edited.oid and (only := here.ours or here.theirs):
            here.merged = with_tree(only, edited.oid, edited.totals)


def _is_directory(entry: Entry | None) -> bool:
    return entry is not None and entry.is_directory


def _tree(directory: Entry | None) -> Oid:
    return directory.tree if directory else NO_OID


def _describe(base: Entry | None, entry: Entry | None) -> str:
    if entry is None:
        return "removed"
    return "created" if base is None else "modified"


def merge_attributes(base: Entry | None, ours: Entry, theirs: Entry) -> Entry:
    """A directory's own attributes: ours if we changed them; a time that both changed is the later
    one.

    The tree and the totals of the returned entry mean nothing.
    """
    unchanged = base is not None and same_but_times(without_content(base), without_content(ours))
    return replace(
        theirs if unchanged else ours,
        mtime_ns=_merge_time(base.mtime_ns if base else None, ours.mtime_ns, theirs.mtime_ns),
        ctime_ns=_merge_time(base.ctime_ns if base else None, ours.ctime_ns, theirs.ctime_ns),
    )


def _merge_time(base: int | None, ours: int, theirs: int) -> int:
    if base in (ours, theirs):
        return theirs if base == ours else ours
    return max(ours, theirs)


# --- hard links -------------------------------------------------------------


class _Record(NamedTuple):
    """The records of a group on each side, and which side changed the file itself."""

    group: int
    base: Entry | None
    ours: Entry | None
    theirs: Entry | None

    @property
    def is_ours(self) -> bool:
        """Whether the merged record is ours, if the group still has names."""
        if self.ours is None or is_same(self.ours, self.base):
            return False
        if not (self.base and self.theirs):
            return True
        if is_same(replace(self.theirs, links=self.base.links), self.base):
            return True
        if _is_same(self.base, self.ours):
            touched = self.ours.mtime_ns != self.base.mtime_ns
            return touched and _is_same(self.base, self.theirs)
        return True

    @property
    def is_doubled(self) -> bool:
        """Whether both sides changed the file, and made different files of it."""
        if not (self.base and self.ours and self.theirs):
            return False
        pairs = ((self.base, self.ours), (self.base, self.theirs), (self.ours, self.theirs))
        return not any(_is_same(a, b) for a, b in pairs)

    @property
    def is_changed(self) -> bool:
        """Whether a side changed the file that both began from."""
        sides = [record for record in (self.ours, self.theirs) if record]
        return self.base is not None and not all(_is_same(self.base, side) for side in sides)


def _iter_records(get: GetTree, base: Oid, ours: Oid, theirs: Oid) -> Iterator[_Record]:
    """The groups whose record one side or both changed."""
    sides = (diff_trees(get, base, side) for side in (ours, theirs))
    names = {change.name for changes in sides for change in changes}
    for name in sorted(names):
        records = (find_entry(get, links, name) for links in (base, ours, theirs))
        yield _Record(int(name, 16), *records)


def _is_same(a: Entry, b: Entry) -> bool:
    """Whether two records differ in nothing but their count of names and their times."""
    return same_but_times(replace(a, links=b.links), b)


def _mark(get: GetTree, put: Put, base: Snapshot, groups: Collection[int]) -> Entry:
    """The base's root, with names of these groups that differ from those on any side.

    A name says only which group it belongs to. So it looks unchanged when the file changed, and
    would go if one side removed it. With this root it counts as changed.
    """
    delta = Delta()
    for path, _ in find_groups(get, base.root.tree, groups):
        delta.at(path[:-1]).names[path[-1]] = Entry(path[-1], FileKind.FILE)
    return apply_delta(get, put, base, delta).snapshot.root
