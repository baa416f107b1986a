"""A file's committed content: extents by window, in a radix tree of chunk lists.

The file is cut into *windows* of one chunk's size. A leaf chunk list holds the
extents of 64 windows, an inner one the ids of 64 lists below it; so a change
rewrites one list per level, whatever the file's size. Few extents (up to four)
live in the entry itself. Layout: docs/format.md, "Chunk lists".
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from functools import cached_property
from itertools import accumulate, pairwise
from typing import Annotated, NamedTuple, Protocol

import msgspec
from msgspec import Meta

from volfs.errors import DamagedObjectError
from volfs.model.entry import (
    UNKNOWN,
    Entry,
    Extent,
    Extents,
    Size,
    find_extents_problem,
)
from volfs.model.objects import NO_OID, Buffer, Kind, Oid

FANOUT_BITS = 6
FANOUT = 1 << FANOUT_BITS
WINDOW_EXTENTS_MAX = 16
"""A window with more extents is *crowded*: its extents are in a list of their own, so that a
change of one window rewrites few extents."""
LEAF_EXTENTS_MAX = FANOUT * WINDOW_EXTENTS_MAX
LEVEL_MAX = 4


class Crowded(msgspec.Struct, array_like=True, frozen=True, gc=False, forbid_unknown_fields=True):
    """A window of a leaf whose extents are in another list, which serves this window alone."""

    window: Annotated[int, Meta(ge=0, lt=FANOUT)]
    oid: Annotated[bytes, Meta(min_length=32, max_length=32)]
    data: Annotated[int, Meta(gt=0, le=1 << 26)]


class StoredList(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    level: Annotated[int, Meta(ge=0, le=LEVEL_MAX)]
    chunk_bits: Annotated[int, Meta(ge=12, le=26)]
    extents: Annotated[Extents, Meta(max_length=LEAF_EXTENTS_MAX)]
    children: Annotated[tuple[bytes, ...], Meta(max_length=FANOUT)]
    sums: Annotated[tuple[Size, ...], Meta(max_length=FANOUT)] = ()
    crowded: Annotated[tuple[Crowded, ...], Meta(max_length=FANOUT)] = ()


class ChunkList:
    """A decoded chunk list: ``extents`` of a leaf (level 0), ``children`` of an inner list.

    ``sums`` counts, for each child, its bytes that are not holes; a former volfs wrote none. In a
    leaf's own extents its ``crowded`` windows are holes.
    """

    __slots__ = ("__dict__", "children", "chunk_bits", "crowded", "extents", "level", "sums")

    def __init__(self, stored: StoredList) -> None:
        self.level = stored.level
        self.chunk_bits = stored.chunk_bits
        self.extents = stored.extents
        self.children = stored.children
        self.sums = stored.sums
        self.crowded = stored.crowded

    @cached_property
    def ends(self) -> list[int]:
        """Where each extent ends, from the beginning of the list."""
        return list(accumulate(extent.length for extent in self.extents))

    @cached_property
    def windows(self) -> dict[int, Oid]:
        """The lists of the crowded windows."""
        return {each.window: Oid(each.oid) for each in self.crowded}


class GetList(Protocol):
    """Load and decode a chunk list. Raises the errors of ``Load``."""

    def __call__(self, oid: Oid, /) -> ChunkList: ...


_decoder = msgspec.msgpack.Decoder(StoredList)
encode_chunk_list = msgspec.msgpack.Encoder().encode


def decode_chunk_list(data: Buffer) -> ChunkList:
    """DamagedObjectError for everything that no volfs writes."""
    try:
        stored = _decoder.decode(data)
    except (ValueError, RecursionError) as error:
        raise DamagedObjectError(f"chunk list: {error}") from error
    if bool(stored.extents) == bool(stored.children) or bool(stored.children) != bool(stored.level):
        raise DamagedObjectError("chunk list: neither leaf nor inner")
    if problem := _find_problem(stored):
        raise DamagedObjectError(f"chunk list: {problem}")
    return ChunkList(stored)


def _find_problem(stored: StoredList) -> str:
    if sum(extent.length for extent in stored.extents) > FANOUT << stored.chunk_bits:
        return "more bytes than its windows"
    if any(len(oid) not in (0, 32) for oid in stored.children):
        return "impossible object id"
    if problem := find_extents_problem(stored.extents):
        return problem
    if not (any(stored.children) or stored.crowded or any(e.oid for e in stored.extents)):
        return "nothing but a hole"
    if stored.sums and list(map(bool, stored.sums)) != list(map(bool, stored.children)):
        return "sums that are not of its children"
    return _find_crowded_problem(stored) if stored.crowded else ""


def _find_crowded_problem(stored: StoredList) -> str:
    if stored.level or any(a.window >= b.window for a, b in pairwise(stored.crowded)):
        return "crowded windows out of order"
    ends = _ends(stored.extents)
    for window, size in ((each.window, each.data) for each in stored.crowded):
        start = window << stored.chunk_bits
        length = min(1 << stored.chunk_bits, ends[-1] - start)
        if size > length or any(s.oid for s in _cut(stored.extents, ends, start, length)):
            return f"crowded window {window} has extents of the leaf, too, or no room"
    return ""


# --- reading ----------------------------------------------------------------


class Slice(NamedTuple):
    """``length`` bytes from ``offset`` of a chunk; a hole if ``oid`` is empty."""

    oid: Oid
    offset: int
    length: int


def find_slices(get: GetList, entry: Entry, offset: int, length: int) -> list[Slice]:
    """Where ``length`` bytes from ``offset`` of a file are. The range is inside the file, which is
    not inline."""
    if not entry.root:
        return _cut(entry.extents, _ends(entry.extents), offset, length)
    leaf, start, stop = _find_leaf(get, Oid(entry.root), offset)
    if leaf is not None and not leaf.crowded and offset + length <= stop:
        return _cut(leaf.extents, leaf.ends, offset - start, length)
    slices: list[Slice] = []
    end = offset + length
    while offset < end:
        leaf, start, stop = _find_leaf(get, Oid(entry.root), offset)
        part = min(end, stop) - offset
        if leaf is None:
            slices.append(Slice(NO_OID, 0, part))
        else:
            slices += _cut_leaf(get, leaf, offset - start, part)
        offset += part
    return slices


def _cut_leaf(get: GetList, leaf: ChunkList, offset: int, length: int) -> list[Slice]:
    if not leaf.crowded:
        return _cut(leaf.extents, leaf.ends, offset, length)
    slices: list[Slice] = []
    end = offset + length
    while offset < end:
        window = offset >> leaf.chunk_bits
        part = min(end, (window + 1) << leaf.chunk_bits) - offset
        oid = leaf.windows.get(window)
        if oid is None:
            slices += _cut(leaf.extents, leaf.ends, offset, part)
        else:
            own = _get_window(get, leaf, oid)
            slices += _cut(own.extents, own.ends, offset - (window << leaf.chunk_bits), part)
        offset += part
    return slices


def _get_window(get: GetList, leaf: ChunkList, oid: Oid) -> ChunkList:
    """The extents of a crowded window."""
    own = get(oid)
    fits = own.chunk_bits == leaf.chunk_bits and own.extents and own.ends[-1] <= 1 << own.chunk_bits
    if own.level or own.crowded or not fits:
        raise DamagedObjectError("chunk list: of more than a crowded window")
    return own


def measure_content(get: GetList, entry: Entry) -> int:
    """Bytes of a file that are not holes. If the entry does not say, the chunk lists are read."""
    return measure_list(get, Oid(entry.root)) if entry.data == UNKNOWN else entry.data


def measure_list(
    get: GetList, oid: Oid, level: int | None = None, known: dict[bytes, int] | None = None
) -> int:
    """Bytes below a list that are not holes. ``level`` is the level that the list must have.

    Only lists that a former volfs wrote are read, each once. DamagedObjectError.
    """
    known = {} if known is None else known
    if oid in known:
        return known[oid]
    node = _get_at(get, oid, level)
    if node.sums:
        total = sum(node.sums)
    elif node.level:
        below = node.level - 1
        total = sum(measure_list(get, Oid(each), below, known) for each in node.children if each)
    else:
        total = sum(extent.length for extent in node.extents if extent.oid)
        total += sum(each.data for each in node.crowded)
    known[oid] = total
    return total


def _get_at(get: GetList, oid: Oid, level: int | None) -> ChunkList:
    """Load a list of this level, if ``oid`` is not empty.

    DamagedObjectError for another level: so every descent ends.
    """
    node = get(oid)
    if level not in (None, node.level):
        raise DamagedObjectError("chunk list: levels out of order")
    return node


def measure_extents(extents: Extents) -> int:
    return sum(extent.length for extent in extents if extent.oid)


def count_data(get: GetList, entry: Entry, start: int, end: int) -> int:
    """Bytes from ``start`` to ``end`` of a file that are not holes."""
    if start == 0 and end >= entry.size:
        return measure_content(get, entry)
    if entry.inline or start >= end:
        return end - start
    if not entry.root:
        return sum(s.length for s in find_slices(get, entry, start, end - start) if s.oid)
    return _count_below(get, Oid(entry.root), start, end)


def _count_below(get: GetList, oid: Oid, start: int, end: int, level: int | None = None) -> int:
    """As ``count_data``, for one list; offsets count from the beginning of the list."""
    node = _get_at(get, oid, level)
    if not node.level:
        end = min(end, node.ends[-1])
        return sum(s.length for s in _cut_leaf(get, node, start, end - start) if s.oid)
    bits = node.chunk_bits + FANOUT_BITS * node.level
    total = 0
    for index in range(start >> bits, min(-(-end >> bits), len(node.children))):
        low, high = index << bits, (index + 1) << bits
        if not node.children[index]:
            continue
        if node.sums and start <= low and high <= end:
            total += node.sums[index]
        else:
            below = max(start, low) - low, min(end, high) - low, node.level - 1
            total += _count_below(get, Oid(node.children[index]), *below)
    return total


def _ends(extents: Extents) -> list[int]:
    return list(accumulate(extent.length for extent in extents))


def _find_leaf(get: GetList, root: Oid, offset: int) -> tuple[ChunkList | None, int, int]:
    """The leaf over ``offset``, or None for a hole, and the range that it covers."""
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
    """Slices as extents. Neighbours are joined if one continues the other."""
    joined: list[Extent] = []
    for oid, offset, length in slices:
        last = joined[-1] if joined else None
        if last and last.oid == oid and (not oid or last.offset + last.length == offset):
            joined[-1] = Extent(last.length + length, oid, last.offset)
        else:
            joined.append(Extent(length, oid, offset))
    return tuple(joined)


def iter_content(get: GetList, entry: Entry) -> Iterator[tuple[Kind, Oid]]:
    """The ids of the objects that a file's content consists of: lists, each followed by its
    chunks."""
    yield from ((Kind.CHUNK, Oid(e.oid)) for e in entry.extents if e.oid)
    below = [Oid(entry.root)] if entry.root else []
    while below:
        oid = below.pop()
        yield Kind.CHUNK_LIST, oid
        node = get(oid)
        yield from ((Kind.CHUNK, Oid(e.oid)) for e in node.extents if e.oid)
        below += [Oid(child) for child in node.children if child]
        below += node.windows.values()
