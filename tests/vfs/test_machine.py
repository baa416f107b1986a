"""The mount as a state machine: the same operations here and on a model, everything compared.

Two mounts of one volume, each with commits (also failing ones, and with writes
between seal and publication), reloads, crashes and a forgetful kernel. What a
shrunk failure found is kept as a test of its own in ``test_cases.py``.
"""

from __future__ import annotations

import copy
import os
import random
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path as LocalPath
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
)

from tests.harness.leased import check_leased
from tests.harness.model_tree import (
    DIRECTORY,
    FILE,
    SYMLINK,
    Node,
    Tree,
    is_same,
    merge,
    write,
)
from tests.harness.rig import Rig, check_books, list_tree, list_version
from volfs.errors import (
    DirectoryNotEmptyError,
    EntryExistsError,
    FileSystemError,
    InvalidOperationError,
    IsADirectoryInVolumeError,
    NotADirectoryInVolumeError,
    NotPermittedError,
    OutOfSpaceError,
    VolumeBusyError,
)
from volfs.model.entry import FileKind
from volfs.model.names import Path
from volfs.store.registry import open_store
from volfs.volume.check import check_store
from volfs.volume.volumes import create_volume

NAMES = [b"a", b"b", b"c", b"d", b"e%d" % 5, b"f\xff"]
names = st.sampled_from(NAMES)
paths = st.lists(names, min_size=1, max_size=3).map(tuple)
offsets = st.sampled_from([0, 1, 100, 1024, 4000, 4096, 9000, 20_000])
lengths = st.sampled_from([1, 10, 1024, 1025, 4096, 5000, 17_000])
seeds = st.integers(0, 255)
CHUNK_BITS = 12
TICK = 1_000_000_007
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
"""Every commit and flush is synced: on a disk that would be most of the time."""


class Clock:
    """Stands still during an operation."""

    now = 0


class Mount:
    """One mount, and what it should show. ``saved`` is what a crash would leave."""

    def __init__(self, rig: Rig, tree: Tree) -> None:
        self.rig = rig
        self.tree = tree
        self.base = tree.copy()
        self.handles: list[tuple[int, Node]] = []


