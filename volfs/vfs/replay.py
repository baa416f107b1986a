"""Replay: the changes of an overlay, made again on another version, path by path.

It is for an overlay whose base is gone. Without the base nobody can say what the other version has
that the base had not. So each path that the overlay changed becomes what the overlay says, and
every other path stays as the version has it:

- a file that was written becomes ours, whole; a removed name goes, with all below it;
- a directory that both have gets the names of both, and our attributes if we changed them;
- a file of which only attributes were changed gets these attributes. Its content is ours if the
  store still has it, else the version's.

``plan_contents`` first plans where bytes come from, and changes nothing.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from volfs.model.entry import Entry, FileKind, replace, with_content
from volfs.model.extents import BASE, ExtentMap
from volfs.model.links import find_groups
from volfs.model.names import Path
from volfs.vfs.bases import is_there
from volfs.vfs.inode import Directory, File, Inode
from volfs.vfs.left_content import LeftBytes, Sources, join_ranges
from volfs.vfs.left_tree import Left, LeftDirectory, LeftFile, LeftTree
from volfs.vfs.namespace import Namespace
from volfs.vfs.state import MountState
from volfs.vfs.view import Miss
from volfs.volume.leases import entry_needs


class Way(enum.Enum):
    """How a file gets its content."""

    KEEP = "the store has all of it"
    GATHER = "the store has the parts that are needed: they are copied to scratch"
    ATTRIBUTES = "the version's content, for ours is not there and was not changed"
    MISSING = "the store lacks parts that the file needs"


class Needed(NamedTuple):
    """The ranges of a file that the lost base had and the store has not. Without ranges, names at
    or below ``path`` are missing."""

    path: Path
    missing: list[tuple[int, int]]
    problem: str


@dataclass(slots=True)
class ContentPlan:
    ways: dict[LeftFile, Way] = field(default_factory=dict)
    needed: list[Needed] = field(default_factory=list)
    lost: dict[LeftFile, Needed] = field(default_factory=dict)


def settle(state: MountState, operation: Callable[..., Any], *arguments: Any, **more: Any) -> Any:
    """Run an operation until nothing is missing, as ``Bridge.settle``, in a thread that may
    wait."""
    while True:
        try:
            return operation(*arguments, **more)
        except Miss as miss:
            state.view.keep(miss.oid, state.view.fetch(miss.oid))


def plan_contents(tree: LeftTree, sources: Sources, state: MountState) -> ContentPlan:
    """Plan where the content of each file comes from, and find what is missing. Changes
    nothing."""
    plan = ContentPlan()
    bound = {left.what for left in tree.items if left.is_bound}
    groups = {left.what.entry.group for left in tree.strays if isinstance(left.what, LeftFile)}
    known = find_version_groups(state, groups)
    for left in tree.items:
        if isinstance(left.what, LeftFile):
            _plan_file(plan, sources, state, left, left.what in bound)
    for left in tree.strays:
        if isinstance(left.what, LeftFile) and left.what.entry.group in known:
            _plan_file(plan, sources, state, left, True)
        else:
            problem = next((p for path, p in tree.unknown if path == left.path), "it has no path")
            plan.needed.append(Needed(left.path, [], problem))
    strays = {left.path for left in tree.strays}
    plan.needed += [Needed(path, [], why) for path, why in tree.unknown if path not in strays]
    return plan


def _plan_file(
    plan: ContentPlan, sources: Sources, state: MountState, left: Left, is_bound: bool
) -> None:
    file = left.what
    assert isinstance(file, LeftFile)
    if file in plan.ways:  # Another name of the same file.
        if (lost := plan.lost.get(file)) is not None:
            plan.needed.append(lost._replace(path=left.path))
        return
    way, missing = _find_way(sources, file)
    if way is Way.MISSING and not (is_bound or file.is_written):
        there = settle(state, _find, state, left.path)
        if isinstance(there, File) and there.entry.kind == file.entry.kind:
            way = Way.ATTRIBUTES
    plan.ways[file] = way
    if way is Way.MISSING:
        lost = Needed(left.path, join_ranges(missing), missing[0].problem)
        plan.lost[file] = lost
        plan.needed.append(lost)


def _find_way(sources: Sources, file: LeftFile) -> tuple[Way, list[LeftBytes]]:
    pieces = [piece for piece in file.extents.pieces if piece.source == BASE]
    if not pieces or is_there(sources.objects, entry_needs(file.base)):
        return Way.KEEP, []
    parts = (part for piece in pieces for part in sources.iter_base(file, piece))
    missing = [part._replace(data=None) for part in parts if part.data is None]
    return (Way.MISSING if missing else Way.GATHER), missing


def _find(state: MountState, path: Path) -> Inode | None:
    here: Inode | None = state.root
    for name in path:
        here = state.child(here, name) if isinstance(here, Directory) else None
    return here


def find_version_groups(state: MountState, groups: set[int]) -> dict[int, list[Path]]:
    """The paths, in the mount, of the version's files in these link groups, by group."""
    found: dict[int, list[Path]] = {}
    if groups and state.view.snapshot.links:
        root, get = state.root.entry.tree, state.view.reader.get_tree
        for path, entry in settle(state, lambda: list(find_groups(get, root, groups))):
            found.setdefault(entry.group, []).append(path)
    return found


