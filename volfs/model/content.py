"""A file's committed content: extents by window, in a radix tree of chunk lists.

The file is cut into *windows* of one chunk's size. A leaf chunk list holds the
extents of 64 windows, an inner one the ids of 64 lists below it; so a change
rewrites one list per level, whatever the file's size. Few extents (up to four)
live in the entry itself. Layout: docs/format.md, "Chunk lists".
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from functools import cached_property
from itertools import accumulate
from typing import Annotated, NamedTuple, Protocol

import msgspec
from msgspec import Meta

from volfs.errors import DamagedObjectError
from volfs.model.entry import (
    DIRECT_EXTENTS_MAX,
    Entry,
    Extent,
    Extents,
    find_extents_problem,
)
from volfs.model.objects import NO_OID, Buffer, Kind, Oid, Put

FANOUT_BITS = 6
FANOUT = 1 << FANOUT_BITS
WINDOW_EXTENTS_MAX = 16
"""A window of more is rewritten whole, so that reads stay quick."""
LEAF_EXTENTS_MAX = FANOUT * WINDOW_EXTENTS_MAX
LEVEL_MAX = 4


class _Stored(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    level: Annotated[int, Meta(ge=0, le=LEVEL_MAX)]
    chunk_bits: Annotated[int, Meta(ge=12, le=26)]
    extents: Annotated[Extents, Meta(max_length=LEAF_EXTENTS_MAX)]
    children: Annotated[tuple[bytes, ...], Meta(max_length=FANOUT)]


class ChunkList:
    """A decoded chunk list: ``extents`` of a leaf (level 0), ``children`` of an inner one."""

    __slots__ = ("__dict__", "children", "chunk_bits", "extents", "level")

    def __init__(
        self, level: int, chunk_bits: int, extents: Extents, children: tuple[bytes, ...]
    ) -> None:
        self.level = level
        self.chunk_bits = chunk_bits
        self.extents = extents
        self.children = children

    @cached_property
    def ends(self) -> list[int]:
        """Where each extent ends, from the start of the list."""
        return list(accumulate(extent.length for extent in self.extents))


class GetList(Protocol):
    """A decoded chunk list. Raises as ``Load``."""

    def __call__(self, oid: Oid, /) -> ChunkList: ...


_decoder = msgspec.msgpack.Decoder(_Stored)
_encoder = msgspec.msgpack.Encoder()


def decode_chunk_list(data: Buffer) -> ChunkList:
    """DamagedObjectError for anything that no encoder of ours writes."""
    try:
        stored = _decoder.decode(data)
    except (ValueError, RecursionError) as error:
        raise DamagedObjectError(f"chunk list: {error}") from error
    if bool(stored.extents) == bool(stored.children) or bool(stored.children) != bool(stored.level):
        raise DamagedObjectError("chunk list: neither leaf nor inner")
    span = FANOUT << stored.chunk_bits
    if sum(extent.length for extent in stored.extents) > span:
        raise DamagedObjectError("chunk list: more bytes than its windows")
    if any(len(oid) not in (0, 32) for oid in stored.children):
        raise DamagedObjectError("chunk list: impossible object id")
    if problem := find_extents_problem(stored.extents):
        raise DamagedObjectError(f"chunk list: {problem}")
    if not any(stored.children) and not any(extent.oid for extent in stored.extents):
        raise DamagedObjectError("chunk list: nothing but a hole")
    return ChunkList(stored.level, stored.chunk_bits, stored.extents, stored.children)


# --- reading ----------------------------------------------------------------


class Slice(NamedTuple):
    """``length`` bytes from ``offset`` of a chunk; a hole where ``oid`` is empty."""

    oid: Oid
    offset: int
    length: int


def find_slices(get: GetList, entry: Entry, offset: int, length: int) -> list[Slice]:
    """Where ``length`` bytes from ``offset`` are; inside the file, which is not inline."""
    if not entry.root:
        return _cut(entry.extents, _ends(entry.extents), offset, length)
    slices: list[Slice] = []
    end = offset + length
    while offset < end:
        leaf, start, stop = _find_leaf(get, Oid(entry.root), offset)
        part = min(end, stop) - offset
        if leaf is None:
            slices.append(Slice(NO_OID, 0, part))
        else:
            slices += _cut(leaf.extents, leaf.ends, offset - start, part)
        offset += part
    return slices


def _ends(extents: Extents) -> list[int]:
    return list(accumulate(extent.length for extent in extents))


def _find_leaf(get: GetList, root: Oid, offset: int) -> tuple[ChunkList | None, int, int]:
    """The leaf over ``offset``, or None for a hole, and the range it covers."""
    node = get(root)
    start = 0
    while True:
        bits = node.chunk_bits + FANOUT_BITS * (node.level + 1)
        if offset - start >= 1 << bits:
            raise DamagedObjectError("chunk list: ends before the file does")
        if node.level == 0:
            return node, start, start + (1 << bits)
        bits -= FANOUT_BITS
        index = (offset - start) >> bits
        start += index << bits
        if index >= len(node.children):
            raise DamagedObjectError("chunk list: ends before the file does")
        if not node.children[index]:
            return None, start, start + (1 << bits)
        below = get(Oid(node.children[index]))
        if below.level != node.level - 1 or below.chunk_bits != node.chunk_bits:
            raise DamagedObjectError("chunk list: levels out of order")
        node = below


def _cut(extents: Extents, ends: list[int], offset: int, length: int) -> list[Slice]:
    slices = []
    at = bisect_right(ends, offset)
    while length:
        if at == len(extents):
            raise DamagedObjectError("content: ends before the file does")
        extent = extents[at]
        skip = offset - (ends[at] - extent.length)
        part = min(extent.length - skip, length)
        slices.append(Slice(Oid(extent.oid), extent.offset + skip if extent.oid else 0, part))
        offset += part
        length -= part
        at += 1
    return slices


def to_extents(slices: list[Slice]) -> Extents:
    """Slices as extents, neighbours joined where one goes on from the other."""
    joined: list[Extent] = []
    for oid, offset, length in slices:
        last = joined[-1] if joined else None
        if last and last.oid == oid and (not oid or last.offset + last.length == offset):
            joined[-1] = Extent(last.length + length, oid, last.offset)
        else:
            joined.append(Extent(length, oid, offset))
    return tuple(joined)


# --- writing ----------------------------------------------------------------


class Built(NamedTuple):
    """The content fields of an entry that is not inline."""

    extents: Extents
    root: Oid


def build_content(
    get: GetList,
    put: Put,
    base: Entry,
    size: int,
    windows: Mapping[int, Extents],
    chunk_bits: int,
) -> Built:
    """Content of ``size`` bytes: ``windows`` by number, all others as in ``base``.

    ``base`` is not inline; one that is counts as empty, with window 0 given.
    A window of the base that the new size cuts or that lies behind its end, and
    one that the base ends in and the new size goes beyond, must be in
    ``windows``; those behind the base that are not given are holes.
    """
    builder = _Builder(get, put, base, size, windows, chunk_bits)
    count = -(-size >> chunk_bits)
    if count <= DIRECT_EXTENTS_MAX:
        direct = builder.gather(0, count)
        if len(direct) <= DIRECT_EXTENTS_MAX:
            return Built(direct, NO_OID)
    root = builder.put_node(builder.top_level(), 0, builder.old_root())
    return Built((), root) if root else Built((Extent(size, NO_OID, 0),), NO_OID)


def iter_content(get: GetList, entry: Entry) -> Iterator[tuple[Kind, Oid]]:
    """The objects that a file's content consists of: lists, then their chunks."""
    yield from ((Kind.CHUNK, Oid(e.oid)) for e in entry.extents if e.oid)
    below = [Oid(entry.root)] if entry.root else []
    while below:
        oid = below.pop()
        yield Kind.CHUNK_LIST, oid
        node = get(oid)
        yield from ((Kind.CHUNK, Oid(e.oid)) for e in node.extents if e.oid)
        below += [Oid(child) for child in node.children if child]


