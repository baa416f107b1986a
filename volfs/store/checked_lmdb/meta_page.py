"""LMDB's meta pages: the two pages at the beginning of a file, of which the newer one says where
all other pages are. LMDB writes them in turn."""

from __future__ import annotations

import struct
from typing import NamedTuple

_LAYOUT = struct.Struct("=10xH4xII16xI44x32xQQQQ")
_KIND = (8, 0xBEEF_C0DE, 1)
PAGE_SIZES = frozenset(1 << bits for bits in range(9, 17))
HEAD = max(PAGE_SIZES) + _LAYOUT.size
"""How many bytes of a file have both meta pages, whatever its page size."""


class MetaPage(NamedTuple):
    flags: int
    magic: int
    format: int
    size: int
    """Bytes of a page. The second meta page begins there."""
    entries: int
    """Rows of the unnamed table."""
    root: int
    last: int
    """The number of the last page."""
    transaction: int

    @property
    def is_lmdb(self) -> bool:
        """Whether the page is of the one kind and format that volfs reads."""
        return self[:3] == _KIND and self.size in PAGE_SIZES


def find_meta_page(head: bytes, offset: int) -> MetaPage | None:
    """The meta page at an offset. None if the file ends before it does."""
    if len(head) < offset + _LAYOUT.size:
        return None
    return MetaPage._make(_LAYOUT.unpack_from(head, offset))
