"""Pages that could not be written. Those of mappings are lost, and the kernel says so only once.

The kernel writes a changed page of a mapping back, gets an error, reports it to the next fsync or
msync, and takes the page for written. No later commit would hear of it. So each refused page is
noted here until it is written after all. If the kernel still shows a page as it was refused, it is
a page of a mapping: after a failed write(2) the kernel forgets the page.
"""

from __future__ import annotations

from xxhash import xxh3_64_intdigest

from volfs.model.objects import Buffer
from volfs.vfs.inode import File

PAGE = 4096
PAGES_MAX = 1 << 16
"""The most pages that are noted of one file. More are not noted."""


Pages = dict[int, tuple[int, int]]
"""The length and checksum of what was to be written, by number of page."""


class Refused:
    """For each file, the refused pages, with checksums of what was to be written."""

    def __init__(self) -> None:
        self._pages: dict[File, Pages] = {}

    def note(self, file: File, offset: int, data: Buffer) -> None:
        """Note bytes that could not be written. Only a write at the start of a page may be a
        write-back."""
        if offset % PAGE:
            return
        pages = self._pages.setdefault(file, {})
        for start in range(0, len(data), PAGE):
            if len(pages) < PAGES_MAX:
                page = bytes(memoryview(data)[start : start + PAGE])
                pages[(offset + start) // PAGE] = len(page), xxh3_64_intdigest(page)

    def forget(self, file: File, start: int, end: int) -> None:
        """Forget pages whose bytes were written, or cut off."""
        pages = self._pages.get(file)
        if pages is None:
            return
        for page in [page for page in pages if start < (page + 1) * PAGE and page * PAGE < end]:
            del pages[page]
        if not pages:
            del self._pages[file]

    def take(self) -> dict[File, Pages]:
        """Take all pages out, because they are reported once."""
        pages, self._pages = self._pages, {}
        return pages

    def __bool__(self) -> bool:
        return bool(self._pages)
