"""A mount's uncommitted changes: which inodes are dirty, and how they are sealed for a commit.

A seal is synchronous, so it is a consistent cut: all changes made before are in it, and writers go
on in the next generation. Until the commit is absorbed, the sealed changes stay on top of the view
like any others. A failed commit makes them ordinary changes again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from volfs.model.delta import Delta, DirectoryDelta
from volfs.model.entry import Entry, FileKind, replace, with_content
from volfs.model.extents import ExtentMap
from volfs.model.names import Path
from volfs.vfs.inode import ROOT_INO, Directory, File, Inode
from volfs.vfs.scratch import Scratch


@dataclass(slots=True)
class SealedFile:
    """A file whose content is to be written: its state at the seal, and ``place``, which puts its
    entry into the delta."""

    file: File
    stamp: int
    entry: Entry
    base: Entry
    extents: ExtentMap
    place: Callable[[Entry], None]
    written: Entry | None = None


@dataclass(slots=True)
class SealedDirectory:
    directory: Directory
    path: Path
    """The path from the volume's root."""
    names: dict[bytes, tuple[Inode | None, int]]
    """The inode that each changed name meant, and its link group at the seal."""


@dataclass(slots=True)
class SealedGeneration:
    """One generation on its way into a version. ``delta`` lacks the content of ``files``."""

    delta: Delta
    last_arena: int
    dirty: dict[int, tuple[Inode, int]]
    """Each dirty inode and its stamp."""
    files: list[SealedFile] = field(default_factory=list)
    directories: list[SealedDirectory] = field(default_factory=list)
    writing: SealedFile | None = None
    """The file whose content is being read and written."""

    @property
    def bound(self) -> list[tuple[Directory, bytes, Inode]]:
        """The names that still mean what they meant at the seal."""
        return [
            (done.directory, name, inode)
            for done in self.directories
            for name, (inode, _) in done.names.items()
            if inode is not None and done.directory.children.get(name) is inode
        ]

    @property
    def inodes(self) -> list[Inode]:
        """The inodes that the overlay needed for this generation: the dirty ones, and those that
        names were bound to."""
        bound = [inode for done in self.directories for inode, _ in done.names.values() if inode]
        return bound + [inode for inode, _ in self.dirty.values()]


