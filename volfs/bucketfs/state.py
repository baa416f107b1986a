"""The state of a bucket's mount. The trio thread owns it, and changes it without an ``await``."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from volfs.bucketfs.names import DIRECTORY, Facts
from volfs.bucketfs.nodes import AnyNode, DirectoryNode, FileNode, NodeTable
from volfs.errors import (
    IsADirectoryInVolumeError,
    NotADirectoryInVolumeError,
    ReadOnlyMountError,
    StaleInodeError,
)
from volfs.model.text import show

log = logging.getLogger(__name__)

HIDDEN_COUNTED, HIDDEN_LOGGED = 100_000, 20
"""How many keys that are no paths are told apart, and how many the log names."""


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules of a mount."""

    metadata_ttl: float = 1.0
    """Seconds for which an answer of the bucket is believed."""
    read_only: bool = False
    uid: int = 0
    gid: int = 0


class BucketState:
    """``clock`` counts seconds and never goes back; any thread calls it. ``now_ns`` is the time of
    day."""

    def __init__(self, rules: Rules, clock: Callable[[], float], now_ns: Callable[[], int]) -> None:
        self.rules = rules
        self.clock = clock
        self.now_ns = now_ns
        self.began_ns = now_ns()
        self.nodes = NodeTable()
        self.open_files = 0
        self.written: set[FileNode] = set()
        """The files with staged bytes."""
        self.on_change: list[Callable[[str, str], None]] = []
        """Called with the key of a directory and a name in it that this mount has changed."""
        self._hidden: set[int] = set()

    # --- finding ---------------------------------------------------------

    def get(self, ino: int) -> AnyNode:
        """The inode of a number. StaleInodeError if it was forgotten."""
        node = self.nodes.find(ino)
        if node is None:
            raise StaleInodeError(f"inode {ino}")
        return node

    def get_directory(self, ino: int) -> DirectoryNode:
        node = self.get(ino)
        if not isinstance(node, DirectoryNode):
            raise NotADirectoryInVolumeError(show(node.name))
        return node

    def get_file(self, ino: int) -> FileNode:
        node = self.get(ino)
        if not isinstance(node, FileNode):
            raise IsADirectoryInVolumeError(show(node.name))
        return node

    def check_writable(self) -> None:
        if self.rules.read_only:
            raise ReadOnlyMountError("the mount is read-only")

    def since(self) -> float:
        """The moment from which on an answer is young enough for an operation that begins now."""
        return self.clock() - self.rules.metadata_ttl

    # --- what the kernel knows -------------------------------------------

    def remember(self, node: AnyNode) -> None:
        """Count that the kernel was given the inode once more."""
        node.lookups += 1

    def forget(self, ino: int, lookups: int) -> None:
        """Count that the kernel forgets. Raises nothing."""
        node = self.nodes.find(ino)
        if node is not None:
            node.lookups = max(0, node.lookups - lookups)
            self.nodes.drop_if_idle(node)

    # --- what the bucket says --------------------------------------------

    def bind(self, parent: DirectoryNode, name: bytes, facts: Facts | None) -> AnyNode | None:
        """The inode of a name of which the bucket says this; None if there is nothing.

        A file that somebody here writes stays what it is here.
        """
        node = parent.children.get(name)
        if node is None:
            return None if facts is None else self.nodes.add(parent, name, facts)
        if isinstance(node, FileNode):
            return self._bind_file(node, parent, name, facts)
        if facts is not None and facts.is_directory:
            return node
        if any(isinstance(below, FileNode) and below.is_ours for below in node.iter_below()):
            return node
        return self._replace(node, parent, name, facts)

    def _bind_file(
        self, node: FileNode, parent: DirectoryNode, name: bytes, facts: Facts | None
    ) -> AnyNode | None:
        if node.is_ours or facts == node.facts:
            return node
        if facts is None or facts.is_directory:
            return self._replace(node, parent, name, facts)
        if node.facts is not None and facts.etag == node.facts.etag:
            node.facts = facts
            return node
        if node.opens:
            return self._replace(node, parent, name, facts)
        node.facts, node.mtime_ns = facts, None
        return node

    def _replace(
        self, node: AnyNode, parent: DirectoryNode, name: bytes, facts: Facts | None
    ) -> AnyNode | None:
        """Leave an inode to its handles, and give its place to a new inode."""
        self.nodes.detach(node)
        return None if facts is None else self.nodes.add(parent, name, facts)

    def note(self, parent: DirectoryNode, name: bytes, facts: Facts | None) -> None:
        """Note that this mount has changed a name in the bucket."""
        now = self.clock()
        parent.listing.note(name, facts, now)
        for tell in self.on_change:
            tell(parent.key, name.decode())
        parent.mtime_ns = self.now_ns()
        if not len(parent.listing.changes) % 256:
            parent.listing.settle(now - self.rules.metadata_ttl)

    def note_directory(self, directory: DirectoryNode) -> None:
        """Note that something is in a directory, so that others see the directory, too."""
        if directory.parent is not None:
            self.note(directory.parent, directory.name, DIRECTORY)

    def note_hidden(self, keys: list[str]) -> None:
        """Count keys that are no paths, each once."""
        for key in keys:
            if len(self._hidden) < HIDDEN_COUNTED and hash(key) not in self._hidden:
                self._hidden.add(hash(key))
                if len(self._hidden) <= HIDDEN_LOGGED:
                    log.info(
                        "not shown, because it is no path, or a directory has its name: %r", key
                    )

    @property
    def hidden(self) -> int:
        return len(self._hidden)
