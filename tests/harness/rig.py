"""A mount that nobody mounted: the rooms of ``volfs.vfs`` over a real store, driven blocking.

What pyfuse3 and the kernel do is played by ``Rig``: it walks paths by lookups,
remembers what it was told, and forgets it again. An operation that misses an
object has it fetched and runs again; that the attempt changed nothing is
checked each time.
"""

from __future__ import annotations

import itertools
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import trio

from volfs.daemon.assemble import fill_state, make_view
from volfs.model.entry import Entry, FileKind
from volfs.model.names import Path as VolumePath
from volfs.model.objects import Buffer, Oid
from volfs.model.profile import Profile, get_profile
from volfs.sessions.facts import FACTS
from volfs.store.contract.lease import Lease
from volfs.store.contract.objects import Objects, Upload
from volfs.store.contract.refs import VolumeRecord
from volfs.store.contract.store import Store
from volfs.vfs.aio import Bridge
from volfs.vfs.catalog import Catalog
from volfs.vfs.checkout_plan import KernelNotice
from volfs.vfs.committer import Committer, Reloaded
from volfs.vfs.files import Files
from volfs.vfs.inode import ROOT_INO, Directory, File, Inode
from volfs.vfs.kernel import Kernel
from volfs.vfs.namespace import Namespace
from volfs.vfs.overlay import Overlay
from volfs.vfs.records import Recorded
from volfs.vfs.scratch import Scratch
from volfs.vfs.state import MountState, SpaceUsage
from volfs.vfs.thread_work import write_flush
from volfs.vfs.view import Miss
from volfs.volume.commit import CommitNote, Published
from volfs.volume.leases import new_lease
from volfs.volume.version_reader import Reader

_groups = itertools.count(0x1000)
"""Numbers of link groups: random in life, never the same twice here."""


