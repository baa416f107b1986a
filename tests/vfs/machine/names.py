"""What the machine does with names."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import (
    precondition,
    rule,
)

from tests.harness.model_tree import (
    DIRECTORY,
    FILE,
    SYMLINK,
    Tree,
)
from tests.vfs.machine.mounts import TICK, MachineOfMounts
from volfs.errors import (
    DirectoryNotEmptyError,
    EntryExistsError,
    FileSystemError,
    InvalidOperationError,
    IsADirectoryInVolumeError,
    NotADirectoryInVolumeError,
    NotPermittedError,
)
from volfs.model.entry import FileKind
from volfs.model.names import Path


class NameRules(MachineOfMounts):
    """Makes, removes, renames, exchanges and links."""

    links = True

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
