"""What close-to-open promises, as a model: files in one directory, and two mounts of it."""

from __future__ import annotations

from dataclasses import dataclass, field

NAMES = [b"a", b"b", b"c"]
TICK = 1_000_000_007
"""Nanoseconds between two operations."""


@dataclass(eq=False)
class OpenedFile:
    """A file as one mount has it. ``base`` is what it was before it was written to."""

    data: bytes = field(repr=False)
    base: bytes = field(repr=False)
    name: bytes | None
    left: bytes | None = None
    """The name that others gave to another file meanwhile."""
    written: bool = False
    bound: bool = False
    """Whether the name is this mount's own, and not published."""
    handles: int = 0
    writers: int = 0

    def leave(self) -> None:
        self.name, self.left, self.bound = None, self.name, False


@dataclass
class MountSide:
    """One mount: the version that it shows, and its own files on top."""

    view: dict[bytes, bytes]
    nodes: dict[bytes, OpenedFile] = field(default_factory=dict)

    def find(self, name: bytes) -> OpenedFile | None:
        if name not in self.nodes and name in self.view:
            data = self.view[name]
            self.nodes[name] = OpenedFile(data, data, name)
        return self.nodes.get(name)

    def look(self) -> dict[bytes, bytes]:
        return self.view | {name: node.data for name, node in self.nodes.items()}


class CloseToOpenModel:
    """``server`` is the newest version."""

    def __init__(self) -> None:
        self.server: dict[bytes, bytes] = {}
        self.sides = [MountSide({}), MountSide({})]

    def revalidate(self, side: MountSide) -> None:
        for name, node in list(side.nodes.items()):
            if node.written or node.bound:
                node.bound |= name not in self.server
            elif self.server.get(name) != node.data:
                del side.nodes[name]
                node.leave()
        side.view = dict(self.server)

    def open(self, side: MountSide, name: bytes, *, writes: bool, cut: bool) -> OpenedFile:
        self.revalidate(side)
        node = side.find(name)
        if node is None:
            node = side.nodes[name] = OpenedFile(b"", b"", name, bound=True)
        elif cut:
            node.data, node.written = b"", True
        node.handles += 1
        node.writers += writes
        return node

    def write(self, node: OpenedFile, offset: int, data: bytes) -> None:
        node.written = True
        node.data = node.data[:offset].ljust(offset, b"\0") + data + node.data[offset + len(data) :]

    def close(self, side: MountSide, node: OpenedFile, *, writes: bool) -> None:
        if writes:
            self.put_back(side, node)
            if node.name is not None and (node.written or node.bound):
                self.publish(side, node)
        node.handles -= 1
        node.writers -= writes

    def put_back(self, side: MountSide, node: OpenedFile) -> None:
        if not (node.left and node.written):
            return
        there = side.find(node.left)
        if there is not None:
            node.name, node.left, node.bound = node.left, None, there.bound
            side.nodes[node.name] = node
            there.leave()

    def publish(self, side: MountSide, *closing: OpenedFile, held: bool = True) -> None:
        for name, node in side.nodes.items():
            if node.written and (node in closing or not (held and node.writers)):
                node.base, node.written = node.data, False
            elif not node.bound:
                continue
            self.server[name] = side.view[name] = node.base
            node.bound = False

    def remove(self, side: MountSide, name: bytes) -> None:
        """The name, from this mount; its file can only be used through handles."""
        node = side.nodes.pop(name, None)
        if node is not None:
            node.name = None
        self.server.pop(name, None)
        side.view.pop(name, None)

    def unlink(self, side: MountSide, name: bytes) -> None:
        self.remove(side, name)
        self.publish(side)

    def rename(self, side: MountSide, name: bytes, new: bytes) -> None:
        node = side.find(name)
        assert node is not None
        self.remove(side, name)
        self.remove(side, new)
        node.name, node.bound = new, True
        side.nodes[new] = node
        self.publish(side, node)
