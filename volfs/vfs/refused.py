"""Pages that could not be written. Those of mappings are lost, and the kernel says so once.

The kernel writes a changed page of a mapping back, gets an error, tells it to the next fsync
or msync, and takes the page for written. Nobody tells a later commit. So what we refused is
noted here, until it is written after all. A page that the kernel still shows as it was
refused is one of a mapping: of a failed write(2) it forgets the page.
"""

from __future__ import annotations

from xxhash import xxh3_64_intdigest

from volfs.model.objects import Buffer
from volfs.vfs.inode import File

PAGE = 4096
PAGES_MAX = 1 << 16
"""Of a file. More are not noted."""


Pages = dict[int, tuple[int, int]]
"""Numbers of pages; the length and checksum of what was to be written."""


class Refused:
    """The pages of each file, and checksums of what was to be written."""

    def __init__(self) -> None:
        self._pages: dict[File, Pages] = {}

    def note(self, file: File, offset: int, data: Buffer) -> None:
        """It could not be written. A write-back begins at a page."""
        if offset % PAGE:
            return
        pages = self._pages.setdefault(file, {})
        for start in range(0, len(data), PAGE):
            if len(pages) < PAGES_MAX:
                page = bytes(memoryview(data)[start : start + PAGE])
                pages[(offset + start) // PAGE] = len(page), xxh3_64_intdigest(page)

    def forget(self, file: File, start: int, end: int) -> None:
        """These bytes were written, or cut off."""
        pages = self._pages.get(file)
        if pages is None:
            return
        for page in [page for page in pages if start < (page + 1) * PAGE and page * PAGE < end]:
            del pages[page]
        if not pages:
            del self._pages[file]

    def take(self) -> dict[File, Pages]:
        """All of them; they are told once."""
        pages, self._pages = self._pages, {}
        return pages

    def __bool__(self) -> bool:
        return bool(self._pages)
