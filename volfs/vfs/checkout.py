"""Reload: moving a mount's inodes from one version to another.

The two versions are compared by id, and only inodes that are loaded are looked
at, so the cost follows the difference. A plan is made first, which may miss
objects and changes nothing; carrying it out is synchronous and cannot fail. The
kernel is told afterwards, from the list of notices that it returns.

An unchanged file keeps its number and the kernel its pages. A file with other
content is another inode: its name is unloaded, and the next lookup gives a new
number. Uncommitted changes stay on top.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from volfs.errors import NotFoundError
from volfs.model.entry import Entry, FileKind, Totals, replace, with_tree
from volfs.model.manifest import Snapshot
from volfs.model.names import show_path
from volfs.model.objects import NO_OID, Oid
from volfs.model.tree import Change, diff_trees, find_entry
from volfs.store.base import Head
from volfs.vfs.inode import Directory, File, Inode
from volfs.vfs.state import MountState


class Notice(NamedTuple):
    """What the kernel must forget: a ``name`` in a directory, or (None) an inode's attributes."""

    ino: int
    name: bytes | None


@dataclass(slots=True)
class Plan:
    """What a reload will do to the loaded inodes."""

    head: Head
    snapshot: Snapshot
    entries: list[tuple[Inode, Entry]] = field(default_factory=list)
    """Inodes that stay, with what the new version says of them."""
    unloaded: list[tuple[Directory, bytes]] = field(default_factory=list)
    """Names whose inode is another one now, or none."""
    remade: list[Directory] = field(default_factory=list)
    """Directories that are gone and hold changes of ours: they come back with these alone."""
    notices: list[Notice] = field(default_factory=list)


def plan_checkout(state: MountState, head: Head, snapshot: Snapshot) -> Plan:
    """What must happen to show ``snapshot``. Changes nothing. Miss; NotFoundError."""
    root = state.view.find_root(snapshot)
    if root is None:
        where = show_path(state.view.sub_path)
        raise NotFoundError(f"version {head.version} has no directory {where}")
    planning = _Planning(state, Plan(head, snapshot), _find_ancestors(state))
    planning.keep_directory(state.root, root)
    planning.plan_links(state.view.snapshot.links, snapshot.links)
    return planning.plan


def apply_checkout(state: MountState, plan: Plan) -> list[Notice]:
    """Show the planned version from now on. Synchronous; cannot fail."""
    for inode, entry in plan.entries:
        inode.entry = entry
        if isinstance(inode, Directory):
            inode.count = None
    for directory in plan.remade:
        assert directory.parent is not None
        state.overlay.bind(directory.parent, directory.name, directory)
    for directory, name in plan.unloaded:
        unloaded = directory.children.pop(name, None)
        if unloaded is not None:
            _detach(state, unloaded, directory, name)
    state.usage.move(state.view.snapshot.totals, plan.snapshot.totals)
    state.view.head, state.view.snapshot = plan.head, plan.snapshot
    return plan.notices


def _find_ancestors(state: MountState) -> set[int]:
    """Directories that hold uncommitted changes, themselves or below."""
    found: set[int] = set()
    for inode in state.overlay.dirty.values():
        names = inode.aliases if isinstance(inode, File) else ()
        for start in (inode.parent, *(parent for parent, _ in names)):
            here = start
            while here is not None and here.ino not in found:
                found.add(here.ino)
                here = here.parent
    return found | {i.ino for i in state.overlay.dirty.values() if isinstance(i, Directory)}


def _detach(state: MountState, inode: Inode, parent: Directory, name: bytes) -> None:
    """An inode is not what its name means any more; the kernel may hold it a while longer."""
    if isinstance(inode, File) and inode.entry.group:
        inode.aliases.discard((parent, name))
        if inode.aliases:
            return
    if isinstance(inode, Directory):
        for below, child in list(inode.children.items()):
            if child is not None:
                _detach(state, child, inode, below)
        inode.children.clear()
        inode.changed.clear()
        inode.count = 0
        inode.entry = with_tree(inode.entry, NO_OID, Totals(0, 0, 0))
    inode.parent = None
    inode.stale = True
    state.drop_if_idle(inode)


@dataclass(slots=True)
class _Planning:
    state: MountState
    plan: Plan
    holding: set[int]
    """Directories that hold uncommitted changes."""

    def keep_directory(self, directory: Directory, new: Entry) -> None:
        """The directory stays; what is below may not."""
        old = directory.entry
        for change in diff_trees(self.state.view.reader.get_tree, old.tree, new.tree):
            if change.name not in directory.changed:
                self.plan_name(directory, change)
        if self.state.overlay.dirty.get(directory.ino) is directory:
            new = with_tree(old, new.tree, new.totals._replace(directories=new.directories))
        self.plan.entries.append((directory, self.with_subdirectories(directory, new)))
        self.plan.notices.append(Notice(directory.ino, None))

    def with_subdirectories(self, directory: Directory, new: Entry) -> Entry:
        """Count the overlay's own directories, made and removed, on top."""
        get = self.state.view.reader.get_tree
        count = new.subdirectories
        for name in directory.changed:
            before = find_entry(get, new.tree, name)
            count -= before is not None and before.is_directory
            count += isinstance(directory.children[name], Directory)
        return replace(new, subdirectories=max(0, count))

    def plan_name(self, directory: Directory, change: Change) -> None:
        name, _, new = change
        child = directory.children.get(name)
        if isinstance(child, Directory):
            self.plan_directory(directory, child, new)
        elif isinstance(child, File):
            self.plan_file(directory, child, name, new)
        else:
            # Not loaded; the kernel may still hold that the name is absent.
            self.plan.notices.append(Notice(directory.ino, name))

    def plan_directory(self, parent: Directory, child: Directory, new: Entry | None) -> None:
        if new is not None and new.is_directory:
            self.keep_directory(child, new)
        elif child.ino in self.holding:
            self.keep_directory(child, with_tree(child.entry, NO_OID, Totals(0, 0, 0)))
            self.plan.remade.append(child)
        else:
            self.unload(parent, child.name)

    def plan_file(self, parent: Directory, file: File, name: bytes, new: Entry | None) -> None:
        if file.ino in self.state.overlay.dirty and not (file.entry.group and not new):
            return  # ours stays on top
        group = file.entry.group
        if new is None or new.group != group or new.kind != file.entry.kind:
            self.unload(parent, name)
        elif not group:
            self.plan_content(file, new)

    def plan_content(self, file: File, new: Entry) -> None:
        """Keep the inode if only attributes differ."""
        if _same_content(file.entry, new):
            self.plan.entries.append((file, new))
            self.plan.notices.append(Notice(file.ino, None))
        else:
            for directory, name in self.state.names(file):
                self.unload(directory, name)

    def plan_links(self, old: Oid, new: Oid) -> None:
        """Hard-linked files change in the link tree, under all their names at once."""
        get = self.state.view.reader.get_tree
        for name, _, record in diff_trees(get, old, new):
            file = self.state.inodes.by_group.get(int(name, 16))
            if file is None or record is None or file.ino in self.state.overlay.dirty:
                continue
            self.plan_content(file, replace(record, group=int(name, 16)))

    def unload(self, directory: Directory, name: bytes) -> None:
        self.plan.unloaded.append((directory, name))
        self.plan.notices.append(Notice(directory.ino, name))


def _same_content(a: Entry, b: Entry) -> bool:
    return (a.kind, a.size, a.inline, a.extents, a.root, a.rdev) == (
        b.kind,
        b.size,
        b.inline,
        b.extents,
        b.root,
        b.rdev,
    ) and a.kind != FileKind.DIRECTORY
