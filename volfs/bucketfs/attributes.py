"""What the kernel is told of an inode: its attributes, and for how long it may believe them.
Pure."""

from __future__ import annotations

from typing import NamedTuple

from volfs.bucketfs.nodes import AnyNode, DirectoryNode
from volfs.bucketfs.state import BucketState

BLOCK = 4096
FILE_TYPE, DIRECTORY_TYPE = 0o100000, 0o040000


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
    is_directory: bool


def describe(state: BucketState, node: AnyNode, as_of: float | None = None) -> Attributes:
    """``as_of`` is when the bucket was asked; None for facts that this mount decides."""
    rules = state.rules
    is_directory = isinstance(node, DirectoryNode)
    age = 0.0 if as_of is None else state.clock() - as_of
    mtime = get_mtime(state, node)
    return Attributes(
        node.ino,
        get_mode(state, is_directory=is_directory),
        rules.uid,
        rules.gid,
        BLOCK if isinstance(node, DirectoryNode) else node.size,
        mtime,
        mtime if node.atime_ns is None else node.atime_ns,
        min(rules.metadata_ttl, max(0.0, rules.metadata_ttl - age)),
        is_directory,
    )


def get_mode(state: BucketState, *, is_directory: bool) -> int:
    kind = DIRECTORY_TYPE if is_directory else FILE_TYPE
    bits = 0o555 if is_directory else 0o444
    return kind | (bits if state.rules.read_only else bits | 0o200)


def get_mtime(state: BucketState, node: AnyNode) -> int:
    if node.mtime_ns is not None:
        return node.mtime_ns
    if isinstance(node, DirectoryNode) or node.facts is None:
        return state.began_ns
    return node.facts.mtime_ns
