"""What the kernel is told of an inode: its attributes, and for how long it may believe them.
Pure."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

from volfs.bucketfs.nodes import AnyNode, DirectoryNode
from volfs.bucketfs.state import BucketState

BLOCK = 4096
FILE_TYPE, DIRECTORY_TYPE = 0o100000, 0o040000
WRITABLE = (FILE_TYPE | 0o644, DIRECTORY_TYPE | 0o755)
READ_ONLY = (FILE_TYPE | 0o444, DIRECTORY_TYPE | 0o555)
"""The modes of files and of directories."""


class Attributes(NamedTuple):
    ino: int
    mode: int
    uid: int
    gid: int
    size: int
    mtime_ns: int
    atime_ns: int
    kept: float
    """Seconds for which the kernel need not ask again."""


def describe(state: BucketState, node: AnyNode, as_of: float | None = None) -> Attributes:
    """``as_of`` is when the bucket was asked; None for facts that this mount decides."""
    rules = state.rules
    kept = rules.metadata_ttl
    if as_of is not None:
        kept = min(kept, max(0.0, kept - state.clock() + as_of))
    if isinstance(node, DirectoryNode):
        mode, size = get_mode(state, is_directory=True), BLOCK
    else:
        mode, size = get_mode(state, is_directory=False), node.size
    mtime = get_mtime(state, node)
    atime = mtime if node.atime_ns is None else node.atime_ns
    return _new_attributes((node.ino, mode, rules.uid, rules.gid, size, mtime, atime, kept))


_new_attributes = partial(tuple.__new__, Attributes)  # A call of the class takes thrice as long.


def get_mode(state: BucketState, *, is_directory: bool) -> int:
    modes = READ_ONLY if state.rules.read_only else WRITABLE
    return modes[is_directory]


def get_mtime(state: BucketState, node: AnyNode) -> int:
    if node.mtime_ns is not None:
        return node.mtime_ns
    if isinstance(node, DirectoryNode) or node.facts is None:
        return state.began_ns
    return node.facts.mtime_ns
