"""The plan of a reload: what becomes of a mount's loaded inodes in another version.

The two versions are compared by id, and only loaded inodes are looked at, so the cost follows the
difference. Planning may miss objects, and changes nothing. ``vfs/checkout.py`` carries a plan
out.

An unchanged file keeps its number, and the kernel keeps its pages. A file with other content is
another inode: its name is unloaded, and the next lookup gives a new number. Uncommitted changes
stay on top, by the rules of ``model/merge.py``: a reload and a commit together publish what the
commit alone would have published.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from volfs.errors import NotFoundError
from volfs.model.diff import Made, find_made, without_content
from volfs.model.entry import Entry, FileKind, Totals, replace, same_but_times, with_tree
from volfs.model.links import has_group, load_record
from volfs.model.manifest import Snapshot
from volfs.model.merge import merge_attributes
from volfs.model.names import show_path
from volfs.model.objects import NO_OID, Oid
from volfs.model.tree import NameChange, diff_trees, find_entry
from volfs.store.contract.refs import Head
from volfs.vfs.inode import Directory, File, Inode
from volfs.vfs.numbers import NumberOwner
from volfs.vfs.state import MountState


class KernelNotice(NamedTuple):
    """Something that the kernel must forget: a ``name`` in a directory, or (None) the attributes
    of an inode."""

    ino: int
    name: bytes | None
    content: bool = False
    """Whether the inode has other content, too, so that its pages must go."""


class Attached(NamedTuple):
    """Something that the kernel has at a path. It goes away, or breaks, with the inode there."""

    path: bytes
    """The path in the mount; empty for the root."""
    what: str
    """What is attached, in words that follow the path."""


@dataclass(slots=True)
class ReloadPlan:
    """What a reload will do to the loaded inodes."""

    head: Head
    snapshot: Snapshot
    entries: list[tuple[Inode, Entry]] = field(default_factory=list)
    """Inodes that stay, with their entries in the new version."""
    unloaded: list[tuple[Directory, bytes]] = field(default_factory=list)
    """Names that mean another inode now, or none."""
    renewed: set[NumberOwner] = field(default_factory=set)
    """Keys of names and groups that mean another file now. They get new numbers, because the
    kernel may know the former ones."""
    bound: dict[Directory, dict[bytes, Inode | None]] = field(default_factory=dict)
    """Our names that the new version lacks, or has changed: the overlay binds them."""
    adopted: dict[Directory, Oid] = field(default_factory=dict)
    """Directories that the overlay bound and that the new version has, too: they show its names,
    and ours on top.

    The value is the tree that the version shown until now has under the name.
    """
    unbound: list[tuple[Directory, bytes]] = field(default_factory=list)
    """Whiteouts that cover nothing, because their names were made and removed again during a
    commit."""
    revived: dict[tuple[Directory, bytes], Made] = field(default_factory=dict)
    """Directories that we removed and in which others have made names since: only those names come
    back."""
    records: dict[int, Entry] = field(default_factory=dict)
    """The records of the hard-linked files in ``revived``, by group."""
    notices: list[KernelNotice] = field(default_factory=list)

    @property
    def loses(self) -> bool:
        """Whether a loaded inode is replaced by another one, or by none."""
        return any(above.children.get(name) is not None for above, name in self.unloaded)

    def bind(self, directory: Directory, name: bytes, inode: Inode | None) -> None:
        self.bound.setdefault(directory, {})[name] = inode


def plan_checkout(
    state: MountState, head: Head, snapshot: Snapshot, kept: Sequence[Attached] = ()
) -> ReloadPlan:
    """Plan what must happen to show ``snapshot``. Changes nothing. Miss; NotFoundError.

    Inodes to which something in ``kept`` is attached stay, as if they were changed.
    """
    root = state.view.find_root(snapshot)
    if root is None:
        where = show_path(state.view.sub_path)
        raise NotFoundError(f"version {head.version} has no directory {where}")
    plan = ReloadPlan(head, snapshot)
    pinned = _find_pinned(state, kept)
    changed, holding = _find_changed(state) | pinned, _find_holding(state) | pinned
    planning = _Planning(state, plan, changed, holding, pinned)
    planning.keep(state.root, state.view.find_root(state.view.snapshot), root)
    planning.plan_links(state.view.snapshot.links, snapshot.links)
    return planning.plan


def find_torn(plan: ReloadPlan, attached: list[Attached]) -> list[Attached]:
    """The attached things that the plan would tear off: those at or below a path that gets another
    inode, or none."""
    gone = {
        b"/".join((*directory.path, name))
        for directory, name in plan.unloaded
        if directory.children.get(name) is not None
    }
    return [one for one in attached if any(path in gone for path in _iter_above(one.path))]


def _iter_above(path: bytes) -> Iterator[bytes]:
    """A path and the paths above it, without the root."""
    while path:
        yield path
        path = path.rpartition(b"/")[0]


def _find_pinned(state: MountState, kept: Sequence[Attached]) -> set[int]:
    """The loaded inodes on the way to the paths of ``kept``, without the root."""
    found: set[int] = set()
    for one in kept:
        inode: Inode | None = state.root
        for name in filter(None, one.path.split(b"/")):
            inode = inode.children.get(name) if isinstance(inode, Directory) else None
            if inode is not None:
                found.add(inode.ino)
    return found


def _find_changed(state: MountState) -> set[int]:
    """The directories with uncommitted changes, in themselves or below."""
    dirty = state.overlay.dirty.values()
    return _find_above([i if isinstance(i, Directory) else i.parent for i in dirty])


def _find_holding(state: MountState) -> set[int]:
    """The directories that come back if others removed them: changed by us, or with something of
    ours below."""
    starts: list[Inode | None] = []
    for inode in state.overlay.dirty.values():
        if isinstance(inode, Directory):
            starts += [inode] if _is_changed(state, inode) else []
        else:
            starts += [parent for parent, _ in state.names(inode)]
    return _find_above(starts)


def _is_changed(state: MountState, directory: Directory) -> bool:
    """Whether a dirty directory differs from the view's in more than its times. Miss."""
    parent = directory.parent
    if parent is None or directory.is_made:
        return directory.is_made
    before = state.find_in_view(parent, directory.name)
    return (
        before is None
        or not same_but_times(without_content(before), without_content(directory.entry))
        or any(
            child is not None or state.find_in_view(directory, name) is not None
            for name, child in directory.children.items()
            if name in directory.changed
        )
    )


