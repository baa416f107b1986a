"""What the machine does with content, attributes and handles."""

from __future__ import annotations

import os
import random

from hypothesis import strategies as st
from hypothesis.stateful import (
    precondition,
    rule,
)

from tests.harness.model_tree import (
    FILE,
    SYMLINK,
    Node,
    write,
)
from tests.vfs.machine.mounts import MachineOfMounts, lengths, offsets, seeds


class ContentRules(MachineOfMounts):
    """Writes, sizes, modes, times and attributes; open files, also removed ones."""

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