class ColdObjects:
    """Objects of a store that has nothing at hand: each must be waited for."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    def __getattr__(self, name: str) -> Any:
        return getattr(self._objects, name)

    def load_object_ready(self, oid: Oid) -> bytes | None:
        return None

    def read_object_ready(self, oid: Oid, offset: int, length: int) -> Buffer | None:
        return None


class HookedStore:
    """A store that says when a commit has been sealed and begins to publish, and when it has."""

    def __init__(self, store: Store, *, is_cold: bool = False) -> None:
        self._store = store
        self._is_cold = is_cold
        self.on_upload: Callable[[], None] = lambda: None
        self.on_published: Callable[[], None] = lambda: None
        self.refs = self

    def __getattr__(self, name: str) -> Any:
        refs = self._store.refs
        return getattr(refs if hasattr(refs, name) else self._store, name)

    def objects_of(self, volume_id: str) -> Objects:
        objects = self._store.objects_of(volume_id)
        cold: Any = ColdObjects(objects)
        return cold if self._is_cold else objects

    def open_upload(self, volume_id: str) -> Upload:
        self.on_upload()
        return self._store.open_upload(volume_id)

    def publish(self, *arguments: Any, **options: Any) -> None:
        self._store.refs.publish(*arguments, **options)
        self.on_published()


class InlineBridge(Bridge):
    """Threads that are none: calls block, and everything happens in one order."""

    async def run(self, call: Callable[..., Any], *arguments: object) -> Any:
        return call(*arguments)


class CheckedBridge(InlineBridge):
    """Operations are settled as the rig settles its own: a miss must have changed nothing."""

    def __init__(self, rig: Rig) -> None:
        super().__init__(rig.state.view)
        self._rig = rig

    async def settle(self, operation: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        return self._rig.settle(operation, *arguments, **options)


class Rig:
    """One mount without a kernel. ``directory`` outlives it, as a session's does."""

    def __init__(
        self,
        store: Store,
        volume: VolumeRecord,
        directory: Path,
        clock: Callable[[], int],
        *,
        cold: bool = False,
        sub_path: VolumePath = (),
        read_only: bool = False,
        profile: Profile | None = None,
    ) -> None:
        self.store = HookedStore(store, is_cold=cold)
        self.strict = True
        """Whether to look if an attempt that missed an object changed something."""
        self.notices: list[KernelNotice] = []
        self.known: Counter[int] = Counter()
        """How often the kernel was told of an inode."""
        self._open_session(directory)
        recorded = self._read_left(store.leases.find(str(directory)))
        blank = new_lease(store.leases, str(directory), volume.id)
        # A HookedStore is a store to whoever uses one.
        hooked: Any = self.store
        view, lease = make_view(hooked, volume, blank, "head", sub_path, recorded)
        self.state = MountState(
            view,
            profile or get_profile(volume.profile),
            Overlay(self.scratch, sub_path),
            self.scratch,
            clock=clock,
            random=lambda: next(_groups),
            read_only=read_only,
        )
        trio.run(fill_state, self.state, CheckedBridge(self), self.catalog, recorded)
        self.names = Namespace(self.state)
        self.files = Files(self.state)
        self.committer = Committer(
            self.state, InlineBridge(view), hooked, volume, self.catalog, self._make_kernel(), lease
        )
        trio.run(self.committer.begin_lease)

    def _open_session(self, directory: Path) -> None:
        scratch = directory / "scratch"
        scratch.mkdir(parents=True, exist_ok=True)
        self.catalog = Catalog(directory / "catalog", must_exist=(directory / FACTS).exists())
        self.scratch = Scratch(scratch)

    def _read_left(self, lease: Lease | None) -> Recorded | None:
        """What a former mount of the session left, if it left anything to stand on."""
        base = self.catalog.find_base(lease.over if lease else b"")
        return self.catalog.read() if base else None

    def _make_kernel(self) -> Kernel:
        return Kernel(lambda: None, lambda files: None, list, self.notices.extend)

    # --- driving ---------------------------------------------------------

    def settle(self, operation: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """As ``Bridge.settle``, blocking; an attempt that missed must have changed nothing."""
        while True:
            before = describe_changes(self.state) if self.strict else {}
            try:
                return operation(*arguments, **options)
            except Miss as miss:
                after = describe_changes(self.state)
                assert {key: after.get(key) for key in before} == before, "a miss changed things"
                self.state.view.keep(miss.oid, self.state.view.fetch(miss.oid))

    def close(self) -> None:
        """Die without a word: what was flushed stays in the directory."""
        self.scratch.close()
        self.catalog.close()

    # --- the kernel's part -----------------------------------------------

    def look_up(self, parent: int, name: bytes) -> Inode | None:
        found = self.settle(self.names.lookup, parent, name)
        if found is not None:
            self.tell(found)
        return found  # type: ignore[no-any-return]

    def tell(self, inode: Inode) -> Inode:
        self.state.remember(inode)
        self.known[inode.ino] += 1
        return inode

    def find(self, path: VolumePath) -> Inode | None:
        here: Inode | None = self.state.root
        for name in path:
            if not isinstance(here, Directory):
                return None
            here = self.look_up(here.ino, name)
        return here

    def get(self, path: VolumePath) -> Inode:
        found = self.find(path)
        assert found is not None, path
        return found

    def parent(self, path: VolumePath) -> int:
        return self.get(path[:-1]).ino

    def forget(self) -> None:
        """The kernel forgets everything that is not open."""
        for ino, count in self.known.items():
            self.state.forget(ino, count)
        self.known.clear()

    # --- operations by path ----------------------------------------------

    def make(
        self,
        path: VolumePath,
        kind: FileKind = FileKind.FILE,
        mode: int = 0o644,
        *,
        target: bytes = b"",
    ) -> Inode:
        made = self.settle(
            self.names.make, self.parent(path), path[-1], kind, mode, (0, 0), target=target
        )
        return self.tell(made)

    def mkdir(self, path: VolumePath) -> Inode:
        return self.make(path, FileKind.DIRECTORY, 0o755)

    def link(self, path: VolumePath, new: VolumePath) -> None:
        ino = self.get(path).ino
        self.tell(self.settle(self.names.link, ino, self.parent(new), new[-1]))

    def unlink(self, path: VolumePath) -> None:
        self.settle(self.names.unlink, self.parent(path), path[-1])

    def rmdir(self, path: VolumePath) -> None:
        self.settle(self.names.rmdir, self.parent(path), path[-1])

    def rename(self, path: VolumePath, new: VolumePath, *, replace: bool = True) -> None:
        places = (self.parent(path), path[-1], self.parent(new), new[-1])
        self.settle(self.names.rename, *places, replace_target=replace)

    def exchange(self, path: VolumePath, new: VolumePath) -> None:
        self.settle(self.names.exchange, self.parent(path), path[-1], self.parent(new), new[-1])

    def open(self, path: VolumePath, flags: int = os.O_RDWR) -> int:
        return self.settle(self.files.open, self.get(path).ino, flags)  # type: ignore[no-any-return]

    def write_handle(self, handle: int, offset: int, data: bytes) -> None:
        wrote = self.settle(self.files.write, handle, offset, data)
        assert wrote == len(data)

    def read_handle(self, handle: int, offset: int = 0, length: int = 1 << 30) -> bytes:
        segments = self.settle(self.files.locate, handle, offset, length)
        if not segments:
            return b""
        data = self.files.read_ready(segments)
        return bytes(self.files.read_waiting(segments) if data is None else data)

    def write(self, path: VolumePath, data: bytes, offset: int = 0) -> None:
        """Write into a file, made where it is missing."""
        if self.find(path) is None:
            self.make(path)
        handle = self.open(path)
        try:
            self.write_handle(handle, offset, data)
        finally:
            self.files.release(handle)

    def read(self, path: VolumePath) -> bytes:
        handle = self.open(path, os.O_RDONLY)
        data = self.read_handle(handle)
        self.files.release(handle)
        return data

    def list(self, path: VolumePath = ()) -> list[bytes]:
        return self.settle(self.names.list_names, self.get(path).ino)  # type: ignore[no-any-return]

    def set(self, path: VolumePath, **changes: int) -> None:
        self.settle(self.files.set_attributes, self.get(path).ino, **changes)

    # --- the long ones ---------------------------------------------------

    def commit(
        self,
        *,
        meanwhile: Callable[[], None] = lambda: None,
        message: str = "",
        on_conflict: str = "override",
    ) -> Published:
        """Commit; ``meanwhile`` runs after the seal and before anything is published."""
        note = CommitNote(message, "tester", on_conflict=on_conflict)  # type: ignore[arg-type]
        self.store.on_upload = meanwhile
        try:
            return trio.run(self.committer.commit, note)
        finally:
            self.store.on_upload = lambda: None

    def reload(self) -> Reloaded:
        return trio.run(self.committer.reload)

    def flush(self) -> None:
        """As ``Flusher.flush``; also while a commit is under way."""
        flush = self.catalog.prepare(self.state)
        self.scratch.punch(self.scratch.settle(write_flush(self.scratch, self.catalog, flush)))


def describe_changes(state: MountState) -> dict[object, object]:
    """Everything about a state but what is only loaded: equal before and after a Miss."""
    overlay = state.overlay
    described: dict[object, object] = {
        "dirty": sorted(overlay.dirty),
        "orphans": sorted(overlay.orphans),
        "unrecorded": sorted(overlay.unrecorded),
        "names": sorted(overlay.unrecorded_names),
        "usage": (state.usage.inodes, state.usage.data),
        "open": state.open_files,
        "view": (state.view.head, state.view.snapshot),
    }
    for inode in state.inodes:
        bound = (inode.parent.ino if inode.parent else 0, inode.name)
        facts: list[object] = [inode.entry, bound, inode.stamp, inode.stale, inode.opens]
        if isinstance(inode, Directory):
            changed = ((name, inode.children[name]) for name in inode.changed)
            facts.append(sorted((name, child.ino if child else 0) for name, child in changed))
        elif isinstance(inode, File) and inode.extents is not None:
            facts += [inode.extents.size, tuple(inode.extents.pieces)]
        described[inode.ino] = facts
    return described


def check_books(rig: Rig) -> None:
    """What the state keeps track of is what counting anew gives; references agree."""
    state = rig.state
    rig.settle(state.count_uncounted)
    usage = SpaceUsage(state.usage.inodes, state.usage.data)
    rig.settle(state.recount_usage)
    assert usage == state.usage, (usage, state.usage)
    for inode in list(state.inodes):
        if isinstance(inode, Directory) and not inode.stale:
            check_directory(rig, inode)
        if isinstance(inode, File) and inode.entry.group and inode.parent is not None:
            assert state.inodes.by_group[inode.entry.group] is inode
            for directory, name in inode.aliases:
                assert directory.children.get(name) is inode


def check_directory(rig: Rig, directory: Directory) -> None:
    if directory.parent is None and directory.ino != ROOT_INO:
        return
    state = rig.state
    assert directory.changed <= directory.children.keys()
    for name, child in directory.children.items():
        assert child is not None or name in directory.changed
        if isinstance(child, Directory):
            assert (child.parent, child.name) == (directory, name)
    if directory.count is not None:
        count, directory.count = directory.count, None
        assert rig.settle(state.count, directory) == count, directory.path


def list_tree(rig: Rig) -> dict[VolumePath, tuple[object, ...]]:
    """The whole visible tree: by path kind, attributes, link count and content."""
    found: dict[VolumePath, tuple[object, ...]] = {}
    below: list[VolumePath] = [()]
    while below:
        path = below.pop()
        inode = rig.get(path)
        found[path] = describe(inode.entry, inode)
        if isinstance(inode, Directory):
            below += [(*path, name) for name in rig.list(path)]
        elif inode.entry.kind == FileKind.FILE:
            found[path] += (rig.read(path),)
    return found


def describe(entry: Entry, inode: Inode | None = None) -> tuple[object, ...]:
    kind = FileKind(entry.kind)
    links = entry.subdirectories + 2 if kind == FileKind.DIRECTORY else entry.links
    target = entry.inline if kind == FileKind.SYMLINK else b""
    times = (entry.mtime_ns, entry.ctime_ns)
    return (kind.name, entry.mode, entry.uid, links, times, entry.xattrs, target)


def list_version(
    store: Store, volume: VolumeRecord, manifest: Oid | None = None
) -> dict[VolumePath, tuple[object, ...]]:
    """As ``list_tree``, of a version in the store: the newest if none is named."""
    from volfs.model.tree import iter_entries
    from volfs.volume.version_reader import iter_content_bytes

    reader = Reader(store.objects_of(volume.id).load_object)
    manifest = manifest or store.refs.get_head(volume.id).manifest
    snapshot = reader.load_manifest(manifest).snapshot
    found: dict[VolumePath, tuple[object, ...]] = {}
    below: list[tuple[VolumePath, Entry]] = [((), snapshot.root)]
    while below:
        path, entry = below.pop()
        found[path] = describe(entry)
        if entry.is_directory:
            for child in iter_entries(reader.get_tree, entry.tree):
                below.append(((*path, child.name), reader.resolve(snapshot, child)))
        elif entry.kind == FileKind.FILE:
            content = b"".join(
                bytes(p) for p in iter_content_bytes(reader, store.objects_of(volume.id), entry)
            )
            found[path] += (content,)
    return found