class Overlay:
    """Dirty inodes of a mount, and what the catalog has not recorded yet."""

    def __init__(self, scratch: Scratch, sub_path: Path, sign: memoryview | None = None) -> None:
        self.scratch = scratch
        self.sub_path = sub_path
        self.dirty: dict[int, Inode] = {}
        """Bound inodes with changes of their own: attributes, content, or a directory's names."""
        self.sealed: SealedGeneration | None = None
        self.orphans: dict[int, File] = {}
        """Files that were removed while they were in use. Their scratch outlives commits."""
        self.late: dict[int, File] = {}
        """Files whose content was left out by seals. Their scratch outlives those commits."""
        self.unrecorded: set[int] = set()
        self.unrecorded_names: set[tuple[int, bytes]] = set()
        self.sign: bytearray | memoryview = bytearray(1) if sign is None else sign
        """A byte that is 1 if there may be something to commit.

        Other processes may read it. It is set before a change is acknowledged, and is cleared only
        after a look at the overlay.
        """
        self.sign[0] = 1

    # --- changes ---------------------------------------------------------

    def touch(self, inode: Inode, entry: Entry) -> None:
        """Give an inode other attributes, or note that its content changed."""
        inode.entry = entry
        inode.stamp += 1
        self.dirty[inode.ino] = inode
        self.sign[0] = 1
        self.unrecorded.add(inode.ino)

    def bind(self, directory: Directory, name: bytes, inode: Inode | None) -> None:
        """Let a name mean ``inode``; None removes the name. The caller touches the directory."""
        directory.children[name] = inode
        directory.changed.add(name)
        self._note(directory, name)
        if inode is not None:
            self.unrecorded.add(inode.ino)

    def unbind(self, directory: Directory, name: bytes) -> None:
        """Remove a name that the view never had: no whiteout is needed."""
        del directory.children[name]
        directory.changed.discard(name)
        self._note(directory, name)

    def forget(self, inode: Inode) -> None:
        """Drop the changes of an inode that is bound nowhere."""
        self.dirty.pop(inode.ino, None)
        self.unrecorded.add(inode.ino)
        if isinstance(inode, File):
            self.orphans[inode.ino] = inode
        if isinstance(inode, Directory):
            self.unrecorded_names.update((inode.ino, name) for name in inode.changed)

    # --- recording -------------------------------------------------------

    def take_unrecorded(self) -> tuple[set[int], set[tuple[int, bytes]]]:
        """Take the inodes and names that the catalog is to record now. They are no longer due."""
        taken = self.unrecorded, self.unrecorded_names
        self.unrecorded, self.unrecorded_names = set(), set()
        return taken

    def give_back_unrecorded(self, inos: set[int], names: set[tuple[int, bytes]]) -> None:
        """Make inodes and names due again that could not be recorded."""
        self.unrecorded |= inos
        self.unrecorded_names |= names

    def find_arenas(self) -> set[int]:
        """The arenas that have bytes of files that outlive commits."""
        return _arenas_of(self.orphans) | _arenas_of(self.late)

    def _note(self, directory: Directory, name: bytes) -> None:
        self.unrecorded_names.add((directory.ino, name))
        self.unrecorded.add(directory.ino)
        self.dirty[directory.ino] = directory
        self.sign[0] = 1
        directory.stamp += 1

    # --- figures ---------------------------------------------------------

    @property
    def is_clean(self) -> bool:
        return not self.dirty and self.sealed is None

    @property
    def dirty_files(self) -> int:
        return len(self.uncommitted())

    @property
    def dirty_bytes(self) -> int:
        files = self.uncommitted().values()
        maps = [file.extents for file in files if isinstance(file, File) and file.extents]
        return sum(piece.end - piece.start for m in maps for piece in m.pieces if piece.source >= 0)

    def uncommitted(self) -> dict[int, Inode]:
        sealed = (
            {ino: inode for ino, (inode, _) in self.sealed.dirty.items()} if self.sealed else {}
        )
        return self.dirty | sealed

    def has(self, inode: Inode) -> bool:
        """Whether an inode has changes of its own that are not published."""
        sealed = self.sealed
        return inode.ino in self.dirty or (sealed is not None and inode.ino in sealed.dirty)

    # --- seal ------------------------------------------------------------

    def seal(self, withheld: Collection[int] = ()) -> SealedGeneration:
        """Close the generation, and return everything dirty as data. Synchronous, O(changes).

        Files that are ``withheld`` are in it by name only. Their content stays dirty.
        """
        assert self.sealed is None, "one commit at a time"
        kept = self.find_withheld(withheld)
        self.late = {ino: file for ino, file in self.late.items() if ino in self.dirty} | kept
        dirty = {ino: (each, each.stamp) for ino, each in self.dirty.items() if ino not in kept}
        self.sealed = SealedGeneration(Delta(), self.scratch.seal(), dirty)
        _Sealing(self.sealed, self.sub_path, kept).run()
        self.dirty = dict(kept)
        return self.sealed

    def describe(self) -> SealedGeneration:
        """Everything uncommitted as a seal would return it. Nothing is sealed."""
        dirty = {ino: (each, each.stamp) for ino, each in self.uncommitted().items()}
        found = SealedGeneration(Delta(), 0, dirty)
        _Sealing(found, self.sub_path, {}).run()
        return found

    def find_withheld(self, withheld: Collection[int]) -> dict[int, File]:
        """Those of the files ``withheld`` whose content is dirty."""
        files = (self.dirty.get(ino) for ino in withheld)
        return {f.ino: f for f in files if isinstance(f, File) and f.extents is not None}

    def restore(self) -> None:
        """Make the sealed changes ordinary ones again, because the commit failed."""
        assert self.sealed is not None
        for ino, (inode, _) in self.sealed.dirty.items():
            if inode.parent is not None or inode.ino == ROOT_INO:
                self.dirty.setdefault(ino, inode)
        self.sealed = None
        self.scratch.end_commit(has_failed=True)

    def absorb(self, directories: Mapping[Path, Entry]) -> int:
        """Take over what a successful commit published, which is the view's now.

        Returns the last arena that no bound file needs any more, once the catalog has recorded
        this.

        ``directories`` are the new entries of the delta's directories, by path from the volume's
        root. Inodes keep their numbers. Those that changed since the seal stay dirty, on top of
        what was published.
        """
        sealed = self.sealed
        assert sealed is not None
        for done in sealed.directories:
            self._absorb_directory(done, directories[done.path])
        for written in sealed.files:
            self._absorb_file(written, sealed.last_arena)
        for ino, (inode, stamp) in sealed.dirty.items():
            if inode.stamp == stamp:
                self.dirty.pop(ino, None)
        self.unrecorded.update(sealed.dirty)
        self.sealed = None
        self.scratch.end_commit(has_failed=False)
        return sealed.last_arena

    def _absorb_directory(self, done: SealedDirectory, entry: Entry) -> None:
        directory = done.directory
        directory.entry = replace(
            directory.entry,
            root=entry.root,
            files=entry.files,
            directories=entry.directories,
            content_bytes=entry.content_bytes,
            data_bytes=entry.data_bytes,
            linked=entry.linked,
        )
        for name, (inode, group) in done.names.items():
            if directory.children.get(name) is inode and _group(inode) == group:
                directory.changed.discard(name)
                if inode is None:
                    directory.children.pop(name, None)
                self.unrecorded_names.add((directory.ino, name))

    def _absorb_file(self, done: SealedFile, last_arena: int) -> None:
        file, written = done.file, done.written
        assert written is not None
        file.base = with_content(file.entry, written)
        if file.extents is not None:
            file.extents.rebase(range(last_arena + 1), done.extents)
            # Holes have no source: a sparse file can be the base's although not all of its bytes
            # are in pieces.
            same = file.stamp == done.stamp and file.entry.links > 0
            if same or (file.extents.is_base and file.extents.size == written.size):
                file.entry = file.base
                file.extents = file.run = None
        self.unrecorded.add(file.ino)


