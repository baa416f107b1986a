"""The layout of a catalog's records, and the checks that find records that no daemon can have
written.

Layout: docs/format.md, "Catalog". Pure; ``catalog.py`` keeps the records.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta

from volfs.errors import DamagedObjectError, UnsupportedFormatError
from volfs.model.block_sums import BlockSums, decode_sums, encode_sums, has_sums, split_by_stretch
from volfs.model.entry import (
    UNKNOWN,
    Entry,
    OidBytes,
    Size,
    Sum,
    check_entry,
    replace,
    with_content,
)
from volfs.model.extents import BASE, STRETCH, Piece
from volfs.model.manifest import Snapshot
from volfs.model.names import is_entry_name
from volfs.model.objects import Oid
from volfs.store.contract.refs import Head
from volfs.vfs.inode import NOT_LOADED
from volfs.vfs.numbers import DERIVED, ROOT_INO, NumberOwner

BASE_KEY = b"base-2"
"""The key of what the overlay stands on. It ends with the number of this format."""
FORMER_BASE_KEY = b"base"
INODES, NAMES, PIECES, SUMS, NUMBERS, GROUPS = b"i", b"n", b"p", b"s", b"e", b"g"
_NUMBER = 8
"""Bytes of the number of an inode, an arena or a stretch."""
_LIMIT = 1 << 62
Ino = Annotated[int, Meta(ge=0, le=_LIMIT)]


class StoredBase(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """What the overlay stands on, and the last inode number that was given and not derived."""

    version: Size
    manifest: OidBytes
    root: Entry
    links: OidBytes
    link_files: Size
    link_bytes: Size
    last_ino: Ino
    stamp: bytes = b""
    """Random bytes, so that no two flushes write the same record."""
    link_data: Sum = UNKNOWN

    @property
    def head(self) -> Head:
        return Head(self.version, Oid(self.manifest))

    @property
    def snapshot(self) -> Snapshot:
        links = Oid(self.links)
        return Snapshot(self.root, links, self.link_files, self.link_bytes, self.link_data)


class StoredInode(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    parent: Ino
    name: bytes
    dirty: bool
    entry: Entry
    base: Entry | None = None
    """The entry whose content the BASE pieces mean. It and the next two fields belong to a file
    whose content is materialised."""
    size: Size = 0
    pieces: Size = 0
    """The number of pieces in all records of pieces of this file."""


class Recorded(NamedTuple):
    """All records of a catalog.

    ``inodes`` are by number. ``names`` have the directory, the name and the number of each changed
    name. ``pieces`` are by inode, ``sums`` by arena and stretch. ``numbers`` are the inode numbers
    that are not derived (``numbers.py``).
    """

    base: StoredBase | None
    inodes: dict[int, StoredInode]
    names: list[tuple[int, bytes, int]]
    pieces: dict[int, list[Piece]]
    sums: dict[int, dict[int, BlockSums]]
    numbers: dict[NumberOwner, int]


encode = msgspec.msgpack.Encoder().encode
_base_decoder = msgspec.msgpack.Decoder(StoredBase)
_inode_decoder = msgspec.msgpack.Decoder(StoredInode)
_pieces_decoder = msgspec.msgpack.Decoder(list[tuple[int, int, int, int]])


def inode_key(ino: int) -> bytes:
    return INODES + _number(ino)


def name_key(ino: int, name: bytes) -> bytes:
    return NAMES + _number(ino) + name


def pieces_key(ino: int, stretch: int | None = None) -> bytes:
    """The key of the pieces in one stretch of a file, or the prefix of the keys of all its
    pieces."""
    return PIECES + _number(ino) + (b"" if stretch is None else _number(stretch))


def sums_key(arena: int, stretch: int | None = None) -> bytes:
    """The key of the sums of one stretch of an arena, or the prefix of the keys of all its
    sums."""
    return SUMS + _number(arena) + (b"" if stretch is None else _number(stretch))


def number_key(key: NumberOwner) -> bytes:
    """The key of the inode number of a name or a link group."""
    if isinstance(key, int):
        return GROUPS + _number(key)
    return NUMBERS + _number(key[0]) + key[1]


def encode_number(ino: int | None) -> bytes | None:
    """The row of an inode number that is an exception. None, which is no record, if the number is
    the derived one."""
    return None if ino is None else _number(ino)


def encode_sums_record(sums: BlockSums) -> bytes | None:
    """The row of a stretch's sums. None, which is no record, if no block has a sum."""
    return encode_sums(sums) if any(sums.lengths) else None


def refuse_former() -> UnsupportedFormatError:
    return UnsupportedFormatError("catalog: of a former volfs; commit it with that one")


def _number(value: int) -> bytes:
    return value.to_bytes(_NUMBER, "big")


def decode_base(row: bytes) -> StoredBase:
    """Decode what the overlay stands on. DamagedObjectError."""
    try:
        base = _base_decoder.decode(row)
    except ValueError as error:
        raise DamagedObjectError(f"what the overlay stands on: {error}") from error
    check_entry(base.root)
    if not base.root.is_directory or {len(base.manifest), len(base.links)} - {0, 32}:
        raise DamagedObjectError("the overlay's base is not a possible one")
    return base


def decode_records(rows: Iterable[tuple[bytes, bytes]]) -> Recorded:
    """Decode all records, and check that they fit together. DamagedObjectError;
    UnsupportedFormatError."""
    recorded = Recorded(None, {}, [], {}, {}, {})
    for key, row in rows:
        if key == BASE_KEY:
            recorded = recorded._replace(base=decode_base(row))
        elif key == FORMER_BASE_KEY:
            raise refuse_former()
        else:
            decode_record(recorded, key, row)
    _check_together(recorded)
    for ino, inode in recorded.inodes.items():
        _check_pieces(recorded, ino, inode)
    _check_arenas(recorded)
    return recorded


