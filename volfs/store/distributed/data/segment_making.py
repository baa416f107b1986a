"""Index segments, made on this machine and put into the bucket.

A checkpoint has one made of the packs that no segment has, and lets several of one size become
one. An upload with many packs brings one with it.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from volfs.model.segments.merging_segments import MergedSource, choose_tier, merge_segments
from volfs.model.segments.packs_named import NamedPack
from volfs.model.segments.segment import NamedSegment
from volfs.model.segments.segment_writer import SegmentWriter, Source, build_segment
from volfs.store.distributed.data.place_finder import PlaceFinder
from volfs.store.distributed.data.spool import open_nameless
from volfs.store.distributed.data.volume_packs import VolumePacks
from volfs.store.distributed.place.object_keys import segment_name
from volfs.system.files import write_all


class SegmentMaker:
    """Makes segments of one store. Each is in the bucket when it is returned; nothing reads it
    before a log names it."""

    def __init__(self, finder: PlaceFinder, directory: Path) -> None:
        self._finder = finder
        self._directory = directory

    def build(self, volume_id: str, sources: Iterable[Source]) -> NamedSegment:
        """The segment of these packs, oldest first. StoreError."""
        return self._put(volume_id, lambda sheet: build_segment(sheet.write, sources))

    def cover_tail(self, volume_id: str, volume: VolumePacks) -> list[NamedSegment]:
        """The segments that a volume should have from now on, oldest first: those that it has,
        and one of its tail, and where eight are of a size, one in their place.

        DataError if a footer or a segment cannot be read; StoreError.
        """
        segments, tail = list(volume.list_segments()), self._finder.list_uncovered(volume)
        if tail:
            sources = [(pack, self._finder.load_footer(pack)) for pack in tail]
            segments.append(self.build(volume_id, sources))
        while count := choose_tier([segment.entries for segment in segments]):
            segments[-count:] = [self.merge(volume_id, segments[-count:], volume.has_pack)]
        return segments

    def merge(
        self, volume_id: str, segments: Sequence[NamedSegment], is_there: Callable[[str], bool]
    ) -> NamedSegment:
        """One segment in the place of several, oldest first, without packs that are gone."""
        reader = self._finder.segments
        sources = [
            MergedSource(reader.load_directory(segment), reader.iter_entries(segment))
            for segment in segments
        ]

        def is_named(pack: NamedPack) -> bool:
            return is_there(pack.name)

        return self._put(volume_id, lambda sheet: merge_segments(sheet.write, sources, is_named))

    def _put(self, volume_id: str, make: Callable[[_Sheet], SegmentWriter]) -> NamedSegment:
        packs = self._finder.packs
        sheet = _Sheet(self._directory)
        try:
            writer = make(sheet)
            start = writer.finish()
            key = segment_name(volume_id, packs.make_name())
            packs.put(NamedPack(key, writer.length, start, writer.count), sheet.map())
            return NamedSegment(key, writer.length, start, writer.count)
        finally:
            sheet.close()


class _Sheet:
    """Bytes that are written one after the other: in a file without a name, or in memory if the
    local disk takes no more."""

    def __init__(self, directory: Path) -> None:
        self._memory = bytearray()
        self._length = 0
        try:
            self._file = open_nameless(directory)
        except OSError:
            self._file = -1

    def write(self, data: bytes) -> None:
        if self._file >= 0:
            try:
                write_all(self._file, data, self._length)
            except OSError:
                self._memory = bytearray(os.pread(self._file, self._length, 0))
                self.close()
        if self._file < 0:
            self._memory += data
        self._length += len(data)

    def map(self) -> memoryview:
        if self._file < 0:
            return memoryview(self._memory)
        return memoryview(mmap.mmap(self._file, self._length, prot=mmap.PROT_READ))

    def close(self) -> None:
        file, self._file = self._file, -1
        if file >= 0:
            os.close(file)
