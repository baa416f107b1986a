"""Building a file's content: chunk lists in which some windows are new and all others stay.

Only lists over changed windows are made anew. Layout: docs/format.md, "Chunk lists".
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from itertools import chain
from typing import NamedTuple

from volfs.model.content import (
    FANOUT,
    FANOUT_BITS,
    LEAF_EXTENTS_MAX,
    WINDOW_EXTENTS_MAX,
    Crowded,
    GetList,
    Slice,
    StoredList,
    encode_chunk_list,
    find_slices,
    measure_extents,
    measure_list,
    to_extents,
)
from volfs.model.entry import DIRECT_EXTENTS_MAX, UNKNOWN, Entry, Extent, Extents
from volfs.model.objects import NO_OID, Kind, Oid, Put


class ContentFields(NamedTuple):
    """The content fields of an entry that is not inline."""

    extents: Extents
    root: Oid
    data: int


def build_content(
    get: GetList,
    put: Put,
    base: Entry,
    size: int,
    windows: Mapping[int, Extents],
    chunk_bits: int,
) -> ContentFields:
    """Content of ``size`` bytes, with these ``windows`` by number and all others as in ``base``.

    ``base`` must not be inline: pass an inline file as an empty base, with window 0 among
    ``windows``. Three sorts of windows must be among ``windows``: one that the new size cuts, one
    of the base behind the new end, and the last one of the base if the new size goes beyond it.
    Windows behind the end of the base that are not given are holes.
    """
    builder = _Builder(get, put, base, size, windows, chunk_bits)
    count = -(-size >> chunk_bits)
    if count <= DIRECT_EXTENTS_MAX:
        direct = builder.gather(0, count)
        if len(direct) <= DIRECT_EXTENTS_MAX:
            return ContentFields(direct, NO_OID, measure_extents(direct))
    root = builder.put_node(builder.top_level(), 0, builder.old_root())
    if not root.oid:
        return ContentFields((Extent(size, NO_OID, 0),), NO_OID, 0)
    return ContentFields((), Oid(root.oid), root.data)


class _ListNode(NamedTuple):
    """A list, or None, and its bytes that are not holes (or UNKNOWN)."""

    oid: bytes
    data: int


_HOLE = _ListNode(NO_OID, 0)


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

    def old_root(self) -> _ListNode:
        """The part of the old root that the new root can take over."""
        if self.old_level < 0:
            return _HOLE
        old = _ListNode(self.base.root, UNKNOWN)
        for _ in range(self.top_level(), self.old_level):
            old = self.find_child(old, 0)
        return old

    def find_child(self, old: _ListNode, index: int) -> _ListNode:
        if not old.oid:
            return _HOLE
        node = self.get(Oid(old.oid))
        if index >= len(node.children) or not node.children[index]:
            return _HOLE
        return _ListNode(node.children[index], node.sums[index] if node.sums else UNKNOWN)

    def put_node(self, level: int, index: int, old: _ListNode) -> _ListNode:
        """The list of ``level`` over the span ``index``. ``old`` covers the same span, or a
        shorter one."""
        start = index * self.span(level)
        end = min(start + self.span(level), self.size)
        if not self.touches(start, end):
            if self.is_hole(level, start, end, old.oid):
                return _HOLE
            if old.oid and level <= self.old_level and self.is_whole(level, start, end):
                return self.with_data(old)
        if level:
            return self.put_inner(level, index, end - start, old)
        return self.put_leaf(start >> self.bits, -(-(end - start) >> self.bits))

    def with_data(self, old: _ListNode) -> _ListNode:
        return (
            old if old.data != UNKNOWN else _ListNode(old.oid, measure_list(self.get, Oid(old.oid)))
        )

    def is_hole(self, level: int, start: int, end: int, old: bytes) -> bool:
        """Whether an unchanged span is known to be one hole, without walking it."""
        if start >= self.kept or (not old and level <= self.old_level):
            return True
        return end <= self.kept and not (
            self.base.root
            or any(piece.oid for piece in find_slices(self.get, self.base, start, end - start))
        )

    def is_whole(self, level: int, start: int, end: int) -> bool:
        """Whether the base's span has all bytes of the new span, and no others."""
        full = end == start + self.span(level)
        return end <= self.base.size and (full or self.size == self.base.size)

    def put_inner(self, level: int, index: int, length: int, old: _ListNode) -> _ListNode:
        count = -(-length // self.span(level - 1))
        children = [
            self.put_node(level - 1, index * FANOUT + i, self.old_child(level, index, i, old))
            for i in range(count)
        ]
        data = sum(child.data for child in children)
        if not data:
            return _HOLE
        oids = tuple(child.oid for child in children)
        return _ListNode(self.put_list(level, (), oids, tuple(c.data for c in children)), data)

    def old_child(self, level: int, index: int, i: int, old: _ListNode) -> _ListNode:
        if level > self.old_level:
            return old if index == 0 and i == 0 else _HOLE
        return self.find_child(old, i)

    def put_leaf(self, first: int, count: int) -> _ListNode:
        slices: list[Slice] = []
        crowded: list[Crowded] = []
        for window in range(first, first + count):
            extents = self.find_window(window)
            if len(extents) > WINDOW_EXTENTS_MAX:
                own, data = self.put_list(0, extents), measure_extents(extents)
                crowded.append(Crowded(window - first, own, data))
                slices.append(Slice(NO_OID, 0, sum(e.length for e in extents)))
            else:
                slices += [Slice(Oid(e.oid), e.offset, e.length) for e in extents]
        leaf = to_extents(slices)
        total = measure_extents(leaf) + sum(each.data for each in crowded)
        return _ListNode(self.put_list(0, leaf, crowded=tuple(crowded)), total) if total else _HOLE

    def put_list(
        self,
        level: int,
        extents: Extents,
        children: tuple[bytes, ...] = (),
        sums: tuple[int, ...] = (),
        crowded: tuple[Crowded, ...] = (),
    ) -> Oid:
        assert len(extents) <= LEAF_EXTENTS_MAX, "a window has few extents"
        stored = StoredList(level, self.bits, extents, children, sums, crowded)
        return self.put(Kind.CHUNK_LIST, encode_chunk_list(stored))

    def touches(self, start: int, end: int) -> bool:
        """Whether one of the given windows lies in the range."""
        at = bisect_right(self.dirty, (start >> self.bits) - 1)
        return at < len(self.dirty) and self.dirty[at] << self.bits < end

    def gather(self, first: int, count: int) -> Extents:
        """The extents of ``count`` windows, each of them given, kept, or a hole."""
        windows = chain.from_iterable(self.find_window(n) for n in range(first, first + count))
        return to_extents([Slice(Oid(e.oid), e.offset, e.length) for e in windows])

    def find_window(self, window: int) -> Extents:
        start = window << self.bits
        length = min(1 << self.bits, self.size - start)
        given = self.windows.get(window)
        if given is not None:
            return given
        if start < self.kept:
            return to_extents(find_slices(self.get, self.base, start, length))
        return (Extent(length, NO_OID, 0),)
