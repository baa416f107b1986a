"""A filter of ids: it says that a segment cannot have an object, or that it may.

An id that is in the segment is never denied. Of other ids about 1 in 128 passes. The filter takes
9 bits an id, and is made in one pass over sorted ids, without a library
(docs/decisions/0054-index-segments.md). Layout: docs/format.md, "Footers and index segments".
"""

from __future__ import annotations

import struct

from volfs.errors import DamagedObjectError
from volfs.model.objects import Buffer, Oid

PAGE = 256
"""Slots of one page."""
_LOW = 7
"""Bits that are kept of an id, beside its slot."""
_MASK = (1 << _LOW) - 1
_HEAD = struct.Struct("<8sQ")
_MAGIC = b"VOLFSIF1"
_START = struct.Struct("<I")


def _hash(oid: bytes, slots: int) -> int:
    """The slot of an id, and the bits that are kept: a number that grows with the id."""
    return int.from_bytes(oid[:8], "big") * (slots << _LOW) >> 64


class FilterBuilder:
    """A filter, made page by page from ids that ascend. ``slots`` is about their number."""

    def __init__(self, slots: int) -> None:
        self._slots = max(1, slots)
        self._pages: list[bytes] = []
        self._count = -(-self._slots // PAGE)
        self._kept: list[tuple[int, int]] = []
        """The slots in the page, and the bits that are kept, of the ids of one page."""

    def add(self, oid: bytes) -> None:
        value = _hash(oid, self._slots)
        page, slot = divmod(value >> _LOW, PAGE)
        while len(self._pages) < page:
            self._end_page()
        self._kept.append((slot, value & _MASK))

    def finish(self) -> bytes:
        while len(self._pages) < self._count:
            self._end_page()
        starts, at = [], 0
        for page in self._pages:
            starts.append(_START.pack(at))
            at += len(page)
        head = _HEAD.pack(_MAGIC, self._slots)
        return b"".join((head, *starts, _START.pack(at), *self._pages))

    def _end_page(self) -> None:
        """One bit for each id, and a zero after those of each slot; then the bits that are
        kept."""
        bits, shift = 0, PAGE + len(self._kept)
        for number, (slot, low) in enumerate(self._kept):
            bits |= 1 << slot + number
            bits |= low << shift + _LOW * number
        self._pages.append(bits.to_bytes(PAGE // 8 + len(self._kept), "little"))
        self._kept.clear()


class IdFilter:
    """A filter, over its bytes, which must have been verified."""

    def __init__(self, data: Buffer) -> None:
        try:
            magic, self._slots = _HEAD.unpack_from(data)
        except struct.error as error:
            raise DamagedObjectError(f"filter: {error}") from error
        pages = -(-self._slots // PAGE)
        self._view = memoryview(data)
        self._first = _HEAD.size + _START.size * (pages + 1)
        if magic != _MAGIC or not self._slots or len(data) < self._first:
            raise DamagedObjectError("filter: cut short, or of another format")
        if self._first + self._get_start(pages) != len(data):
            raise DamagedObjectError("filter: it has another length than it says")

    def may_have(self, oid: Oid) -> bool:
        """Whether the segment may have this id."""
        value = _hash(oid, self._slots)
        number, slot = divmod(value >> _LOW, PAGE)
        page = self._get_page(number)
        shift = PAGE + len(page) - PAGE // 8
        bits = int.from_bytes(page, "little")
        zeros = ~bits & (1 << shift) - 1
        first = _select(zeros, slot - 1) + 1 if slot else 0
        low = value & _MASK
        while bits >> first & 1 and first < shift:
            # As many ids come before as there are bits that are no slot's zero.
            if bits >> shift + _LOW * (first - slot) & _MASK == low:
                return True
            first += 1
        return False

    def _get_page(self, number: int) -> memoryview:
        start, end = self._get_start(number), self._get_start(number + 1)
        page = self._view[self._first + start : self._first + end]
        if len(page) < PAGE // 8:
            raise DamagedObjectError("filter: a page is cut short")
        return page

    def _get_start(self, page: int) -> int:
        return int(_START.unpack_from(self._view, _HEAD.size + _START.size * page)[0])


def _select(bits: int, number: int) -> int:
    """The place of the set bit before which there are ``number`` others."""
    low, high = 0, bits.bit_length()
    while high - low > 1:
        middle = (low + high) // 2
        if (bits & (1 << middle) - 1).bit_count() <= number:
            low = middle
        else:
            high = middle
    return low
