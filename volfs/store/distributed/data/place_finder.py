"""The place of an object: the rows of this machine, then footers, then segments.

Whatever is found is put into the rows together with everything that came with it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from volfs.errors import DamagedObjectError, DataError, MissingObjectError
from volfs.model.objects import Oid
from volfs.model.pack import PACK_HEADER_SIZE, Gap
from volfs.model.segments.footer import (
    Footer,
    PlacedRecord,
    decode_footer,
    encode_footer,
    walk_records,
)
from volfs.model.segments.packs_named import NamedPack
from volfs.store.distributed.data.bucket_packs import BucketPacks
from volfs.store.distributed.data.segment_reader import SegmentReader
from volfs.store.distributed.data.volume_packs import VolumeLog, VolumePacks
from volfs.store.lru import LruMap
from volfs.store.packs.rows import IndexEntry, place_found, place_record
from volfs.store.packs.scan import scan_records

FOOTER_BYTES = 32 << 20
AT_ONCE = 16
"""Footers of the tail that are asked for together."""


class PlaceFinder:
    """Places in all packs of a store. Thread-safe."""

    def __init__(self, packs: BucketPacks) -> None:
        self.packs = packs
        self.segments = SegmentReader(packs)
        self._footers: LruMap[NamedPack, Footer] = LruMap(FOOTER_BYTES)

    def list_known(self, oid: Oid) -> list[IndexEntry]:
        """The places that this machine knows. Nothing is asked of the bucket."""
        numbers = self.packs.numbers
        found = [
            entry._replace(pack=numbers.get_number(pack))
            for pack, entry in self.packs.rows.find(oid)
        ]
        return [entry for entry in found if not numbers.is_gone(entry.pack)]

    def search(self, volume: VolumePacks, oid: Oid) -> IndexEntry | None:
        """The place of an object by what the log names. DamagedObjectError if that cannot be
        read.

        Packs whose rows are there are not read. Another process may have put the rows of one after
        the caller had looked at them, so they are looked at once more.
        """
        found = self._search_tail(volume, oid)
        found = found or self._search_segments(volume, oid)
        return found or next(iter(self.list_known(oid)), None)

    def search_if_likely(self, volume: VolumePacks, oid: Oid) -> IndexEntry | None:
        """As ``search``, for an object that is probably new. It may miss one that is there."""
        segments = volume.list_segments()
        for segment in reversed(segments):
            pack = self.segments.find_if_likely(segments, segment, oid)
            if pack is not None:
                return self._find_in(pack, oid)
        return None

    def learn_tail(self, volume: VolumePacks) -> None:
        """Put everything that the tail names into the rows. DataError, StoreError."""
        self._search_tail(volume, None)

    def list_uncovered(self, volume: VolumePacks) -> list[NamedPack]:
        """The packs of the tail that no segment has, oldest first. Segments are asked only if that
        costs fewer requests than to read the footers. DataError, StoreError."""
        return self._leave_covered(volume, list(volume.list_tail()))

    def put_rows(self, pack: NamedPack, footer: Footer) -> None:
        """Remember the places of a pack that is in the bucket and named by a log."""
        self._footers.put(pack, footer, footer.size)
        self.packs.rows.put(pack, footer, self.packs.read_clock())

    # --- inside ----------------------------------------------------------

    def _search_tail(self, volume: VolumePacks, oid: Oid | None) -> IndexEntry | None:
        """The place of an object in packs whose rows are not there yet, the latest first."""
        unread = self._list_unread(volume)
        for first in range(0, len(unread), AT_ONCE):
            batch = unread[first : first + AT_ONCE]
            self._ask_ahead(batch)
            for pack in batch:
                found = self._find_in(pack, oid)
                if found is not None:
                    return found
        return None

    def _list_unread(self, volume: VolumePacks) -> list[NamedPack]:
        """The packs of the tail whose places this machine does not know, the latest first."""
        numbers, rows = self.packs.numbers, self.packs.rows
        unread = [
            pack
            for pack in reversed(volume.list_tail())
            if not rows.find_pack(pack).is_whole and not numbers.is_gone(numbers.get_number(pack))
        ]
        try:
            return self._leave_covered(volume, unread)
        except DataError:
            return unread  # Their footers say the same.

    def _leave_covered(self, volume: VolumePacks, packs: list[NamedPack]) -> list[NamedPack]:
        segments = volume.list_segments()
        if len(packs) <= AT_ONCE or not segments:
            return packs
        self.segments.load_heads(segments)
        covered = {
            pack.name for each in segments for pack in self.segments.load_directory(each).packs
        }
        return [pack for pack in packs if pack.name not in covered]

    def _search_segments(self, volume: VolumePacks, oid: Oid) -> IndexEntry | None:
        damage: DataError | None = None
        segments = volume.list_segments()
        self.segments.load_heads(segments)
        for segment in reversed(segments):
            try:
                pack = self.segments.find(segment, oid)
                # A repair takes damaged packs out of the volume, and segments have them still.
                is_there = pack is not None and volume.has_pack(pack.name)
                found = self._find_in(pack, oid) if pack is not None and is_there else None
            except DataError as error:
                damage = error
                continue
            if found is not None:
                return found
        if damage is not None:
            raise damage
        return None

    def _find_in(self, pack: NamedPack, oid: Oid | None) -> IndexEntry | None:
        """The place of an object in a pack, whose footer is read. None also if the pack is gone."""
        number = self.packs.numbers.get_number(pack)
        if self.packs.numbers.is_gone(number):
            return None
        try:
            footer = self.load_footer(pack)
        except MissingObjectError:
            return None
        record = footer.find(oid) if oid is not None else None
        return None if record is None else place_record(record.header, number, record.offset)

    def load_footer(self, pack: NamedPack) -> Footer:
        """The records of a pack, which are put into the rows. A damaged footer is made again from
        the records. MissingObjectError; DamagedObjectError; StoreError."""
        footer = self._footers.find(pack)
        if footer is None:
            number, length = self.packs.numbers.get_number(pack), pack.length - pack.footer
            try:
                footer = (
                    self.packs.read_verified(number, 0, pack.length, _walker(pack))
                    if pack.is_line
                    else self.packs.read_verified(number, pack.footer, length, _decoder(pack))
                )
            except DamagedObjectError:
                footer = self._scan(pack)
            self.packs.note_seen(number)
            self.put_rows(pack, footer)
        return footer

    def _scan(self, pack: NamedPack) -> Footer:
        """The records that can be read, in the place of a footer that cannot."""
        number = self.packs.numbers.get_number(pack)
        start, end = (pack.footer, pack.length) if pack.is_line else (PACK_HEADER_SIZE, pack.footer)
        found: dict[Oid, PlacedRecord] = {}
        for item in scan_records(self.packs, number, end, start):
            if not isinstance(item, Gap):
                entry = place_found(number, item)
                found[item.header.oid] = PlacedRecord(entry.offset, item.header)
        return Footer(encode_footer(found.values(), end), end)

    def _ask_ahead(self, packs: Sequence[NamedPack]) -> None:
        for pack in packs:
            if self._footers.find(pack) is None:
                start = 0 if pack.is_line else pack.footer
                number = self.packs.numbers.get_number(pack)
                self.packs.prefetch(number, start, pack.length - start)


def _decoder(pack: NamedPack) -> Callable[[bytes], Footer]:
    return lambda data: decode_footer(data, pack.footer, pack.records)


def _walker(pack: NamedPack) -> Callable[[bytes], Footer]:
    return lambda data: walk_records(data, pack.footer, pack.records)


class VolumePlaces:
    """``Places`` of one volume, for reading."""

    def __init__(self, finder: PlaceFinder, log: VolumeLog) -> None:
        self.finder = finder
        self.log = log

    def find_entry(self, oid: Oid) -> IndexEntry | None:
        """The place of an object. The log is read to its end before it counts as missing.
        DataError; StoreError."""
        found = self.find_ready(oid) or self._search_known(oid)
        return found or self._search(self.log.refresh(), oid)

    def find_ready(self, oid: Oid) -> IndexEntry | None:
        """The place of an object if this machine knows it. A place in a pack that the volume does
        not name counts as well, because bytes prove themselves."""
        known = self.finder.list_known(oid)
        return (self._choose(known) or known[0]) if known else None

    def contains(self, oid: Oid) -> bool:
        """Whether an open pack of the volume has the object. What gc has closed is put aside."""
        return self._is_in(oid, self._is_open)

    def is_there(self, oid: Oid) -> bool:
        """Whether any pack of the volume has the object, and is in the bucket."""
        return self._is_in(oid, lambda pack: self._is_open(pack) or self._is_stored(pack))

    def _is_open(self, pack: int) -> bool:
        return self.log.packs.is_open(self.finder.packs.numbers.get_pack(pack).name)

    def _is_stored(self, pack: int) -> bool:
        name = self.finder.packs.numbers.get_pack(pack).name
        return self.log.packs.has_pack(name) and self.finder.packs.is_there(pack)

    def _is_in(self, oid: Oid, is_wanted: Callable[[int], bool]) -> bool:
        """Whether a pack that is wanted has the object."""
        volume = self.log.packs  # If its lines are read now, they may bring the place along.
        if any(is_wanted(entry.pack) for entry in self.finder.list_known(oid)):
            return True
        found = self.finder.search(volume, oid)
        if found is None or is_wanted(found.pack):
            return found is not None
        # What was found is the latest place. It came with others, which are known by now.
        return any(is_wanted(entry.pack) for entry in self.finder.list_known(oid))

    def is_named(self, number: int) -> bool:
        """Whether the volume names a pack, as its log says now. StoreError."""
        return self.log.refresh().has_pack(self.finder.packs.numbers.get_pack(number).name)

    def _choose(self, known: list[IndexEntry]) -> IndexEntry | None:
        """The first of the places that is in a pack of the volume."""
        volume, numbers = self.log.packs, self.finder.packs.numbers
        for entry in known:
            if volume.has_pack(numbers.get_pack(entry.pack).name):
                return entry
        return None

    def _search_known(self, oid: Oid) -> IndexEntry | None:
        """By what is known of the log. What cannot be read may be out of date."""
        try:
            return self._search(self.log.packs, oid)
        except DataError:
            return None

    def _search(self, volume: VolumePacks, oid: Oid) -> IndexEntry | None:
        """The place of an object. The lines of the log that were read may have brought it along."""
        return self.find_ready(oid) or self.finder.search(volume, oid)


class OpenPlaces:
    """``Places`` on which something new in one volume may rely.

    Only what this machine knows counts at first. After ``look_further``, also what the log names.
    """

    def __init__(self, finder: PlaceFinder, log: VolumeLog) -> None:
        self._finder = finder
        self._log = log
        self._looks_further = False

    def look_further(self) -> None:
        """Ask the bucket as well, because so much is uploaded that finding some of it pays."""
        if not self._looks_further:
            self._finder.learn_tail(self._log.packs)
            self._looks_further = True

    def find_entry(self, oid: Oid) -> IndexEntry | None:
        volume = self._log.packs
        found = self._find_open(volume, self._finder.list_known(oid))
        if found is None and self._looks_further:
            likely = self._find_likely(volume, oid)
            found = self._find_open(volume, [likely] if likely is not None else [])
        return found

    def contains(self, oid: Oid) -> bool:
        return self.find_entry(oid) is not None

    def _find_likely(self, volume: VolumePacks, oid: Oid) -> IndexEntry | None:
        try:
            return self._finder.search_if_likely(volume, oid)
        except DataError:
            return None  # What cannot be looked up is put again.

    def _find_open(self, volume: VolumePacks, entries: list[IndexEntry]) -> IndexEntry | None:
        numbers = self._finder.packs.numbers
        for entry in entries:
            if volume.is_open(numbers.get_pack(entry.pack).name):
                return entry
        return None
