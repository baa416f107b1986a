"""What the kernel is told of an inode."""

from __future__ import annotations

from pyfuse3 import EntryAttributes

from volfs.model.entry import TYPE_BITS, FileKind
from volfs.vfs.inode import Directory, Inode

BLOCK_SIZE = 4096
KIND = {bits: FileKind(kind) for kind, bits in TYPE_BITS.items()}


def make_absent(kept: float) -> EntryAttributes:
    """The attributes of an entry that does not exist, for the kernel to keep for so long."""
    attributes = EntryAttributes()
    attributes.st_ino = 0
    attributes.entry_timeout = kept
    return attributes


def make_attributes(inode: Inode, kept: float, data: int) -> EntryAttributes:
    entry = inode.entry
    attributes = EntryAttributes()
    attributes.st_ino = inode.ino
    attributes.generation = 0
    attributes.entry_timeout = kept
    attributes.attr_timeout = kept
    attributes.st_mode = TYPE_BITS[entry.kind] | entry.mode
    attributes.st_uid = entry.uid
    attributes.st_gid = entry.gid
    attributes.st_rdev = entry.rdev
    attributes.st_mtime_ns = entry.mtime_ns
    attributes.st_atime_ns = entry.mtime_ns if inode.atime_ns is None else inode.atime_ns
    attributes.st_ctime_ns = entry.ctime_ns
    attributes.st_blksize = BLOCK_SIZE
    if isinstance(inode, Directory):
        attributes.st_nlink = entry.subdirectories + 2 if entry.links else 0
        attributes.st_size = BLOCK_SIZE
        attributes.st_blocks = BLOCK_SIZE // 512
    else:
        attributes.st_nlink = entry.links
        attributes.st_size = entry.size
        attributes.st_blocks = -(-data // 512)
    return attributes