def decode_record(recorded: Recorded, key: bytes, row: bytes) -> None:
    """Decode one record into ``recorded``, except for that of the base.

    Whether it fits other records is not checked. DamagedObjectError.
    """
    kind, number, rest = key[:1], int.from_bytes(key[1 : 1 + _NUMBER], "big"), key[1 + _NUMBER :]
    if (number > _LIMIT and kind != GROUPS) or len(key) < 1 + _NUMBER:
        raise DamagedObjectError(f"the record {key!r} has an unknown form")
    if kind == INODES and not rest:
        recorded.inodes[number] = _decode_inode(row)
    elif kind == NAMES and is_entry_name(rest) and len(row) == _NUMBER:
        recorded.names.append((number, bytes(rest), int.from_bytes(row, "big")))
    elif kind == PIECES and len(rest) == _NUMBER:
        pieces = _decode_pieces(row, int.from_bytes(rest, "big"))
        recorded.pieces.setdefault(number, []).extend(pieces)
    elif kind == SUMS and len(rest) == _NUMBER:
        stretches = recorded.sums.setdefault(number, {})
        stretches[int.from_bytes(rest, "big")] = decode_sums(bytes(row))
    elif kind == NUMBERS and is_entry_name(rest) and len(row) == _NUMBER:
        recorded.numbers[number, bytes(rest)] = int.from_bytes(row, "big")
    elif kind == GROUPS and number and not rest and len(row) == _NUMBER:
        recorded.numbers[number] = int.from_bytes(row, "big")
    else:
        raise DamagedObjectError(f"the record {key!r} has an unknown form")


def _decode_inode(row: bytes) -> StoredInode:
    try:
        inode = _inode_decoder.decode(row)
    except ValueError as error:
        raise DamagedObjectError(f"an inode: {error}") from error
    # A file that was written to has its content in its base, and the record of a hard link has its
    # own content.
    entry = with_content(inode.entry, inode.base) if inode.base else inode.entry
    check_entry(replace(entry, group=0))
    if inode.base is None and (inode.size or inode.pieces):
        raise DamagedObjectError(f"an inode: pieces of {inode.name!r}, and no base")
    return inode


def _decode_pieces(row: bytes, stretch: int) -> list[Piece]:
    try:
        pieces = [Piece(*piece) for piece in _pieces_decoder.decode(row)]
    except ValueError as error:
        raise DamagedObjectError(f"pieces: {error}") from error
    if any(piece.start // STRETCH != stretch for piece in pieces):
        raise DamagedObjectError("pieces of another stretch")
    return pieces


def _check_pieces(recorded: Recorded, ino: int, inode: StoredInode) -> None:
    pieces = recorded.pieces.get(ino, [])
    if len(pieces) != inode.pieces:
        raise DamagedObjectError(f"inode {ino}: {len(pieces)} of {inode.pieces} pieces are left")
    if not fit_pieces(pieces, inode.size):
        raise DamagedObjectError(f"inode {ino}: impossible pieces of {inode.name!r}")


def fit_pieces(pieces: list[Piece], size: int) -> bool:
    """Whether pieces follow each other within ``size``, and each has a possible source and
    offset."""
    ends = [0, *(piece.end for piece in pieces), size]
    return all(
        before <= piece.start < piece.end
        and BASE <= piece.source <= _LIMIT
        and 0 <= piece.offset <= _LIMIT
        for piece, before in zip(pieces, ends, strict=False)
    ) and all(a <= b for a, b in pairwise(ends))


def _check_arenas(recorded: Recorded) -> None:
    """Check that each byte of an arena belongs to one file at most, and that a sum covers it.
    DamagedObjectError."""
    lost = recorded.pieces.keys() - recorded.inodes.keys()
    if lost:
        raise DamagedObjectError(f"inode {min(lost)}, which has pieces, has no record")
    before = (BASE, 0)
    for arena, start, end in sorted(_find_used(recorded)):
        if (arena, start) < before:
            raise DamagedObjectError(f"scratch arena {arena}: two files have the byte at {start}")
        before = (arena, end)
        stretches = recorded.sums.get(arena, {})
        for stretch, lo, hi in split_by_stretch(start, end):
            if stretch not in stretches or not has_sums(stretches[stretch], lo, hi):
                raise DamagedObjectError(f"scratch arena {arena}: no sums of bytes at {start}")


def _find_used(recorded: Recorded) -> Iterator[tuple[int, int, int]]:
    for pieces in recorded.pieces.values():
        for start, end, source, offset in pieces:
            if source != BASE:
                yield source, offset, offset + end - start


def _check_together(recorded: Recorded) -> None:
    base, inodes = recorded.base, recorded.inodes
    if inodes and base is None:
        raise DamagedObjectError("it does not say what it stands on")
    _check_numbers(recorded, base.last_ino if base else ROOT_INO)
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


def _check_numbers(recorded: Recorded, last: int) -> None:
    numbers = list(recorded.numbers.values())
    if len(set(numbers)) != len(numbers):
        raise DamagedObjectError("two names have one inode number")
    for ino in (*recorded.inodes, *numbers):
        if not (ROOT_INO <= ino <= last or DERIVED <= ino < 2 * DERIVED):
            raise DamagedObjectError(f"inode {ino}, a number that was never given")
    if ROOT_INO in numbers:
        raise DamagedObjectError("a name has the inode number of the root")


def _place(inode: StoredInode) -> tuple[int, bytes]:
    return inode.parent, inode.name


def _is_name(ino: int, inode: StoredInode) -> bool:
    if inode.name == NOT_LOADED:
        return ino == ROOT_INO or bool(inode.entry.group)
    return is_entry_name(inode.name)
