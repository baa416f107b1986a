"""The mounts of the machine and their models: what rules draw from, do and compare."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path as LocalPath
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
)

from tests.harness.leased import check_leased
from tests.harness.model_tree import (
    DIRECTORY,
    FILE,
    Node,
    Tree,
    is_same,
    merge,
)
from tests.harness.rig import Rig, check_books, list_tree, list_version
from volfs.errors import (
    FileSystemError,
)
from volfs.model.names import Path
from volfs.store.registry import open_store
from volfs.volume.check import check_store
from volfs.volume.volumes import create_volume

NAMES = [b"a", b"b", b"c", b"d", b"e%d" % 5, b"f\xff"]
names = st.sampled_from(NAMES)
offsets = st.sampled_from([0, 1, 100, 1024, 4000, 4096, 9000, 20_000])
lengths = st.sampled_from([1, 10, 1024, 1025, 4096, 5000, 17_000])
seeds = st.integers(0, 255)
CHUNK_BITS = 12
TICK = 1_000_000_007
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
"""Every commit and flush is synced: on a disk that would be most of the time."""


class MountClock:
    """Stands still during an operation."""

    now = 0


class Mount:
    """One mount, and what it should show."""

    def __init__(self, rig: Rig, tree: Tree) -> None:
        self.rig = rig
        self.tree = tree
        self.base = tree.copy()
        self.handles: list[tuple[int, Node]] = []


class MachineOfMounts(RuleBasedStateMachine):
    """Mounts with their models, and what every rule does with them."""

    mounts_count = 1

    def __init__(self) -> None:
        super().__init__()
        self.directory = LocalPath(tempfile.mkdtemp(prefix="volfs-machine-", dir=MEMORY))
        self.clock = MountClock()
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