class _Builder:
    """One call of ``build_content``."""

    def __init__(
        self,
        get: GetList,
        put: Put,
        base: Entry,
        size: int,
        windows: Mapping[int, Extents],
        chunk_bits: int,
    ) -> None:
        self.get, self.put = get, put
        self.base, self.size, self.windows, self.bits = base, size, windows, chunk_bits
        self.dirty = sorted(windows)
        self.kept = min(base.size, size)
        self.old_level = -1
        if base.root and (top := get(Oid(base.root))).chunk_bits == chunk_bits:
            self.old_level = top.level

    def top_level(self) -> int:
        level = 0
        while self.size > self.span(level):
            level += 1
        return level

    def span(self, level: int) -> int:
        return 1 << (self.bits + FANOUT_BITS * (level + 1))

    def old_root(self) -> bytes:
        """What the new root can take over: the old one, or the part of it that is left."""
        oid: bytes = self.base.root if self.old_level >= 0 else NO_OID
        for _ in range(self.top_level(), self.old_level):
            oid = self.get(Oid(oid)).children[0] if oid else NO_OID
        return oid

    def put_node(self, level: int, index: int, old: bytes) -> Oid:
        """The list of ``level`` over the ``index``-th span; ``old`` covers the same, or less."""
        start = index * self.span(level)
        end = min(start + self.span(level), self.size)
        if not self.touches(start, end):
            if self.is_hole(level, start, end, old):
                return NO_OID
            if old and level <= self.old_level and self.is_whole(level, start, end):
                return Oid(old)
        if level:
            return self.put_inner(level, index, end - start, old)
        extents = self.gather(start >> self.bits, -(-(end - start) >> self.bits))
        return self.put_list(0, extents, ()) if any(e.oid for e in extents) else NO_OID

    def is_hole(self, level: int, start: int, end: int, old: bytes) -> bool:
        """Whether an untouched span is known to be one hole, without walking it."""
        if start >= self.kept or (not old and level <= self.old_level):
            return True
        return end <= self.kept and not (
            self.base.root
            or any(piece.oid for piece in find_slices(self.get, self.base, start, end - start))
        )

    def is_whole(self, level: int, start: int, end: int) -> bool:
        """Whether the base's span has all the bytes of the new one and no others."""
        full = end == start + self.span(level)
        return end <= self.base.size and (full or self.size == self.base.size)

    def put_inner(self, level: int, index: int, length: int, old: bytes) -> Oid:
        count = -(-length // self.span(level - 1))
        children = tuple(
            self.put_node(level - 1, index * FANOUT + i, self.old_child(level, index, i, old))
            for i in range(count)
        )
        return self.put_list(level, (), children) if any(children) else NO_OID

    def old_child(self, level: int, index: int, i: int, old: bytes) -> bytes:
        if level > self.old_level:
            return old if index == 0 and i == 0 else NO_OID
        children = self.get(Oid(old)).children if old else ()
        return children[i] if i < len(children) else NO_OID

    def put_list(self, level: int, extents: Extents, children: tuple[bytes, ...]) -> Oid:
        assert len(extents) <= LEAF_EXTENTS_MAX, "a window has few extents"
        stored = _Stored(level, self.bits, extents, children)
        return self.put(Kind.CHUNK_LIST, _encoder.encode(stored))

    def touches(self, start: int, end: int) -> bool:
        """Whether a given window lies in the range."""
        at = bisect_right(self.dirty, (start >> self.bits) - 1)
        return at < len(self.dirty) and self.dirty[at] << self.bits < end

    def gather(self, first: int, count: int) -> Extents:
        """The extents of ``count`` windows, given, kept or holes."""
        slices: list[Slice] = []
        for window in range(first, first + count):
            start = window << self.bits
            length = min(1 << self.bits, self.size - start)
            given = self.windows.get(window)
            if given is not None:
                slices += [Slice(Oid(e.oid), e.offset, e.length) for e in given]
            elif start < self.kept:
                slices += find_slices(self.get, self.base, start, length)
            else:
                slices.append(Slice(NO_OID, 0, length))
        return to_extents(slices)
