"""The state that the parts of one mount share, and the few rules that all of them need."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from volfs.errors import ReadOnlyMountError, StaleInodeError
from volfs.model.entry import Entry, Totals, replace
from volfs.model.links import group_name, load_record
from volfs.model.objects import NO_OID, Oid
from volfs.model.profile import Profile
from volfs.model.tree import count_entries, find_entry, iter_entries
from volfs.store.lru import LruMap
from volfs.vfs.data_bytes import counted_data, measure_data
from volfs.vfs.inode import ROOT_INO, Directory, File, Inode, InodeTable
from volfs.vfs.overlay import Overlay
from volfs.vfs.refused import Refused
from volfs.vfs.scratch import Scratch
from volfs.vfs.view import View

PLACES = 1 << 16
"""The number of unloaded inodes whose place is remembered, so that their file handles still open;
about 15 MB."""


@dataclass(slots=True)
class SpaceUsage:
    """The inodes and the bytes of data that a mount shows: the version's, and what the overlay
    adds."""

    inodes: int
    data: int

    def move(self, old: Totals, new: Totals) -> None:
        """Count as ``new`` what was counted as ``old``."""
        self.inodes += new.inodes - old.inodes
        self.data += counted_data(new) - counted_data(old)


class Mappable(NamedTuple):
    """A file that may be mapped for writing. The kernel may hold back what was written to it."""

    ino: int
    path: bytes


@dataclass(slots=True)
class MountState:
    """One mount's inodes, view and overlay. Owned by the trio tasks; threads never touch it."""

    view: View
    profile: Profile
    overlay: Overlay
    scratch: Scratch
    clock: Callable[[], int]
    """Nanoseconds since the epoch."""
    random: Callable[[], int]
    """63 random bits, for link groups."""
    read_only: bool = False
    follows: bool = False
    """Whether versions change under open files (``Committer.follow``)."""
    inodes: InodeTable = field(default_factory=InodeTable)
    places: LruMap[int, tuple[int, bytes]] = field(default_factory=lambda: LruMap(PLACES))
    """The former places of unloaded inodes, by number: the directory's number, and the name."""
    usage: SpaceUsage = field(init=False)
    uncounted: set[File] = field(default_factory=set)
    """Files that changed since ``usage`` last counted their bytes of data."""
    open_files: int = 0
    open_mappable: dict[File, int] = field(default_factory=dict)
    """How often each file is open for reading and writing: a shared mapping needs both."""
    refused: Refused = field(default_factory=Refused)
    """The pages that could not be written, by file."""

    def __post_init__(self) -> None:
        totals = self.view.snapshot.totals
        self.usage = SpaceUsage(totals.inodes, counted_data(totals))

    # --- finding ---------------------------------------------------------

    @property
    def root(self) -> Directory:
        root = self.inodes.find(ROOT_INO)
        assert isinstance(root, Directory)
        return root

    def get(self, ino: int) -> Inode:
        """The inode of a number that the kernel was told.

        StaleInodeError for an inode that a reload left behind: the kernel then looks the path up
        again, which leads it to the new inode. A mount that ``follows`` may have a newer inode at
        each lookup, so there a file that was looked up a moment ago still answers.
        """
        inode = self.inodes.find(ino)
        if inode is None or (inode.stale and not (self.follows and isinstance(inode, File))):
            raise StaleInodeError(f"inode {ino} is of a version not shown any more")
        return inode

    def list_mappable(self) -> list[Mappable]:
        return [Mappable(file.ino, b"/".join(file.path)) for file in self.open_mappable]

    def count_mappable(self, file: File, change: int) -> None:
        count = self.open_mappable.pop(file, 0) + change
        if count:
            self.open_mappable[file] = count
            self.overlay.sign[0] = 1  # Writes through a mapping are not reported.

    def settle_sign(self) -> None:
        """Clear the sign, if there is nothing to commit."""
        if self.overlay.is_clean and not self.open_mappable:
            self.overlay.sign[0] = 0

    def find_again(self, ino: int) -> Inode:
        """The inode that a file handle means, from the table, or loaded again. Miss.

        StaleInodeError if the file is no longer at its place, or was forgotten too long ago.
        """
        names: list[bytes] = []
        above = ino
        while (inode := self.inodes.find(above)) is None:
            place = self.places.find(above)
            if place is None or len(names) > PLACES:
                raise StaleInodeError(f"inode {ino} is not known any more")
            above, name = place
            names.append(name)
        for name in reversed(names):
            found = self.child(inode, name) if isinstance(inode, Directory) else None
            if found is None:
                break
            inode = found
        if inode.ino != ino:
            self.drop_if_idle(inode)
            raise StaleInodeError(f"inode {ino} is not where it was")
        return self.get(ino)

    def child(self, directory: Directory, name: bytes) -> Inode | None:
        """The inode that a name means in a directory, loaded if need be; None if there is none.
        Miss."""
        if name in directory.children:
            return directory.children[name]
        entry = find_entry(self.view.reader.get_tree, directory.entry.tree, name)
        if entry is None:
            return None
        inode = self._load(directory, entry)
        directory.children[name] = inode
        return inode

    def _load(self, directory: Directory, entry: Entry) -> Inode:
        group, whole = entry.group, entry
        if group and group not in self.inodes.by_group:
            whole = load_record(self.view.reader.get_tree, self.view.snapshot.links, group)
        return self.load(directory, entry.name, whole)

    def load(self, directory: Directory, name: bytes, entry: Entry) -> Inode:
        """An inode for a name. For a hard-linked file, the inode that it already has, if any.

        ``entry`` has all attributes: for a hard-linked file it is the record of the group.
        """
        if not entry.group:
            return self.inodes.add(entry, directory, name)
        file = self.inodes.by_group.get(entry.group)
        if file is None:
            added = self.inodes.add(entry, directory, name)
            assert isinstance(added, File)
            file = added
        if not file.aliases:
            file.parent, file.name = directory, name
        file.aliases.add((directory, name))
        return file

    def find_in_view(self, directory: Directory, name: bytes) -> Entry | None:
        """The entry that the view has under a name, whatever the overlay says. Miss."""
        return find_entry(self.view.reader.get_tree, directory.entry.tree, name)

    def count(self, directory: Directory) -> int:
        """The number of names in a directory. Miss."""
        if directory.count is None:
            count = count_entries(self.view.reader.get_tree, directory.entry.tree)
            for name in directory.changed:
                count += directory.children[name] is not None
                count -= self.find_in_view(directory, name) is not None
            directory.count = count
        return directory.count

    def recount_usage(self) -> None:
        """Compute ``usage`` anew from the view and the overlay. O(changes). Miss."""
        totals = self.view.snapshot.totals
        usage = SpaceUsage(totals.inodes, counted_data(totals))
        groups: Counter[int] = Counter()
        """For each group, how many more names it has than in the view."""
        trees: Counter[Oid] = Counter()
        """For each tree of the view, how often it is bound more than in the view."""
        for inode in self.overlay.uncommitted().values():
            if inode.parent is None and inode.ino != ROOT_INO:
                continue  # The inode was removed while its commit was under way.
            if isinstance(inode, Directory):
                for name in inode.changed:
                    now, before = inode.children[name], self.find_in_view(inode, name)
                    usage.move(_totals_of(before), self._count_anew(now))
                    groups[now.entry.group if now else 0] += 1
                    groups[before.group if before else 0] -= 1
                    trees[_tree_of(now.entry if now else None)] += 1
                    trees[_tree_of(before)] -= 1
            elif inode.entry.group:
                groups[inode.entry.group] += 0
            elif inode.parent is not None and inode.name not in inode.parent.changed:
                before = self.find_in_view(inode.parent, inode.name)
                usage.move(_totals_of(before), self._count_anew(inode))
        for tree in [tree for tree, more in trees.items() if more and tree]:
            for group in self._iter_groups(tree):
                groups[group] += trees[tree]
        del groups[0]
        for group, more in groups.items():
            usage.move(*self._group_totals(group, more))
        self.usage = usage
        self.uncounted.clear()

    def count_uncounted(self) -> None:
        """Bring the bytes of data in ``usage`` up to date. O(changed files). Miss."""
        while self.uncounted:
            file = next(iter(self.uncounted))
            before = file.counted
            self._count_anew(file)
            self.usage.data += file.counted - before
            self.uncounted.discard(file)

    def count_committed(self, file: File) -> None:
        """Count a file's data as a commit stored it, which may store zeros as a hole, and a small
        hole as zeros."""
        if not file.entry.links:
            return
        if file.extents is None:
            self.usage.data += file.entry.data - file.counted
            self.uncounted.discard(file)
            file.counted = file.entry.data
        else:
            self.uncounted.add(file)

    def get_counted(self, file: Inode) -> int:
        """The bytes of data that ``usage`` has counted for a file."""
        if isinstance(file, File) and (file.extents is not None or file in self.uncounted):
            return file.counted
        entry = file.entry
        return counted_data(Totals(1, 0, entry.size, data=entry.data))

    def _count_anew(self, inode: Inode | None) -> Totals:
        """The totals that an inode adds, with its bytes of data as they are now. Miss."""
        totals = _totals_of(inode.entry if inode else None)
        if not isinstance(inode, File):
            return totals
        inode.counted = measure_data(self.view.reader.get_list, inode)
        return totals if inode.entry.group else totals._replace(data=inode.counted)

    def _iter_groups(self, tree: Oid) -> Iterator[int]:
        """The groups of hard links of all names below a tree of the view. Miss."""
        waiting = [tree] if self.view.snapshot.links else []
        for each in waiting:
            for entry in iter_entries(self.view.reader.get_tree, each):
                yield entry.group
                if entry.is_directory:
                    waiting.append(entry.tree)

    def _group_totals(self, group: int, more: int) -> tuple[Totals, Totals]:
        """The totals that a hard-linked file adds in the view, and those that it adds here, where
        it has ``more`` names."""
        links = self.view.snapshot.links
        record = find_entry(self.view.reader.get_tree, links, group_name(group))
        now = self.inodes.by_group.get(group)
        before = after = _totals_of(record)
        if now is not None:
            self._count_anew(now)
            after = Totals(1, 0, now.entry.size, data=now.counted)
        left = (record.links if record else 0) + more
        return before, after if left > 0 else Totals(0, 0, 0)

    # --- changing --------------------------------------------------------

    def check_writable(self) -> None:
        if self.read_only:
            raise ReadOnlyMountError("the mount is read-only")

    def check_room(self, directory: Directory, *, inodes: int) -> None:
        """LimitError if a directory cannot take one more name, or the volume cannot take
        ``inodes`` more."""
        self.profile.check_entries(self.count(directory) + 1, directory.path)
        self.profile.check_inodes(self.usage.inodes + inodes)

    def touch_names(self, directory: Directory, *, subdirectories: int = 0) -> None:
        """Update a directory after its names changed: its times, and perhaps its count of
        subdirectories."""
        now = self.clock()
        entry = directory.entry
        self.overlay.touch(
            directory,
            replace(
                entry,
                mtime_ns=now,
                ctime_ns=now,
                subdirectories=entry.subdirectories + subdirectories,
            ),
        )

    # --- unloading -------------------------------------------------------

    def remember(self, inode: Inode) -> None:
        """Count one more lookup: the kernel was given the inode once more."""
        inode.lookups += 1

    def forget(self, ino: int, lookups: int) -> None:
        """Take ``lookups`` off an inode's lookup count, because the kernel forgets it. Never
        raises."""
        inode = self.inodes.find(ino)
        if inode is not None:
            inode.lookups = max(0, inode.lookups - lookups)
            self.drop_if_idle(inode)

    def drop_if_idle(self, inode: Inode) -> None:
        """Unload an inode that neither the kernel, a handle nor the overlay needs.

        Then unload the directories that were loaded only for it.
        """
        waiting = [inode]
        while waiting:
            here = waiting.pop()
            if here.lookups or here.opens or here.ino == ROOT_INO:
                continue
            if here.parent is None:
                self._release(here)
                self.overlay.orphans.pop(here.ino, None)
                self.inodes.remove(here)
            elif self._is_clean(here):
                waiting += self._unload(here)

    def _release(self, inode: Inode) -> None:
        if isinstance(inode, File) and inode.extents is not None:
            self.scratch.release(inode.extents.pieces)

    def _is_clean(self, inode: Inode) -> bool:
        overlay = self.overlay
        if inode.ino in overlay.dirty or (overlay.sealed and inode.ino in overlay.sealed.dirty):
            return False
        if isinstance(inode, Directory):
            return not (inode.is_made or inode.children)
        assert isinstance(inode, File)
        return not any(name in parent.changed for parent, name in self.names(inode))

    def _unload(self, inode: Inode) -> list[Inode]:
        """Unload an inode. The directories that had it."""
        names = self.names(inode)
        for directory, name in names:
            self.inodes.keep_number(inode, directory, name)
            self.places.put(inode.ino, (directory.ino, name))
            directory.children.pop(name, None)
        self.inodes.remove(inode)
        return [directory for directory, _ in names]

    def names(self, inode: Inode) -> list[tuple[Directory, bytes]]:
        """The places where an inode is bound, as far as they are loaded."""
        if isinstance(inode, File) and inode.entry.group:
            return list(inode.aliases)
        return [(inode.parent, inode.name)] if inode.parent is not None else []


def _totals_of(entry: Entry | None) -> Totals:
    return entry.totals if entry else Totals(0, 0, 0)


def _tree_of(entry: Entry | None) -> Oid:
    return entry.tree if entry is not None and entry.is_directory else NO_OID
