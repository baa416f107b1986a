"""Look-ups in the index segments of a bucket: a directory once, then one block for an object."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial

from volfs.errors import DamagedObjectError, DataError
from volfs.model.objects import Oid
from volfs.model.segments.id_filter import IdFilter
from volfs.model.segments.packs_named import NamedPack
from volfs.model.segments.segment import (
    NamedSegment,
    SegmentBlock,
    SegmentDirectory,
    SegmentEntry,
)
from volfs.store.distributed.data.bucket_packs import BucketPacks
from volfs.store.distributed.data.volume_packs import as_pack
from volfs.store.lru import LruMap

DIRECTORY_BYTES = 64 << 20
BLOCK_BYTES = 16 << 20
FILTER_BYTES = 64 << 20
"""The most bytes of a volume's filters that are loaded. Beyond them only some ids are asked for."""
HEAD_BYTES = 1 << 20
"""The most bytes of a filter that come with the directory."""
BLOCKS_AT_ONCE = 64
SAMPLE = 16
"""One of so many ids is asked for without a filter; a hit brings the footer of its pack, and with
it the neighbours."""


class SegmentReader:
    """Reads segments through the caches. Thread-safe. Errors are those of ``read_verified``."""

    def __init__(self, packs: BucketPacks) -> None:
        self._packs = packs
        self._directories: LruMap[str, SegmentDirectory] = LruMap(DIRECTORY_BYTES)
        self._blocks: LruMap[tuple[str, int], SegmentBlock] = LruMap(BLOCK_BYTES)
        self._filters: LruMap[str, IdFilter] = LruMap(FILTER_BYTES)

    def find(self, segment: NamedSegment, oid: Oid) -> NamedPack | None:
        """The pack that has an object, by this segment."""
        directory = self.load_directory(segment)
        number, known = directory.find_block(oid), self._filters.find(segment.key)
        if number is None or (known is not None and not known.may_have(oid)):
            return None
        entry = self._load_block(segment, directory, number).find(oid)
        return None if entry is None else directory.get_pack(entry)

    def find_if_likely(
        self, segments: Sequence[NamedSegment], segment: NamedSegment, oid: Oid
    ) -> NamedPack | None:
        """As ``find``, for an object that is probably new. It may miss one that is there.

        ``segments`` are all that are asked: together they tell whether filters are worth it.
        """
        if sum(each.entries for each in segments) * 9 // 8 > FILTER_BYTES:
            return None if oid[-1] % SAMPLE else self.find(segment, oid)
        if not self._load_filter(segment).may_have(oid):
            return None
        return self.find(segment, oid)

    def load_heads(self, segments: Sequence[NamedSegment]) -> None:
        """Load what is not there yet of the directories, and the filters that come with them, all
        at once. What is damaged is left out."""
        wanted = [each for each in segments if self._directories.find(each.key) is None]
        if wanted:
            self._packs.bucket.world.gather([partial(self._try_directory, each) for each in wanted])

    def _try_directory(self, segment: NamedSegment) -> None:
        with suppress(DataError):
            self.load_directory(segment)

    def load_directory(self, segment: NamedSegment) -> SegmentDirectory:
        found = self._directories.find(segment.key)
        if found is None:
            start = segment.directory - min(_guess_filter(segment), segment.directory)
            found, filtered = self._packs.read_verified(
                self._get_number(segment),
                start,
                segment.length - start,
                partial(_decode_head, segment, start),
            )
            self._directories.put(segment.key, found, found.size)
            if filtered is not None:
                self._filters.put(segment.key, filtered, found.start - found.filter)
        return found

    def iter_entries(self, segment: NamedSegment) -> Iterator[SegmentEntry]:
        """All entries, by many blocks at a time, none of which is remembered."""
        directory, number = self.load_directory(segment), self._get_number(segment)
        for first in range(0, directory.blocks, BLOCKS_AT_ONCE):
            blocks = range(first, min(first + BLOCKS_AT_ONCE, directory.blocks))
            yield from self._packs.read_verified(
                number, *_span(directory, blocks), partial(_decode_blocks, directory, blocks)
            )

    def _load_block(
        self, segment: NamedSegment, directory: SegmentDirectory, number: int
    ) -> SegmentBlock:
        found = self._blocks.find((segment.key, number))
        if found is None:
            pack = self._get_number(segment)
            self._packs.expect_scattered(pack)
            place = directory.locate_block(number)
            found = self._packs.read_verified(
                pack, *place, lambda data: directory.decode_block(number, data)
            )
            self._blocks.put((segment.key, number), found, found.size)
        return found

    def _load_filter(self, segment: NamedSegment) -> IdFilter:
        found = self._filters.find(segment.key)
        if found is None:
            directory = self.load_directory(segment)
            size = directory.start - directory.filter
            found = self._packs.read_verified(
                self._get_number(segment), directory.filter, size, directory.decode_filter
            )
            self._filters.put(segment.key, found, size)
        return found

    def _get_number(self, segment: NamedSegment) -> int:
        return self._packs.numbers.get_number(as_pack(segment))


def _guess_filter(segment: NamedSegment) -> int:
    """About how many bytes before a directory its filter begins. None are asked for if they are
    many."""
    guess = 128 + segment.entries + (segment.entries >> 8) * 40
    return guess if guess <= HEAD_BYTES else 0


def _decode_head(
    segment: NamedSegment, start: int, data: bytes
) -> tuple[SegmentDirectory, IdFilter | None]:
    """A directory, and the filter before it if all of it is there. ``start`` is where the data
    begins in the segment."""
    view = memoryview(data)
    directory = SegmentDirectory(view[segment.directory - start :], segment.directory)
    if directory.filter < start:
        return directory, None
    with suppress(DamagedObjectError):
        return directory, directory.decode_filter(
            view[directory.filter - start : directory.start - start]
        )
    return directory, None  # Without a filter, a block tells.


def _span(directory: SegmentDirectory, blocks: range) -> tuple[int, int]:
    """Where these blocks begin in the segment, and their length."""
    start, _ = directory.locate_block(blocks[0])
    last, length = directory.locate_block(blocks[-1])
    return start, last + length - start


def _decode_blocks(directory: SegmentDirectory, blocks: range, data: bytes) -> list[SegmentEntry]:
    start, _ = directory.locate_block(blocks[0])
    found: list[SegmentEntry] = []
    for number in blocks:
        at, length = directory.locate_block(number)
        found += directory.decode_block(number, data[at - start : at - start + length])
    return found
