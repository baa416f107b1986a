"""Which inodes of a mount's state are recorded, their records, and how inodes come back from
records."""

from __future__ import annotations

from volfs.errors import DamagedObjectError
from volfs.model.extents import ExtentMap, Piece
from volfs.vfs.inode import NOT_LOADED, ROOT_INO, Directory, File, Inode
from volfs.vfs.records import StoredBase, StoredInode
from volfs.vfs.state import MountState


def make_base(state: MountState, stamp: bytes) -> StoredBase:
    """The record of what the overlay stands on now."""
    snapshot = state.view.snapshot
    return StoredBase(
        state.view.head.version,
        state.view.head.manifest,
        snapshot.root,
        snapshot.links,
        snapshot.link_files,
        snapshot.link_bytes,
        state.inodes.numbers.last,
        stamp,
        snapshot.link_data,
    )


def find_kept(state: MountState, inos: set[int]) -> dict[int, Inode]:
    """Those of the inodes ``inos`` that need a record, and the directories above them."""
    kept: dict[int, Inode] = {}
    for ino in inos:
        here = state.inodes.find(ino)
        if here is not None and _needs_record(state, here):
            while here is not None and here.ino not in kept:
                kept[here.ino] = here
                here = here.parent
    return kept


def _needs_record(state: MountState, inode: Inode) -> bool:
    """Whether an inode is bound somewhere and differs from what the view says of it."""
    if inode.parent is None and inode.ino != ROOT_INO:
        return False
    overlay = state.overlay
    if inode.ino in overlay.dirty or (overlay.sealed and inode.ino in overlay.sealed.dirty):
        return True
    if isinstance(inode, Directory):
        return bool(inode.changed) or inode.is_made
    return any(name in parent.changed for parent, name in state.names(inode))


def store_inode(state: MountState, inode: Inode) -> StoredInode:
    """The record of an inode. The pieces of its content have records of their own."""
    overlay = state.overlay
    dirty = inode.ino in overlay.dirty or bool(overlay.sealed and inode.ino in overlay.sealed.dirty)
    parent = inode.parent.ino if inode.parent else 0
    if isinstance(inode, File) and inode.extents is not None:
        size, pieces = inode.extents.size, len(inode.extents.pieces)
        return StoredInode(parent, inode.name, dirty, inode.entry, inode.base, size, pieces)
    return StoredInode(parent, inode.name, dirty, inode.entry)


def restore_inode(
    state: MountState, stored: dict[int, StoredInode], pieces: dict[int, list[Piece]], ino: int
) -> None:
    """Make an inode from its record, after the directories above it. DamagedObjectError."""
    missing: list[int] = []
    while state.inodes.find(ino) is None:
        if ino not in stored or len(missing) > len(stored):
            raise DamagedObjectError(f"catalog: inode {ino} has no record")
        missing.append(ino)
        ino = stored[ino].parent
    for each in reversed(missing):
        _add_inode(state, each, stored[each], pieces.get(each, []))


def _add_inode(state: MountState, ino: int, record: StoredInode, pieces: list[Piece]) -> None:
    parent = state.inodes.find(record.parent)
    if not isinstance(parent, Directory):
        raise DamagedObjectError(f"catalog: inode {ino} is bound in what is no directory")
    inode = state.inodes.add(record.entry, parent, record.name, ino)
    if isinstance(inode, File):
        inode.base = record.base or record.entry
        if record.base is not None:
            inode.extents = ExtentMap(record.size, pieces)
            inode.extents.touched = set()
    if record.name == NOT_LOADED:
        return
    if isinstance(inode, File) and record.entry.group:
        inode.aliases.add((parent, record.name))
    parent.children[record.name] = inode
