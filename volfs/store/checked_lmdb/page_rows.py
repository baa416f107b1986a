"""The rows of an LMDB file as its pages have them, read without LMDB.

This is for files that are damaged, or must not be touched. Nothing is mapped, so no page can end
the process. Nothing is written, not even a reader's slot. The caller makes sure that nobody writes
the file meanwhile. ``checksum.py`` verifies the rows.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from volfs.errors import DamagedObjectError
from volfs.store.checked_lmdb.meta_page import HEAD, PAGE_SIZES, MetaPage, find_meta_page
from volfs.store.checked_lmdb.pages import DATA

PageRow = tuple[bytes, bytes]
_PAGE = struct.Struct("=Q2xHHH")
_NODE = struct.Struct("=HHHH")
_BRANCH, _LEAF, _OVERFLOW = 1, 2, 4
_BIG = 1
_NO_PAGE = (1 << 64) - 1
_DEPTH_MAX = 32


@dataclass(slots=True)
class PageRows:
    """The rows of one file that could be reached, and the problems on the way."""

    rows: list[PageRow] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def read_page_rows(directory: Path) -> PageRows:
    """The rows of the unnamed table. DamagedObjectError if no root can be found."""
    found = PageRows()
    try:
        descriptor = os.open(directory / DATA, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise DamagedObjectError(f"{directory.name}/{DATA}: {error.strerror}") from error
    try:
        meta = _find_meta(descriptor, found)
        found.rows.extend(_Walk(descriptor, meta, found.problems).run())
    finally:
        os.close(descriptor)
    if len(found.rows) != meta.entries:
        found.problems.append(f"{DATA}: {len(found.rows)} of {meta.entries} records are left")
    return found


def _find_meta(descriptor: int, found: PageRows) -> MetaPage:
    """The newer of the two pages at the beginning of the file, of those that are as LMDB writes
    them."""
    head = os.pread(descriptor, HEAD, 0)
    metas = [meta for size in (0, *PAGE_SIZES) if (meta := _find_sound(head, size)) is not None]
    if not metas:
        raise DamagedObjectError(f"{DATA}: its first pages are not LMDB's")
    best = max(metas, key=lambda meta: meta.transaction)
    # LMDB writes the two in turn, so the other one is of the transaction before.
    apart = {best.transaction - meta.transaction for meta in metas}
    if len(metas) < 2 or not apart <= {0, 1}:
        found.problems.append(f"{DATA}: one of its first pages is damaged; this may be older")
    return best


def _find_sound(head: bytes, offset: int) -> MetaPage | None:
    meta = find_meta_page(head, offset)
    if meta is None or not meta.is_lmdb or offset not in (0, meta.size):
        return None
    return meta if meta.root <= meta.last or meta.root == _NO_PAGE else None


class _Walk:
    """A walk over the pages from the root down. A damaged page loses what is below it."""

    def __init__(self, descriptor: int, meta: MetaPage, problems: list[str]) -> None:
        self.descriptor = descriptor
        self.size = meta.size
        self.root, self.last = meta.root, meta.last
        self.problems = problems
        self.seen: set[int] = set()

    def run(self) -> Iterator[PageRow]:
        waiting = [] if self.root == _NO_PAGE else [(self.root, 0)]
        while waiting:
            number, depth = waiting.pop()
            try:
                flags, nodes, page = self.load(number)
                below = [] if flags & _LEAF else [self.child(page, at) for at in nodes]
                rows = [self.row(page, at) for at in nodes] if flags & _LEAF else []
            except (struct.error, ValueError, OSError) as error:
                self.problems.append(f"page {number}: {error}")
                continue
            yield from (row for row in rows if row is not None)
            if depth < _DEPTH_MAX:
                waiting.extend((child, depth + 1) for child in reversed(below))

    def load(self, number: int) -> tuple[int, list[int], bytes]:
        """A page of nodes: its flags, the offsets of its nodes, and its bytes."""
        if number in self.seen or number > self.last:
            raise ValueError("it is in the tree twice, or behind the end")
        self.seen.add(number)
        page = os.pread(self.descriptor, self.size, number * self.size)
        own, flags, lower, upper = _PAGE.unpack_from(page)
        if own != number or flags & 7 not in (_BRANCH, _LEAF) or len(page) < self.size:
            raise ValueError("it is no page of records")
        if not _PAGE.size <= lower <= upper <= self.size:
            raise ValueError("it says that it has what it cannot have")
        count = (lower - _PAGE.size) // 2
        return flags, list(struct.unpack_from(f"={count}H", page, _PAGE.size)), page

    def child(self, page: bytes, at: int) -> int:
        low, high, top, _ = map(int, _NODE.unpack_from(page, at))
        return low | high << 16 | top << 32

    def row(self, page: bytes, at: int) -> PageRow | None:
        low, high, flags, key_size = _NODE.unpack_from(page, at)
        start = at + _NODE.size
        key, length = page[start : start + key_size], low | high << 16
        start += key_size
        if flags & _BIG:
            (number,) = struct.unpack_from("=Q", page, start)
            return self.big_row(key, number, length)
        value = page[start : start + length]
        return (key, value) if len(value) == length else None

    def big_row(self, key: bytes, number: int, length: int) -> PageRow | None:
        """A row whose value has pages of its own."""
        if number > self.last:
            return None
        data = os.pread(self.descriptor, _PAGE.size + length, number * self.size)
        if len(data) < _PAGE.size + length:
            return None
        own, flags, _, _ = _PAGE.unpack_from(data)
        return (key, data[_PAGE.size :]) if own == number and flags & _OVERFLOW else None