class Machine(RuleBasedStateMachine):
    mounts_count = 1
    links = True

    def __init__(self) -> None:
        super().__init__()
        self.directory = LocalPath(tempfile.mkdtemp(prefix="volfs-machine-", dir=MEMORY))
        self.clock = Clock()
        self.store = open_store(str(self.directory / "store"), create=True)
        self.volume = create_volume(self.store, "data", chunk_bits=CHUNK_BITS)
        self.mounts: list[Mount] = []
        self.watch = True

    @initialize(watch=st.booleans(), cold=st.booleans())
    def begin(self, watch: bool, cold: bool) -> None:
        self.watch, self.cold = watch, cold
        version = list_version(self.store, self.volume)
        created = version[()][4][0]  # type: ignore[index]
        root = Node(DIRECTORY, 0o755, created, created)
        self.clock.now = created
        self.head = Tree(root)
        for number in range(self.mounts_count):
            rig = self.mount(self.directory / f"session-{number}")
            self.mounts.append(Mount(rig, self.head.copy()))
            if number == 0:
                self.fill(self.mounts[0])

    def fill(self, mount: Mount) -> None:
        """A few files to begin with."""
        self.clock.now += TICK
        for path in ((b"c",), (b"d",), (b"d", b"c")):
            mount.rig.mkdir(path)
            mount.tree.make(path, DIRECTORY, 0o755, self.clock.now)
        for path in ((b"a",), (b"c", b"a"), (b"c", b"b"), (b"d", b"c", b"a")):
            mount.rig.write(path, path[-1] * 5000)
            mount.tree.make(path, FILE, 0o644, self.clock.now).data = path[-1] * 5000
        self.commit_mount(mount)

    def mount(self, directory: LocalPath) -> Rig:
        return Rig(self.store, self.volume, directory, lambda: self.clock.now, cold=self.cold)

    def teardown(self) -> None:
        try:
            for mount in self.mounts:
                self.compare(mount)
                self.leave(mount)
            if self.mounts:
                report = check_store(self.store)
                assert report.is_clean, report
        finally:
            for mount in self.mounts:
                mount.rig.close()
            self.store.close()
            shutil.rmtree(self.directory)

    def leave(self, mount: Mount) -> None:
        """After a commit, with everything closed and forgotten, nothing stays loaded."""
        rig = mount.rig
        for handle, _ in mount.handles:
            rig.files.release(handle)
        mount.handles.clear()
        self.commit_mount(mount)
        rig.forget()
        assert [i.path for i in rig.state.inodes if i.ino != 1] == []
        assert rig.state.overlay.is_clean
        assert not rig.state.overlay.orphans
        rig.flush()
        assert rig.catalog._recorded <= {1}
        assert [path.name for path in rig.scratch.directory.iterdir()] == []

    def check_lease(self, mount: Mount) -> None:
        check_leased(mount.rig, [handle for handle, _ in mount.handles])

    # --- doing -----------------------------------------------------------

    def compare(self, mount: Mount) -> None:
        assert list_tree(mount.rig) == mount.tree.describe()
        nodes = {id(node): node for _, node in mount.tree.walk()}.values()
        mount.rig.settle(mount.rig.state.count_uncounted)
        usage = mount.rig.state.usage
        held = sum(len(node.data) + len(node.target) for node in nodes)
        written = sum(len(node.data) - node.data.count(0) + len(node.target) for node in nodes)
        assert usage.inodes == len(nodes) - 1
        assert written <= usage.data <= held
        mount.rig.forget()
        check_books(mount.rig)

    def do(
        self,
        mount: Mount,
        problem: type[FileSystemError] | None,
        call: Callable[[], Any],
        change: Callable[[], Any],
    ) -> Any:
        """Run an operation that should raise ``problem``, or else do what ``change`` does."""
        self.clock.now += TICK
        result = None
        if problem is None:
            result = call()
            change()
        else:
            with pytest.raises(problem):
                call()
        if self.watch:
            self.compare(mount)
        return result

    def pick(self, data: st.DataObject) -> Mount:
        index = data.draw(st.integers(0, self.mounts_count - 1)) if self.mounts_count > 1 else 0
        return self.mounts[index]

    def existing(
        self, data: st.DataObject, mount: Mount, wanted: Callable[[Node], bool]
    ) -> Path | None:
        found = sorted(path for path, node in mount.tree.walk() if path and wanted(node))
        return data.draw(st.sampled_from(found)) if found else None

    def place(self, data: st.DataObject, mount: Mount) -> Path:
        """A path whose parent exists: the last name may or may not."""
        found = sorted(path for path, node in mount.tree.walk() if node.is_directory)
        parent = data.draw(st.sampled_from([path for path in found if len(path) < 4]))
        return (*parent, data.draw(names))

    # --- names -----------------------------------------------------------

    @rule(
        data=st.data(),
        kind=st.sampled_from([FILE, FILE, FILE, DIRECTORY, DIRECTORY, SYMLINK]),
        mode=st.sampled_from([0o644, 0o600, 0o755]),
    )
    def make(self, data: st.DataObject, kind: str, mode: int) -> None:
        mount = self.pick(data)
        path, now = self.place(data, mount), self.clock.now + TICK
        target = b"to/" + path[-1] if kind == SYMLINK else b""
        exists = mount.tree.find(path) is not None
        self.do(
            mount,
            EntryExistsError if exists else None,
            lambda: mount.rig.make(path, FileKind[kind], mode, target=target),
            lambda: mount.tree.make(path, kind, mode, now, target),
        )

    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        mount = self.pick(data)
        path = self.existing(data, mount, lambda node: True)
        if path is None:
            return
        node = mount.tree.get(path)
        problem = DirectoryNotEmptyError if node.names else None
        call = mount.rig.rmdir if node.is_directory else mount.rig.unlink
        self.do(mount, problem, lambda: call(path), lambda: mount.tree.unbind(path, self.clock.now))

    @rule(data=st.data(), replace=st.booleans())
    def rename(self, data: st.DataObject, replace: bool) -> None:
        mount = self.pick(data)
        path, new = self.existing(data, mount, lambda node: True), self.place(data, mount)
        if path is None:
            return
        self.do(
            mount,
            self.rename_problem(mount.tree, path, new, replace),
            lambda: mount.rig.rename(path, new, replace=replace),
            lambda: mount.tree.rename(path, new, self.clock.now),
        )

    def rename_problem(
        self, tree: Tree, path: Path, new: Path, replace: bool
    ) -> type[FileSystemError] | None:
        node, target = tree.get(path), tree.find(new)
        if target is not None and not replace:
            return EntryExistsError
        if target is node:
            return None
        if new[: len(path)] == path:
            return InvalidOperationError
        if target is None:
            return None
        if target.is_directory and not node.is_directory:
            return IsADirectoryInVolumeError
        if target.names:
            return DirectoryNotEmptyError
        if node.is_directory and not target.is_directory:
            return NotADirectoryInVolumeError
        return None

    @rule(data=st.data())
    def exchange(self, data: st.DataObject) -> None:
        mount = self.pick(data)
        path = self.existing(data, mount, lambda node: True)
        other = self.existing(data, mount, lambda node: True)
        if path is None or other is None:
            return
        inside = path != other and (path[: len(other)] == other or other[: len(path)] == path)
        self.do(
            mount,
            InvalidOperationError if inside else None,
            lambda: mount.rig.exchange(path, other),
            lambda: mount.tree.exchange(path, other, self.clock.now),
        )

    @precondition(lambda self: self.links)
    @rule(data=st.data())
    def link(self, data: st.DataObject) -> None:
        mount = self.pick(data)
        path, new = self.existing(data, mount, lambda node: True), self.place(data, mount)
        if path is None:
            return
        node = mount.tree.get(path)
        problem: type[FileSystemError] | None = None
        if node.is_directory:
            problem = NotPermittedError
        elif mount.tree.find(new) is not None:
            problem = EntryExistsError

        def change() -> None:
            mount.tree.bind(new, node, self.clock.now)
            node.ctime = self.clock.now

        self.do(mount, problem, lambda: mount.rig.link(path, new), change)

    # --- content and attributes ------------------------------------------

    @rule(data=st.data(), offset=offsets, length=lengths, seed=seeds)
    def write(self, data: st.DataObject, offset: int, length: int, seed: int) -> None:
        mount = self.pick(data)
        path = self.existing(data, mount, lambda node: node.kind == FILE)
        if path is not None:
            piece, node = random.Random(seed).randbytes(length), mount.tree.get(path)
            self.do(
                mount,
                None,
                lambda: mount.rig.write(path, piece, offset),
                lambda: self.change_data(node, write(node.data, offset, piece)),
            )

    @rule(data=st.data(), size=st.sampled_from([0, 1, 1000, 1024, 4096, 8192, 12_345]))
    def truncate(self, data: st.DataObject, size: int) -> None:
        mount = self.pick(data)
        path = self.existing(data, mount, lambda node: node.kind == FILE)
        if path is not None:
            node = mount.tree.get(path)
            self.do(
                mount,
                None,
                lambda: mount.rig.set(path, size=size),
                lambda: self.change_data(node, node.data[:size].ljust(size, b"\0")),
            )

    def change_data(self, node: Node, data: bytes) -> None:
        node.data = data
        node.mtime = node.ctime = self.clock.now

    @rule(data=st.data(), mode=st.sampled_from([0o644, 0o600, 0o755, 0o4711]))
    def chmod(self, data: st.DataObject, mode: int) -> None:
        mount = self.pick(data)
        path = self.existing(data, mount, lambda node: node.kind != SYMLINK) or ()
        node = mount.tree.get(path)

        def change() -> None:
            node.mode, node.ctime = mode, self.clock.now

        self.do(mount, None, lambda: mount.rig.set(path, mode=mode), change)

    @rule(data=st.data(), mtime=st.integers(0, 2_000_000_000))
    def utime(self, data: st.DataObject, mtime: int) -> None:
        mount = self.pick(data)
        path = self.existing(data, mount, lambda node: True) or ()
        node = mount.tree.get(path)

        def change() -> None:
            node.mtime, node.ctime = mtime, self.clock.now

        self.do(mount, None, lambda: mount.rig.set(path, mtime_ns=mtime), change)

    @rule(data=st.data(), name=st.sampled_from([b"user.a", b"user.b"]), value=st.binary(max_size=3))
    def set_xattr(self, data: st.DataObject, name: bytes, value: bytes) -> None:
        mount = self.pick(data)
        path = self.existing(data, mount, lambda node: True) or ()
        node = mount.tree.get(path)

        def change() -> None:
            node.xattrs[name] = value
            node.ctime = self.clock.now

        def call() -> None:
            ino = mount.rig.get(path).ino
            mount.rig.settle(mount.rig.files.set_xattr, ino, name, value)

        self.do(mount, None, call, change)

    # --- handles ---------------------------------------------------------

    @rule(data=st.data(), flags=st.sampled_from([os.O_RDWR, os.O_RDWR | os.O_TRUNC]))
    def open(self, data: st.DataObject, flags: int) -> None:
        mount = self.pick(data)
        path = self.existing(data, mount, lambda node: node.kind == FILE)
        if path is None or len(mount.handles) >= 3:
            return
        node = mount.tree.get(path)

        def change() -> None:
            if flags & os.O_TRUNC:
                self.change_data(node, b"")

        handle = self.do(mount, None, lambda: mount.rig.open(path, flags), change)
        mount.handles.append((handle, node))

    @precondition(lambda self: any(mount.handles for mount in self.mounts))
    @rule(data=st.data(), offset=offsets, length=lengths, seed=seeds)
    def write_open(self, data: st.DataObject, offset: int, length: int, seed: int) -> None:
        """Also into files that have been removed."""
        mount = data.draw(st.sampled_from([m for m in self.mounts if m.handles]))
        handle, node = data.draw(st.sampled_from(mount.handles))
        piece = random.Random(seed).randbytes(length)
        self.do(
            mount,
            None,
            lambda: mount.rig.write_handle(handle, offset, piece),
            lambda: self.change_data(node, write(node.data, offset, piece)),
        )
        assert mount.rig.read_handle(handle) == node.data

    @precondition(lambda self: any(mount.handles for mount in self.mounts))
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        mount = data.draw(st.sampled_from([m for m in self.mounts if m.handles]))
        handle, node = mount.handles.pop(data.draw(st.integers(0, len(mount.handles) - 1)))
        assert mount.rig.read_handle(handle) == node.data
        mount.rig.files.release(handle)

    # --- the long ones ---------------------------------------------------

    def commit_mount(self, mount: Mount, meanwhile: Callable[[], None] = lambda: None) -> None:
        """Commit, and do the same in the model: the seal is when ``meanwhile`` begins."""
        sealed: list[Tree] = []

        def hook() -> None:
            sealed.append(mount.tree.copy())
            meanwhile()

        published = mount.rig.commit(meanwhile=hook)
        (local,) = sealed
        before = self.head
        if is_same(local.root, mount.base.root):
            assert not published.changed
        elif self.mounts_count == 1:
            self.head = local.copy()
        else:
            merged = merge(mount.base.root, local.root, self.head.root)
            assert merged is not None
            self.head = Tree(merged)
        if before.describe() != self.head.describe():
            assert published.changed
        mount.base = local
        assert list_version(self.store, self.volume) == self.head.describe()
        self.check_lease(mount)

    @rule(data=st.data())
    def commit(self, data: st.DataObject) -> None:
        mount = self.pick(data)
        self.commit_mount(mount)
        if self.watch:
            self.compare(mount)

    @rule(data=st.data(), steps=st.lists(st.integers(0, 9), min_size=1, max_size=3))
    def commit_while_written(self, data: st.DataObject, steps: list[int]) -> None:
        """Operations between the seal and the publication stay on top."""
        mount = self.pick(data)
        operations = self.operations(mount)

        def meanwhile() -> None:
            for step in steps:
                operations[step % len(operations)](data)

        self.commit_mount(mount, meanwhile)
        if self.watch:
            self.compare(mount)

    def operations(self, mount: Mount) -> list[Callable[[st.DataObject], None]]:
        """Operations on this very mount."""
        lone = copy.copy(self)
        lone.pick = lambda data: mount  # type: ignore[method-assign]
        found = [
            lambda data: Machine.remove(lone, data),
            lambda data: Machine.rename(lone, data, True),
            lambda data: Machine.write(lone, data, 4000, 5000, 7),
            lambda data: Machine.make(lone, data, FILE, 0o644),
            lambda data: Machine.truncate(lone, data, 1000),
            lambda data: Machine.make(lone, data, DIRECTORY, 0o755),
            lambda data: Machine.chmod(lone, data, 0o711),
            lambda data: Machine.exchange(lone, data),
            lambda data: mount.rig.flush(),
        ]
        if self.links:
            found.append(lambda data: Machine.link(lone, data))
        return found

    @rule(data=st.data(), late=st.booleans())
    def fail_to_commit(self, data: st.DataObject, late: bool) -> None:
        mount = self.pick(data)

        def fail() -> None:
            if late:
                self.operations(mount)[0](data)
            raise OutOfSpaceError("the store is full")

        with pytest.raises(OutOfSpaceError):
            mount.rig.commit(meanwhile=fail)
        if self.watch:
            self.compare(mount)

    @rule(data=st.data())
    def reload(self, data: st.DataObject) -> None:
        mount = self.pick(data)
        roots = mount.base.root, mount.tree.root, self.head.root
        if mount.handles:
            with pytest.raises(VolumeBusyError):
                mount.rig.reload()
        elif self.mounts_count == 1:
            mount.rig.reload()
        else:
            mount.rig.reload()
            merged = merge(*roots)
            assert merged is not None
            mount.tree, mount.base = Tree(merged), self.head.copy()
        self.check_lease(mount)
        if self.watch:
            self.compare(mount)

    @rule(data=st.data())
    def flush(self, data: st.DataObject) -> None:
        self.pick(data).rig.flush()

    @rule(data=st.data())
    def forget(self, data: st.DataObject) -> None:
        self.pick(data).rig.forget()

    @rule(data=st.data())
    def crash(self, data: st.DataObject) -> None:
        """Everything that was flushed comes back; what was open and removed does not."""
        mount = self.pick(data)
        mount.rig.flush()
        clean = mount.rig.state.overlay.is_clean
        mount.rig.close()
        mount.handles.clear()
        if clean:  # then a mount begins with the newest version, like any other
            mount.tree, mount.base = self.head.copy(), self.head.copy()
        mount.rig = self.mount(mount.rig.scratch.directory.parent)
        self.check_lease(mount)
        if self.watch:
            self.compare(mount)


class TwoMounts(Machine):
    """Merges and reloads of others' changes. Hard links have tests of their own."""

    mounts_count = 2
    links = False


PHASES = [Phase.generate] if "VOLFS_MACHINE_QUICK" in os.environ else list(Phase)
PROFILE = settings(
    max_examples=int(os.environ.get("VOLFS_MACHINE_EXAMPLES", "25")),
    stateful_step_count=30,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
    phases=PHASES,
)

TestOneMount = Machine.TestCase
TestOneMount.settings = PROFILE
TestTwoMounts = TwoMounts.TestCase
TestTwoMounts.settings = PROFILE
