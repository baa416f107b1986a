"""What a session's directory has of an overlay: how much, and whether all of it is there.

Reads only. The daemon may be alive: then this is what it has recorded so far.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from volfs.errors import DamagedObjectError
from volfs.vfs.catalog import read_catalog
from volfs.vfs.inode import ROOT_INO
from volfs.vfs.records import Recorded, StoredInode
from volfs.vfs.scratch import arena_path


class Leftover(NamedTuple):
    """The uncommitted files and directories of an overlay, and their bytes in scratch."""

    files: int
    bytes: int
    problem: str
    """What is damaged, or empty."""


def inspect_overlay(catalog: Path, scratch: Path) -> Leftover:
    """Look through the records of an overlay and at the arenas that they need."""
    try:
        recorded = read_catalog(catalog)
    except DamagedObjectError as error:
        return Leftover(0, 0, str(error))
    dirty = [inode for inode in recorded.inodes.values() if inode.dirty]
    held = sum(end - start for inode in dirty for start, end, _, _ in _own_pieces(inode))
    return Leftover(len(dirty), held, _find_problem(recorded, scratch))


def _own_pieces(inode: StoredInode) -> list[tuple[int, int, int, int]]:
    return [piece for piece in inode.pieces or () if piece[2] >= 0]


def _find_problem(recorded: Recorded, scratch: Path) -> str:
    inodes = recorded.inodes
    if inodes and recorded.base is None:
        return "catalog: it does not say what it stands on"
    parents = {inode.parent for ino, inode in inodes.items() if ino != ROOT_INO}
    lost = (parents | {parent for parent, _, _ in recorded.names}) - inodes.keys()
    if lost:
        return f"catalog: inode {min(lost)} has no record"
    ends: dict[int, int] = {}
    for inode in inodes.values():
        for start, end, arena, offset in _own_pieces(inode):
            ends[arena] = max(ends.get(arena, 0), offset + end - start)
    found = (_find_short(arena_path(scratch, arena), end) for arena, end in sorted(ends.items()))
    return next(filter(None, found), "")


def _find_short(arena: Path, end: int) -> str:
    try:
        size = arena.stat().st_size
    except OSError as error:
        return f"scratch: {arena.name}: {error.strerror}"
    return f"scratch: {arena.name} was cut off at {size} of {end} bytes" if size < end else ""