def _arenas_of(files: Mapping[int, File]) -> set[int]:
    maps = [file.extents for file in files.values() if file.extents]
    return {piece.source for extents in maps for piece in extents.pieces if piece.source >= 0}


def _group(inode: Inode | None) -> int:
    return inode.entry.group if inode is not None else 0


def _bound(inode: Inode | None) -> tuple[Inode | None, int]:
    return inode, _group(inode)


def _before(file: File) -> Entry:
    """The entry of a file as if nobody had written to it since it was published."""
    return with_content(file.entry, file.base)


class _Sealing:
    """One seal: builds the delta from the dirty inodes."""

    def __init__(
        self, sealed: SealedGeneration, sub_path: Path, withheld: Mapping[int, File]
    ) -> None:
        self.sealed = sealed
        self.sub_path = sub_path
        self.withheld = withheld
        self.nodes: dict[int, DirectoryDelta] = {}

    def run(self) -> None:
        for inode, _ in self.sealed.dirty.values():
            if isinstance(inode, Directory):
                self.add_directory(inode)
            elif isinstance(inode, File):
                self.add_file(inode)
        for file in self.withheld.values():
            if file.entry.group:
                self.sealed.delta.records[file.entry.group] = _before(file)

    def node(self, directory: Directory) -> DirectoryDelta:
        """The delta's node of a directory. It is made with the nodes above it."""
        missing: list[Directory] = []
        here: Directory | None = directory
        while here is not None and here.ino not in self.nodes:
            missing.append(here)
            here = here.parent
        for each in reversed(missing):
            self.nodes[each.ino] = self.make_node(each)
        return self.nodes[directory.ino]

    def make_node(self, directory: Directory) -> DirectoryDelta:
        """Make a directory's node below the node of its parent, which must be there."""
        if directory.parent is None:
            node = self.sealed.delta.at(self.sub_path)
        else:
            node = DirectoryDelta()
            if directory.is_made:
                node = DirectoryDelta(directory.entry, directory.entry.tree)
            self.nodes[directory.parent.ino].names[directory.name] = node
        names = {name: _bound(directory.children[name]) for name in directory.changed}
        path = (*self.sub_path, *directory.path)
        self.sealed.directories.append(SealedDirectory(directory, path, names))
        return node

    def add_directory(self, directory: Directory) -> None:
        node = self.node(directory)
        node.attributes = directory.entry
        for name in directory.changed:
            child = directory.children[name]
            if isinstance(child, Directory):
                self.node(child)
            elif isinstance(child, File):
                self.add_name(node, name, child)
            else:
                node.names[name] = None

    def add_name(self, node: DirectoryDelta, name: bytes, file: File) -> None:
        """Bind a file in the delta. A file whose content must be written first is bound later."""
        if file.entry.group:
            node.names[name] = Entry(name, FileKind(file.entry.kind), group=file.entry.group)
        elif file.ino in self.withheld:
            node.names[name] = replace(_before(file), name=name)
        elif file.extents is None:
            node.names[name] = replace(file.entry, name=name)

    def add_file(self, file: File) -> None:
        """Add a file with changes of its own: its entry, or its group's record."""
        group = file.entry.group
        if group:
            records = self.sealed.delta.records

            def place(entry: Entry) -> None:
                records[group] = entry
        else:
            assert file.parent is not None, "a dirty file is bound"
            node, name = self.node(file.parent), file.name

            def place(entry: Entry) -> None:
                node.names[name] = replace(entry, name=name)

        if file.extents is None:
            place(file.entry)
        else:
            self.sealed.files.append(
                SealedFile(file, file.stamp, file.entry, file.base, file.extents.copy(), place)
            )
