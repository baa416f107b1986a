"""What a catalog's records say: their layout, and what no daemon of ours has ever written.

Layout: docs/format.md, "Catalog". Pure; ``catalog.py`` keeps them.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta

from volfs.errors import DamagedObjectError
from volfs.model.entry import Entry, OidBytes, Size, check_entry, replace, with_content
from volfs.model.extents import BASE
from volfs.model.manifest import Snapshot
from volfs.model.names import is_entry_name
from volfs.model.objects import Oid
from volfs.store.base import Head
from volfs.vfs.inode import NOT_LOADED, ROOT_INO

BASE_KEY = b"base"
INODES, NAMES = b"i", b"n"
_NUMBER = 8
"""Bytes of an inode number."""
Ino = Annotated[int, Meta(ge=0, le=(1 << 62))]


class StoredBase(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """What the overlay stands on, and the last inode number given out."""

    version: Size
    manifest: OidBytes
    root: Entry
    links: OidBytes
    link_files: Size
    link_bytes: Size
    last_ino: Ino
    stamp: bytes = b""
    """Random: no two flushes write the same."""

    @property
    def head(self) -> Head:
        return Head(self.version, Oid(self.manifest))

    @property
    def snapshot(self) -> Snapshot:
        return Snapshot(self.root, Oid(self.links), self.link_files, self.link_bytes)


class StoredInode(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    parent: Ino
    name: bytes
    dirty: bool
    entry: Entry
    base: Entry | None = None
    size: Size = 0
    pieces: list[tuple[int, int, int, int]] | None = None


class Recorded(NamedTuple):
    """All that a catalog has: inodes by number; directory, name and number of each changed name."""

    base: StoredBase | None
    inodes: dict[int, StoredInode]
    names: list[tuple[int, bytes, int]]


encode = msgspec.msgpack.Encoder().encode
_base_decoder = msgspec.msgpack.Decoder(StoredBase)
_inode_decoder = msgspec.msgpack.Decoder(StoredInode)


def inode_key(ino: int) -> bytes:
    return INODES + ino.to_bytes(_NUMBER, "big")


def name_key(ino: int, name: bytes) -> bytes:
    return NAMES + ino.to_bytes(_NUMBER, "big") + name


def decode_base(row: bytes) -> StoredBase:
    """DamagedObjectError."""
    try:
        base = _base_decoder.decode(row)
    except ValueError as error:
        raise DamagedObjectError(f"what the overlay stands on: {error}") from error
    check_entry(base.root)
    if not base.root.is_directory or {len(base.manifest), len(base.links)} - {0, 32}:
        raise DamagedObjectError("the overlay stands on nothing that can be")
    return base


def decode_records(rows: Iterable[tuple[bytes, bytes]]) -> Recorded:
    """All of them, fitting together. DamagedObjectError."""
    recorded = Recorded(None, {}, [])
    for key, row in rows:
        if key == BASE_KEY:
            recorded = recorded._replace(base=decode_base(row))
        elif key.startswith(INODES) and len(key) == 1 + _NUMBER:
            recorded.inodes[int.from_bytes(key[1:], "big")] = _decode_inode(row)
        elif key.startswith(NAMES) and is_entry_name(key[1 + _NUMBER :]) and len(row) == _NUMBER:
            parent, ino = key[1 : 1 + _NUMBER], row
            name = bytes(key[1 + _NUMBER :])
            recorded.names.append((int.from_bytes(parent, "big"), name, int.from_bytes(ino, "big")))
        else:
            raise DamagedObjectError(f"a record {key!r} that means nothing")
    _check_together(recorded)
    return recorded


def _decode_inode(row: bytes) -> StoredInode:
    try:
        inode = _inode_decoder.decode(row)
    except ValueError as error:
        raise DamagedObjectError(f"an inode: {error}") from error
    # What was written to has its content in its base; and a hard link has its own, here.
    entry = with_content(inode.entry, inode.base) if inode.base else inode.entry
    check_entry(replace(entry, group=0))
    if inode.pieces is not None and (inode.base is None or not _fit(inode.pieces, inode.size)):
        raise DamagedObjectError(f"an inode: impossible pieces of {inode.name!r}")
    return inode


def _fit(pieces: list[tuple[int, int, int, int]], size: int) -> bool:
    """Whether pieces follow each other within ``size``, each from where bytes can be."""
    ends = [0, *(end for _, end, _, _ in pieces), size]
    return all(
        before <= start < end and source >= BASE and 0 <= offset <= 1 << 62
        for (start, end, source, offset), before in zip(pieces, ends, strict=False)
    ) and all(a <= b for a, b in pairwise(ends))


def _check_together(recorded: Recorded) -> None:
    base, inodes = recorded.base, recorded.inodes
    if inodes and (base is None or max(inodes) > base.last_ino):
        raise DamagedObjectError("it does not say what it stands on")
    for ino, inode in inodes.items():
        is_bound = inode.parent in inodes and inodes[inode.parent].entry.is_directory
        if ino == ROOT_INO:
            is_bound = inode.entry.is_directory
        if not is_bound or not _is_name(ino, inode):
            raise DamagedObjectError(f"inode {ino} is bound where nothing can be")
    for parent, name, ino in recorded.names:
        if parent not in inodes or not inodes[parent].entry.is_directory:
            raise DamagedObjectError(f"inode {parent}, which has {name!r}, has no record")
        if ino and (ino == ROOT_INO or ino not in inodes):
            raise DamagedObjectError(f"inode {ino}, called {name!r}, has no record")
        if ino and inodes[ino].entry.is_directory and _place(inodes[ino]) != (parent, name):
            raise DamagedObjectError(f"directory {ino}, called {name!r}, is elsewhere, too")


def _place(inode: StoredInode) -> tuple[int, bytes]:
    return inode.parent, inode.name


def _is_name(ino: int, inode: StoredInode) -> bool:
    if inode.name == NOT_LOADED:
        return ino == ROOT_INO or bool(inode.entry.group)
    return is_entry_name(inode.name)