def _find_above(starts: list[Inode | None]) -> set[int]:
    found: set[int] = set()
    for start in starts:
        here = start
        while here is not None and here.ino not in found:
            found.add(here.ino)
            here = here.parent
    return found


@dataclass(slots=True)
class _Planning:
    state: MountState
    plan: ReloadPlan
    changed: set[int]
    holding: set[int]
    pinned: set[int]

    def keep(self, directory: Directory, before: Entry | None, new: Entry) -> None:
        """Plan for a directory that stays, and for all below. No recursion, because trees may be
        deep."""
        waiting = [(directory, before, new)]
        for each in waiting:
            waiting += self.keep_directory(*each)

    def keep_directory(
        self, directory: Directory, before: Entry | None, new: Entry
    ) -> Iterator[tuple[Directory, Entry | None, Entry]]:
        """Plan for a directory that stays, and for its names. Yields the directories in it that
        stay.

        ``before`` is its entry in the version shown until now, and ``new`` its entry in the new
        one.
        """
        old = directory.entry
        tree = self.plan.adopted.get(directory, old.tree)
        on_top = self.names_on_top(directory)
        for change in diff_trees(self.state.view.reader.get_tree, tree, new.tree):
            kept, ours = None, on_top.get(change.name)
            if ours is not None:
                kept = self.plan_bound(directory, ours, change)
            elif change.name in on_top:
                self.plan_whiteout(directory, change)
            else:
                kept = self.plan_name(directory, change)
            if kept is not None:
                yield kept
        if self.state.overlay.dirty.get(directory.ino) is directory:
            attributes = merge_attributes(before, old, new)
            sums = Totals(new.files, new.directories, new.content_bytes, new.subdirectories)
            new = with_tree(attributes, new.tree, sums)
        self.plan.entries.append((directory, self.with_subdirectories(directory, new)))
        self.plan.notices.append(KernelNotice(directory.ino, None))

    def names_on_top(self, directory: Directory) -> dict[bytes, Inode | None]:
        """The names that the overlay will bind in a directory."""
        bound = {name: directory.children[name] for name in directory.changed}
        return bound | self.plan.bound.get(directory, {})

    def with_subdirectories(self, directory: Directory, new: Entry) -> Entry:
        """An entry whose count of subdirectories includes those that the overlay makes and
        removes."""
        get = self.state.view.reader.get_tree
        count = new.subdirectories
        for name, inode in self.names_on_top(directory).items():
            before = find_entry(get, new.tree, name)
            count -= before is not None and before.is_directory
            count += isinstance(inode, Directory) or (directory, name) in self.plan.revived
        return replace(new, subdirectories=count)

    def plan_bound(
        self, directory: Directory, child: Inode, change: NameChange
    ) -> tuple[Directory, Entry | None, Entry] | None:
        """Plan for a name of ours, which stays ours. A directory that both sides have, or had, is
        merged."""
        name, old, new = change
        before = old if old is not None and old.is_directory else None
        if not isinstance(child, Directory):
            return None
        if new is None and before is not None:
            # Others removed the directory that was there: from ours, the names that it had go,
            # too.
            new = without_content(child.entry)
            self.plan.bind(directory, name, child)
        if new is None or not new.is_directory:
            return None
        get = self.state.view.reader.get_tree
        tree = before.tree if before else NO_OID
        self.plan.adopted[child] = tree
        for name, _, entry in diff_trees(get, tree, child.entry.tree):
            if name not in child.changed:
                self.plan.bind(child, name, self.state.child(child, name) if entry else None)
        return child, before, new

    def plan_whiteout(self, directory: Directory, change: NameChange) -> None:
        """Plan for a name that we removed, which stays removed, except for what others made in it
        since."""
        name, old, new = change
        get = self.state.view.reader.get_tree
        if old is None:
            self.plan.unbound.append((directory, name))
            self.plan.notices.append(KernelNotice(directory.ino, name))
        elif new is not None and old.is_directory and new.is_directory:
            made = find_made(get, old, new)
            if made.names:
                links = self.plan.snapshot.links
                self.plan.records |= {g: load_record(get, links, g) for g in made.groups()}
                self.plan.revived[directory, name] = made
                self.plan.notices.append(KernelNotice(directory.ino, name))

    def plan_name(
        self, directory: Directory, change: NameChange
    ) -> tuple[Directory, Entry | None, Entry] | None:
        child = directory.children.get(change.name)
        if isinstance(child, Directory):
            return self.plan_directory(directory, child, change)
        if isinstance(child, File):
            self.plan_file(directory, child, change)
        else:
            # The name is not loaded, but the kernel may still hold that it is absent.
            self.plan.notices.append(KernelNotice(directory.ino, change.name))
        return None

    def plan_directory(
        self, parent: Directory, child: Directory, change: NameChange
    ) -> tuple[Directory, Entry | None, Entry] | None:
        name, old, new = change
        if new is not None and new.is_directory:
            return child, old, new
        if child.ino not in (self.changed if new else self.holding):
            self.unload(parent, name, new)
            return None
        self.plan.bind(parent, name, child)
        if new is not None:
            return None  # Others made a file of it: our directory, with its changes, wins whole.
        return child, old, without_content(child.entry)

    def plan_file(self, parent: Directory, file: File, change: NameChange) -> None:
        name, _, new = change
        same = new is not None and new.group == file.entry.group and new.kind == file.entry.kind
        if file.ino in self.state.overlay.dirty and not self.is_removed_link(file):
            if not same:
                self.plan.bind(parent, name, file)
        elif file.ino in self.pinned:
            self.plan_pinned(parent, file, name, new if same and not file.entry.group else None)
        elif not same:
            self.unload(parent, name, new)
        elif new is not None and not new.group:
            self.plan_content(file, new)

    def plan_pinned(self, parent: Directory, file: File, name: bytes, new: Entry | None) -> None:
        """Plan for a file that stays: with the new content, or as it is if ``new`` is None."""
        if new is None:
            self.plan.bind(parent, name, file)
        else:
            is_other = not _same_content(file.entry, new)
            self.plan.entries.append((file, new))
            self.plan.notices.append(KernelNotice(file.ino, None, is_other))

    def is_removed_link(self, file: File) -> bool:
        """Whether others only took a name from a hard-linked file that has more names."""
        group = file.entry.group
        get = self.state.view.reader.get_tree
        return bool(group) and has_group(get, self.plan.snapshot.links, group)

    def plan_content(self, file: File, new: Entry) -> None:
        """Keep the inode if only attributes differ; else unload its names."""
        if _same_content(file.entry, new):
            self.plan.entries.append((file, new))
            self.plan.notices.append(KernelNotice(file.ino, None))
        else:
            for directory, name in self.state.names(file):
                self.unload(directory, name, new)
            if new.group:
                self.plan.renewed.add(new.group)

    def plan_links(self, old: Oid, new: Oid) -> None:
        """Plan for hard-linked files, which change in the link tree, under all their names at
        once."""
        get = self.state.view.reader.get_tree
        for name, before, record in diff_trees(get, old, new):
            file = self.state.inodes.by_group.get(int(name, 16))
            if file is None or record is None:
                continue
            if file.ino in self.state.overlay.dirty:
                links = file.entry.links + record.links - (before.links if before else 0)
                self.plan.entries.append((file, replace(file.entry, links=max(1, links))))
                self.plan.notices.append(KernelNotice(file.ino, None))
            else:
                self.plan_content(file, replace(record, group=int(name, 16)))

    def unload(self, directory: Directory, name: bytes, new: Entry | None) -> None:
        """Plan that a name is looked up again, because it means ``new``, or nothing."""
        self.plan.unloaded.append((directory, name))
        if new is not None and not new.group:
            self.plan.renewed.add((directory.ino, name))
        self.plan.notices.append(KernelNotice(directory.ino, name))


def _same_content(a: Entry, b: Entry) -> bool:
    return (a.kind, a.size, a.inline, a.extents, a.root, a.rdev) == (
        b.kind,
        b.size,
        b.inline,
        b.extents,
        b.root,
        b.rdev,
    ) and a.kind != FileKind.DIRECTORY
