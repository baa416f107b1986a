"""What the calls of a file system that one thread makes inside another call have in common."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from volfs.api.filesystem.change_batch import ChangeBatch
from volfs.api.filesystem.volume_access import OpenVersion, VolumeAccess


class NestedCalls(threading.local):
    """The batch for the changes of this thread, and the versions that it reads."""

    def __init__(self) -> None:
        self.batch: ChangeBatch | None = None
        self._trees: dict[str, OpenVersion] | None = None

    @contextmanager
    def pinning(self) -> Iterator[None]:
        """In the block, each volume is read at one version."""
        if self._trees is not None:
            yield
            return
        self._trees = {}
        try:
            yield
        finally:
            trees, self._trees = self._trees, None
            for tree in trees.values():
                tree.close()

    def open_tree(self, volume: str, access: VolumeAccess) -> AbstractContextManager[OpenVersion]:
        """The version of a volume to read, for a ``with`` block."""
        if self._trees is None:
            return access.open_tree(volume)
        if volume not in self._trees:
            self._trees[volume] = access.open_tree(volume)
        return nullcontext(self._trees[volume])