class Replay:
    """One replay onto a fresh state over the other version."""

    def __init__(
        self, state: MountState, tree: LeftTree, ways: dict[LeftFile, Way], sources: Sources
    ) -> None:
        self.state = state
        self.tree = tree
        self.ways = ways
        self.sources = sources
        self.names = Namespace(state)
        self.placed: dict[LeftFile, File] = {}
        self.directories: list[tuple[Directory, Entry]] = []
        files = (left.what for left in (*tree.items, *tree.strays))
        groups = {file.entry.group for file in files if isinstance(file, LeftFile)} - {0}
        self.known = find_version_groups(state, groups)

    def run(self) -> None:
        """Make all changes of the overlay. LimitError if the version has no room for them;
        StoreError."""
        for left in self.tree.items:
            if left.what is None:
                self.remove(left.path)
            elif isinstance(left.what, LeftDirectory):
                self.make_directory(left, left.what)
            elif self.ways[left.what] is not Way.MISSING:
                self.place(left.path, left.what)
        for left in self.tree.strays:
            if isinstance(left.what, LeftFile) and left.what in self.ways:
                self.find_of_version(left.what)
        if self.tree.is_root_changed:
            self.directories.append((self.state.root, self.tree.root))
        for directory, entry in reversed(self.directories):
            self.set_attributes(directory, entry)
        self.settle(self.state.recount_usage)

    # --- names -----------------------------------------------------------

    def settle(self, operation: Callable[..., Any], *arguments: Any, **more: Any) -> Any:
        return settle(self.state, operation, *arguments, **more)

    def find(self, path: Path) -> Inode | None:
        found: Inode | None = self.settle(_find, self.state, path)
        return found

    def parent(self, path: Path) -> int:
        above = self.find(path[:-1])
        assert isinstance(above, Directory), "it was made before what is in it"
        return above.ino

    def remove(self, path: Path) -> None:
        """Remove a name, and all below it. No recursion, because it may be deep."""
        waiting = [(path, False)]
        while waiting:
            at, is_empty = waiting.pop()
            inode = self.find(at)
            if inode is None:
                continue
            place = self.parent(at), at[-1]
            if not isinstance(inode, Directory):
                self.settle(self.names.unlink, *place)
            elif is_empty:
                self.settle(self.names.rmdir, *place)
            else:
                waiting.append((at, True))
                below = self.settle(self.names.list_names, inode.ino)
                waiting += [((*at, name), False) for name in below]

    def make_directory(self, left: Left, what: LeftDirectory) -> None:
        there = self.find(left.path)
        if not isinstance(there, Directory):
            self.remove(left.path)
            made = self.make(left.path, what.entry)
            assert isinstance(made, Directory)
            self.directories.append((made, what.entry))
        elif left.is_bound or what.is_changed:
            self.directories.append((there, what.entry))

    def make(self, path: Path, entry: Entry) -> Inode:
        kind, owner = FileKind(entry.kind), (entry.uid, entry.gid)
        made: Inode = self.settle(
            self.names.make,
            self.parent(path),
            path[-1],
            kind,
            entry.mode,
            owner,
            target=entry.inline if kind == FileKind.SYMLINK else b"",
            rdev=entry.rdev,
        )
        return made

    # --- files -----------------------------------------------------------

    def place(self, path: Path, file: LeftFile) -> None:
        """Let a path mean a file of ours."""
        there = self.find(path)
        ours = self.placed.get(file) or self.find_of_version(file)
        if ours is not None:
            if there is not ours:
                self.remove(path)
                self.settle(self.names.link, ours.ino, self.parent(path), path[-1])
            return
        if not (isinstance(there, File) and _may_become(there.entry, file.entry)):
            self.remove(path)
            there = self.make(path, file.entry)
        assert isinstance(there, File)
        self.fill(there, file)

    def find_of_version(self, file: LeftFile) -> File | None:
        """The inode of the same hard-linked file, if the version still has it."""
        for path in self.known.get(file.entry.group, ()):
            there = self.find(path)
            if isinstance(there, File) and there.entry.group == file.entry.group:
                self.fill(there, file)
                return there
        return None

    def fill(self, inode: File, file: LeftFile) -> None:
        self.placed[file] = inode
        way = self.ways[file]
        if file.entry.kind == FileKind.FILE and way is not Way.ATTRIBUTES:
            self.set_content(inode, file, way)
        self.set_attributes(inode, file.entry, with_times=way is not Way.ATTRIBUTES)

    def set_content(self, inode: File, file: LeftFile, way: Way) -> None:
        pieces = [piece for piece in file.extents.pieces if piece.source != BASE]
        has_base = len(pieces) < len(file.extents.pieces)
        if way is Way.KEEP and has_base:
            pieces = list(file.extents.pieces)
        content = file.base if way is Way.KEEP and has_base else Entry(b"", FileKind.FILE)
        inode.base = with_content(inode.entry, content)
        inode.extents, inode.run = ExtentMap(file.extents.size, pieces), None
        inode.entry = replace(inode.entry, size=file.extents.size)
        if way is Way.KEEP and not file.is_written:
            inode.entry, inode.extents = inode.base, None
        if way is Way.GATHER:
            self.gather(inode, file)

    def gather(self, inode: File, file: LeftFile) -> None:
        """Copy to scratch what the file needs of its base, of which the store has only parts."""
        assert inode.extents is not None, "its content was set"
        for piece in file.extents.pieces:
            if piece.source == BASE:
                for part in self.sources.iter_base(file, piece):
                    assert part.data is not None, "it was there when this was planned"
                    inode.run = self.state.scratch.write(
                        inode.extents, inode.run, part.start, part.data
                    )

    def set_attributes(self, inode: Inode, entry: Entry, *, with_times: bool = True) -> None:
        now = inode.entry
        ours = replace(now, mode=entry.mode, uid=entry.uid, gid=entry.gid, xattrs=entry.xattrs)
        if with_times:
            ours = replace(ours, mtime_ns=entry.mtime_ns, ctime_ns=entry.ctime_ns)
        self.state.overlay.touch(inode, ours)


def _may_become(there: Entry, file: Entry) -> bool:
    """Whether a file of the version may be changed to be ours.

    It must have the same kind, no other link group, and, unless it is a regular file, the same
    target and device.
    """
    same = there.kind == file.kind and there.group in (0, file.group)
    plain = there.kind == FileKind.FILE or (there.inline, there.rdev) == (file.inline, file.rdev)
    return same and plain
