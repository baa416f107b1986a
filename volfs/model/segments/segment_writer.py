"""An index segment, made from entries that come in the order of their ids."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from xxhash import xxh3_64_intdigest

from volfs.model.objects import OID_SIZE, Oid
from volfs.model.segments.footer import Footer
from volfs.model.segments.id_filter import FilterBuilder
from volfs.model.segments.packs_named import NamedPack, encode_packs
from volfs.model.segments.segment import (
    BLOCK_ENTRIES,
    DIRECTORY,
    DIRECTORY_MAGIC,
    ENTRY,
    MAGIC,
    SUM,
)

Write = Callable[[bytes], object]
"""Takes the next bytes of the segment."""


class SegmentWriter:
    """Writes a segment, block by block. ``slots`` is about the number of the entries to come."""

    def __init__(self, write: Write, slots: int) -> None:
        self._write = write
        self._filter = FilterBuilder(slots)
        self._block: list[bytes] = []
        self._fences: list[bytes] = []
        self._last = b""
        self._packs: dict[NamedPack, int] = {}
        self.count = 0
        self.length = 0
        self._put(MAGIC)

    def add(self, oid: Oid, pack: NamedPack, offset: int, stored: int) -> None:
        """Add the entry that is next by id. ValueError if it is not."""
        if oid <= self._last:
            raise ValueError("an entry that is not in the order of ids")
        number = self._packs.setdefault(pack, len(self._packs))
        self._block.append(ENTRY.pack(oid, number, offset, stored))
        self._filter.add(oid)
        self._last = oid
        self.count += 1
        if len(self._block) == BLOCK_ENTRIES:
            self._end_block()

    def add_pack(self, pack: NamedPack) -> None:
        """Name a pack, also if all of its objects are found in others. So the directory says which
        packs were looked at."""
        self._packs.setdefault(pack, len(self._packs))

    def finish(self) -> int:
        """Write the rest, and return where the directory begins."""
        if self._block:
            self._end_block()
        blocks_end = self.length
        pages = self._filter.finish()
        self._put(pages)
        start = self.length
        head = DIRECTORY.pack(
            DIRECTORY_MAGIC,
            start,
            self.count,
            blocks_end,
            xxh3_64_intdigest(pages),
            len(self._packs),
            0,
        )
        fences = b"".join(self._fences) + self._last
        body = head + fences + encode_packs(list(self._packs))
        self._put(body + SUM.pack(xxh3_64_intdigest(body)))
        return start

    def _end_block(self) -> None:
        number = len(self._fences)
        data = b"".join(self._block)
        self._fences.append(data[:OID_SIZE])
        self._put(data + SUM.pack(xxh3_64_intdigest(data, number)))
        self._block.clear()

    def _put(self, data: bytes) -> None:
        self._write(data)
        self.length += len(data)


Source = tuple[NamedPack, Footer]
"""A pack with its footer: what segments are made from."""


def build_segment(write: Write, sources: Iterable[Source]) -> SegmentWriter:
    """Write the segment of packs, oldest first. Where several have an object, the latest
    counts."""
    found: dict[Oid, tuple[NamedPack, int, int]] = {}
    packs = []
    for pack, footer in sources:
        packs.append(pack)
        for record in footer:
            found[record.oid] = (pack, record.offset, record.header.stored)
    writer = SegmentWriter(write, len(found))
    for oid in sorted(found):
        writer.add(oid, *found[oid])
    for pack in packs:
        writer.add_pack(pack)
    return writer
