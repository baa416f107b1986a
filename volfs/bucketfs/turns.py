"""Uploads and renames of one file take turns.

The kernel lets one operation at a time change a name. But it does not know that a file is uploaded
when it is closed, and that renaming a directory gives new keys to everything below.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from volfs.bucketfs.nodes import AnyNode, DirectoryNode


class Turns:
    """The inodes of one mount that somebody works on."""

    def __init__(self) -> None:
        self._busy: list[AnyNode] = []
        self._changed = trio.Event()

    @asynccontextmanager
    async def alone(self, *nodes: AnyNode | None) -> AsyncIterator[None]:
        """Let nobody else work on these inodes, or on inodes below or above them, during the
        block."""
        wanted = [node for node in nodes if node is not None]
        while any(self._conflicts(node) for node in wanted):
            await self._changed.wait()
        self._busy += wanted
        try:
            yield
        finally:
            for node in wanted:
                self._busy.remove(node)
            self._changed.set()
            self._changed = trio.Event()

    def _conflicts(self, node: AnyNode) -> bool:
        return any(_are_related(node, other) for other in self._busy)


def _are_related(a: AnyNode, b: AnyNode) -> bool:
    if a is b:
        return True
    return (isinstance(b, DirectoryNode) and a.is_below(b)) or (
        isinstance(a, DirectoryNode) and b.is_below(a)
    )
