"""The mount as a state machine: commits, reloads, flushes and crashes among all operations."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    rule,
)

from tests.harness.model_tree import (
    DIRECTORY,
    FILE,
    Tree,
    merge,
)
from tests.vfs.machine.content import ContentRules
from tests.vfs.machine.mounts import Mount
from tests.vfs.machine.names import NameRules
from volfs.errors import (
    OutOfSpaceError,
    VolumeBusyError,
)


class MountMachine(NameRules, ContentRules):
    """One mount."""

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
            lambda data: MountMachine.remove(lone, data),
            lambda data: MountMachine.rename(lone, data, True),
            lambda data: MountMachine.write(lone, data, 4000, 5000, 7),
            lambda data: MountMachine.make(lone, data, FILE, 0o644),
            lambda data: MountMachine.truncate(lone, data, 1000),
            lambda data: MountMachine.make(lone, data, DIRECTORY, 0o755),
            lambda data: MountMachine.chmod(lone, data, 0o711),
            lambda data: MountMachine.exchange(lone, data),
            lambda data: mount.rig.flush(),
        ]
        if self.links:
            found.append(lambda data: MountMachine.link(lone, data))
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


class TwoMounts(MountMachine):
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
