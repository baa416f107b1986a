"""Hard links: how many names each group has after a change.

The record of a group is in the link tree. Its ``links`` must equal the number of entries that name
the group. Counting only what changed between two roots keeps it equal, whatever was merged, at the
cost of the change alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping

from volfs.errors import DamagedObjectError
from volfs.model.diff import diff_directories
from volfs.model.entry import Entry, replace
from volfs.model.manifest import Snapshot
from volfs.model.names import Path
from volfs.model.objects import NO_OID, Oid, Put
from volfs.model.tree import GetTree, edit_tree, find_entry, iter_entries


def group_name(group: int) -> bytes:
    """The name of a group's record in the link tree."""
    return b"%016x" % group


def find_record(get: GetTree, links: Oid, group: int) -> Entry:
    """The attributes and content of a group. DamagedObjectError if there is none."""
    record = find_entry(get, links, group_name(group))
    if record is None:
        raise DamagedObjectError(f"link group {group:x} has no record")
    return record


def load_record(get: GetTree, links: Oid, group: int) -> Entry:
    """The record of a group as the entry of a file that names its group."""
    return replace(find_record(get, links, group), group=group)


def resolve_link(get: GetTree, links: Oid, entry: Entry) -> Entry:
    """An entry with the attributes and content of its link group. Other entries are returned
    unchanged."""
    if not entry.group:
        return entry
    return replace(find_record(get, links, entry.group), name=entry.name, group=entry.group)


def has_group(get: GetTree, links: Oid, group: int) -> bool:
    return find_entry(get, links, group_name(group)) is not None


def settle_links(
    get: GetTree,
    put: Put,
    before: Snapshot,
    root: Entry,
    records: Mapping[int, Entry],
    spare: Oid = NO_OID,
) -> Snapshot:
    """``root`` with the link tree that fits it: the one of ``before``, with ``records`` put into
    it.

    A count is that of ``before`` plus what changed between the roots. A group without names goes.
    ``records`` are put only for groups that still have names. ``spare`` is a link tree for records
    that are in neither.
    """
    if not (records or before.links or spare):
        return before._replace(root=root)
    counts = _count_changes(get, before.root.tree, root.tree)
    edits: dict[bytes, Entry | None] = {}
    for group in counts.keys() | records.keys():
        name = group_name(group)
        old = find_entry(get, before.links, name)
        count = (old.links if old else 0) + counts[group]
        if count > 0:
            record = records.get(group) or old or find_record(get, spare, group)
            edits[name] = replace(record, name=name, group=0, links=count)
        else:
            edits[name] = None
    edited = edit_tree(get, put, before.links, edits)
    totals = edited.totals
    return Snapshot(root, edited.oid, totals.files, totals.bytes, totals.data)


def _count_changes(get: GetTree, old: Oid, new: Oid) -> Counter[int]:
    counts: Counter[int] = Counter()
    for change in diff_directories(get, old, new):
        if change.old and change.old.group:
            counts[change.old.group] -= 1
        if change.new and change.new.group:
            counts[change.new.group] += 1
    return counts


def find_groups(get: GetTree, root: Oid, groups: Collection[int]) -> Iterator[tuple[Path, Entry]]:
    """The names of some groups, by path. This walks the whole tree, and is for rare cases only."""
    below: list[tuple[Path, Oid]] = [((), root)]
    while below:
        path, tree = below.pop()
        for entry in iter_entries(get, tree):
            if entry.group in groups:
                yield (*path, entry.name), entry
            if entry.is_directory:
                below.append(((*path, entry.name), entry.tree))
