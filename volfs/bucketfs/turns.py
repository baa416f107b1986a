"""Uploads and renames of one file take turns.

The kernel lets one operation at a time change a name. But it does not know that a file is uploaded
when it is closed, and that renaming a directory gives new keys to everything below.
"""

from __future__ import annotations

import trio

from volfs.bucketfs.nodes import AnyNode, DirectoryNode, FileNode


class Turns:
    """The inodes of one mount that somebody works on."""

    def __init__(self) -> None:
        self._files: set[FileNode] = set()
        self._directories: list[DirectoryNode] = []
        self._ended: trio.Event | None = None
        """Set when somebody's turn ends. None if nobody waits for that."""

    def alone(self, *nodes: AnyNode | None) -> _Turn:
        """Let nobody else work on these inodes, or on inodes below or above them, during the
        block."""
        return _Turn(self, [node for node in nodes if node is not None])

    async def take(self, wanted: list[AnyNode]) -> None:
        while any(self._conflicts(node) for node in wanted):
            self._ended = self._ended or trio.Event()
            await self._ended.wait()
        for node in wanted:
            if isinstance(node, DirectoryNode):
                self._directories.append(node)
            else:
                self._files.add(node)

    def give_back(self, taken: list[AnyNode]) -> None:
        for node in taken:
            if isinstance(node, DirectoryNode):
                self._directories.remove(node)
            else:
                self._files.discard(node)
        if self._ended is not None:
            self._ended.set()
            self._ended = None

    def _conflicts(self, node: AnyNode) -> bool:
        """Whether somebody works on the inode, or on one above or below it. For a file, which most
        inodes are, this searches only the directories."""
        if any(node is busy or node.is_below(busy) for busy in self._directories):
            return True
        if isinstance(node, FileNode):
            return node in self._files
        directories = any(busy.is_below(node) for busy in self._directories)
        return directories or any(busy.is_below(node) for busy in self._files)


class _Turn:
    """The block in which somebody works on inodes alone."""

    def __init__(self, turns: Turns, nodes: list[AnyNode]) -> None:
        self._turns = turns
        self._nodes = nodes

    async def __aenter__(self) -> None:
        await self._turns.take(self._nodes)

    async def __aexit__(self, *trouble: object) -> None:
        self._turns.give_back(self._nodes)
