"""Uploads to a bucket: what one publication brings.

Whoever publishes asks for a ``Shipment`` and appends a line with it. If the line lost its race,
``replace`` is told which packs were closed meanwhile, and the next shipment relies on none of
them. If the line won, ``arrive`` is told which line it is.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from volfs.errors import DataError, MissingObjectError
from volfs.errors.fault_points import reached
from volfs.model.objects import Buffer, Kind, Oid, compute_oid
from volfs.model.segments.footer import walk_records
from volfs.model.segments.packs_named import NamedPack
from volfs.model.segments.segment import NamedSegment
from volfs.store.distributed.data.bucket_objects import BucketObjects
from volfs.store.distributed.data.bucket_sink import BucketSink, PutPack
from volfs.store.distributed.data.pack_numbers import PackNumber
from volfs.store.distributed.data.place_finder import OpenPlaces, PlaceFinder
from volfs.store.distributed.data.segment_making import SegmentMaker
from volfs.store.distributed.data.volume_packs import VolumeLog
from volfs.store.packs.codec import Packed, pack_object
from volfs.store.packs.entries import open_entry
from volfs.store.packs.rows import IndexEntry
from volfs.store.packs.upload import PackUpload

MUCH = 64 << 20
"""Stored bytes from which on it pays to ask the bucket whether it has an object."""
MANY = 64
"""Packs from which on an upload brings an index segment of them, so that no reader needs all of
their footers."""


class Shipment(NamedTuple):
    """What a line has to name, all of which is in the bucket, and what it has to carry."""

    packs: tuple[NamedPack, ...]
    segments: tuple[NamedSegment, ...]
    """Index segments that have all of ``packs``, if those are many."""
    relies: tuple[str, ...]
    """Packs, and lines, that have objects which were known and not put."""
    records: bytes
    """Records for the line itself, as in a pack."""
    record_count: int


class BucketUpload(PackUpload):
    """``store.contract.objects.Upload``, for one volume."""

    def __init__(
        self,
        volume_id: str,
        log: VolumeLog,
        objects: BucketObjects,
        finder: PlaceFinder,
        directory: Path,
    ) -> None:
        self._volume_id = volume_id
        self._maker = SegmentMaker(finder, directory)
        self._segment: NamedSegment | None = None
        """The segment of the packs ``_covered``."""
        self._covered: tuple[NamedPack, ...] = ()
        self.era = 0
        """The era up to which the publisher has made the checks that a new era asks for."""
        self._log = log
        self._open = OpenPlaces(finder, log)
        self._bucket_sink = BucketSink(finder.packs, directory)
        self._finder = finder
        self._relied: dict[Oid, IndexEntry] = {}
        super().__init__(self._open, objects, self._bucket_sink)

    def put_object(self, kind: Kind, data: Buffer) -> Oid:
        oid = compute_oid(kind, data)
        if self.new_bytes > MUCH:
            self._open.look_further()
        if not self._find_open(oid):
            self._append(pack_object(kind, oid, data))
        return oid

    def rely_on(self, oid: Oid) -> bool:
        """As ``Upload.rely_on``. Whoever asks without the object's bytes gets a sure answer: the
        bucket is asked, too."""
        if oid in self._new:
            return True
        self._open.look_further()
        return self._find_open(oid)

    def is_for(self, volume_id: str, finder: PlaceFinder) -> bool:
        """Whether the upload was begun for this volume of this store."""
        return (self._volume_id, self._finder) == (volume_id, finder)

    def ship(self) -> Shipment:
        """Put everything that does not fit into a line. StoreError: nothing is lost, and it may be
        tried again."""
        with self._lock:
            self._check_open()
            self._rely_on_open()
            spools = self._bucket_sink.ship()
            reached("publish.durable")
            packs = tuple(put.pack for put in self._bucket_sink.list_put())
            relied = {entry.pack for oid, entry in self._relied.items() if oid in self._known}
            return Shipment(
                packs,
                self._list_segments(packs),
                tuple(sorted(self._get_name(number) for number in relied)),
                b"".join(spool.read_records() for spool in spools),
                sum(len(spool.records) for spool in spools),
            )

    def replace(self, closed: Collection[str]) -> None:
        """Put own packs that were closed again, under new names, and the objects of all other
        packs that the log has closed. MissingObjectError if one of those is gone already;
        StoreError."""
        with self._lock:
            self._check_open()
            self._rely_on_open()
            for put in self._bucket_sink.list_put():
                if put.pack.name in closed:
                    self._put_pack_again(put)

    def arrive(self, line: NamedPack, data: bytes) -> None:
        """Take notice that a line with the last shipment is in the log. ``data`` are its bytes.

        Everything that was put can be found from now on, and the upload begins anew.
        """
        with self._lock:
            for put in self._bucket_sink.list_put():
                self._finder.put_rows(put.pack, put.footer)
            if line.records:
                self._finder.packs.keep(line, data)
                records = walk_records(data, line.footer, line.records)
                self._finder.put_rows(line, records)
            reached("publish.moved")
            self._relied.clear()
            self._segment = None
            self._release()

    # --- inside ----------------------------------------------------------

    def _find_open(self, oid: Oid) -> bool:
        """Whether the object need not be put. If so, the upload relies on it from now on."""
        if not super().rely_on(oid):
            return False
        if oid in self._new:
            return True
        entry = self._open.find_entry(oid)
        with self._lock:
            if entry is None:  # Its pack was closed at this moment.
                self._known.discard(oid)
            else:
                self._relied[oid] = entry
        return entry is not None

    def _rely_on_open(self) -> None:
        """Put again what was found in packs that the log has closed since."""
        volume = self._log.packs
        for oid in [oid for oid in self._relied if oid in self._known]:
            entry = self._relied[oid]
            if not volume.is_open(self._get_name(entry.pack)):
                self._put_known(oid, entry)

    def _list_segments(self, packs: tuple[NamedPack, ...]) -> tuple[NamedSegment, ...]:
        if len(packs) <= MANY:
            return ()
        if self._segment is None or self._covered != packs:
            sources = [(put.pack, put.footer) for put in self._bucket_sink.list_put()]
            self._segment = self._maker.build(self._volume_id, sources)
            self._covered = packs
        return (self._segment,)

    def _put_known(self, oid: Oid, entry: IndexEntry) -> None:
        """Put an object that was relied on, from where it is."""
        try:
            stored = open_entry(self._finder.packs, oid, entry).stored
        except DataError as error:
            raise MissingObjectError(
                f"object {oid.hex()} was removed from the store while this change was being "
                f"written; nothing was published: try again ({error})"
            ) from error
        self._known.discard(oid)
        del self._relied[oid]
        self._new[oid] = self._bucket_sink.append(Packed(entry.header(oid), (stored,)))
        self.new_objects += 1
        self.new_bytes += entry.stored

    def _put_pack_again(self, put: PutPack) -> None:
        number: PackNumber = self._bucket_sink.put_again(put.number).number
        for oid, entry in self._new.items():
            if entry.pack == put.number:
                self._new[oid] = entry._replace(pack=number)

    def _get_name(self, number: int) -> str:
        return self._finder.packs.numbers.get_pack(number).name
