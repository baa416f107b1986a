"""Objects by id: locate, read, verify, decompress; and what is remembered of each."""

from __future__ import annotations

import threading
from collections.abc import Callable

from xxhash import xxh3_64_intdigest

from volfs.errors import DamagedObjectError, DataError, MissingObjectError, VolfsError
from volfs.model.objects import Buffer, Oid, compute_oid
from volfs.model.pack import RECORD_HEADER_SIZE, Codec, encode_record_header
from volfs.store.codec import decompress
from volfs.store.embedded.index import Index
from volfs.store.embedded.packs import PackReader
from volfs.store.embedded.rows import IndexEntry
from volfs.store.lru import LruMap

PLACES = 1 << 17
"""About 50 MB at most; at 1 MiB a chunk, 128 GiB of files."""
WHOLE_BYTES = 64 << 20
INLINE_DECODE_MAX = 128 << 10
"""Decoding more than this takes longer than a thread costs, and threads do it side by side."""

ReadPack = Callable[[int, int, int], Buffer | None]
"""``PackReader.read_at``, or ``read_ready`` which may answer None."""


class _Place:
    """An index entry, and whether its record has been verified since it was looked up."""

    __slots__ = ("entry", "verified")

    def __init__(self, entry: IndexEntry) -> None:
        self.entry = entry
        self.verified = False


class ObjectReader:
    """``store.base.Objects`` over the index and the packs. Thread-safe.

    A record read whole is always verified. Slices of a raw record are read
    alone once the whole has been verified in this process. Misses are never
    remembered: another process may publish the object the next moment.
    """

    def __init__(self, index: Index, packs: PackReader) -> None:
        self._index = index
        self._packs = packs
        self._places: LruMap[Oid, _Place] = LruMap(PLACES)
        self._whole: LruMap[Oid, Buffer] = LruMap(WHOLE_BYTES)
        """What was read or decoded whole for a part of it: requests of the kernel seldom
        begin where chunks do, so the rest is wanted next."""
        self._locks = [threading.Lock() for _ in range(256)]
        """Of objects that are being waited for, by the first byte of their ids."""
        packs.when_replaced = self._forget_pack

    def contains(self, oid: Oid) -> bool:
        return self._index.contains(oid)

    def load_object(self, oid: Oid) -> bytes:
        return bytes(self._demand(oid, 0, None))

    def read_object(self, oid: Oid, offset: int, length: int) -> Buffer:
        return self._demand(oid, offset, length)

    def read_object_ready(self, oid: Oid, offset: int, length: int) -> Buffer | None:
        if self._is_long_to_decode(oid):
            return None
        return self._read(oid, offset, length, self._packs.read_ready)

    def load_object_ready(self, oid: Oid) -> bytes | None:
        data = self._read(oid, 0, None, self._packs.read_ready)
        return None if data is None else bytes(data)

    def prefetch(self, oid: Oid) -> None:
        try:
            entry = self._locate(oid).entry
            start = entry.offset - RECORD_HEADER_SIZE
            self._packs.prefetch(entry.pack, start, RECORD_HEADER_SIZE + entry.stored)
        except VolfsError:
            return  # A hint. Whoever reads the object meets the error, and is told.

    def load_unpublished(self, oid: Oid, entry: IndexEntry) -> bytes:
        """As ``load_object``, at a place that is not remembered: it may yet be given up."""
        return bytes(_must(self._read_slice(oid, _Place(entry), 0, None, self._packs.read_at)))

    def is_whole(self, oid: Oid, entry: IndexEntry) -> bool:
        """Whether the stored bytes are there and right. They are read once in this process."""
        place = self._places.find(oid)
        if place is None or place.entry != entry:
            place = _Place(entry)
            self._places.put(oid, place)
        try:
            if place.verified:
                return self._packs.get_size(entry.pack) >= entry.offset + entry.stored
            place.verified = _is_record_of(oid, entry, self._read_record(entry))
        except DataError:
            return False
        return place.verified

    def _read_record(self, entry: IndexEntry) -> bytes:
        start = entry.offset - RECORD_HEADER_SIZE
        return self._packs.read_at(entry.pack, start, RECORD_HEADER_SIZE + entry.stored)

    # --- inside ----------------------------------------------------------

    def _forget_pack(self, pack: int) -> None:
        """Its file is another than was read: nothing in it has been verified."""
        for place in self._places.list_values():
            if place.entry.pack == pack:
                place.verified = False

    def _demand(self, oid: Oid, offset: int, length: int | None) -> Buffer:
        # Two requests that meet in one chunk decode it once.
        with self._locks[oid[0]]:
            return _must(self._read(oid, offset, length, self._packs.read_at))

    def _read(self, oid: Oid, offset: int, length: int | None, read: ReadPack) -> Buffer | None:
        place = self._locate(oid)
        try:
            return self._read_slice(oid, place, offset, length, read)
        except DataError:
            if not self._has_moved(oid, place):
                raise
        return self._read_slice(oid, self._locate(oid), offset, length, read)

    def _is_long_to_decode(self, oid: Oid) -> bool:
        entry = self._locate(oid).entry
        long = entry.codec is Codec.ZSTD and entry.raw > INLINE_DECODE_MAX
        return long and self._whole.find(oid) is None

    def _locate(self, oid: Oid) -> _Place:
        place = self._places.find(oid)
        if place is None:
            entry = self._index.find_entry(oid)
            if entry is None:
                raise MissingObjectError(f"object {oid.hex()} is not in the store")
            place = _Place(entry)
            self._places.put(oid, place)
        return place

    def _has_moved(self, oid: Oid, place: _Place) -> bool:
        """Whether the index names another place by now: gc or a repair wrote it anew."""
        self._places.forget(oid)
        entry = self._index.find_entry(oid)
        return entry is not None and entry != place.entry

    def _read_slice(
        self, oid: Oid, place: _Place, offset: int, length: int | None, read: ReadPack
    ) -> Buffer | None:
        entry = place.entry
        length = entry.raw - offset if length is None else length
        try:
            if not 0 <= offset <= offset + length <= entry.raw:
                raise DamagedObjectError(f"{length} bytes at {offset} of an object of {entry.raw}")
            whole = self._whole.find(oid)
            if whole is None and place.verified and entry.codec is Codec.RAW:
                data = read(entry.pack, entry.offset + offset, length)
                if place.verified:  # still: the pack may have been opened anew, and be another
                    return data
            if whole is None:
                whole = self._read_whole(oid, place, read)
                if whole is None or length == len(whole):
                    return whole
                self._whole.put(oid, whole, len(whole))
        except DataError as error:
            raise type(error)(f"{entry.where(oid)}: {error}") from error
        return memoryview(whole)[offset : offset + length]

    def _read_whole(self, oid: Oid, place: _Place, read: ReadPack) -> Buffer | None:
        entry = place.entry
        start = entry.offset - RECORD_HEADER_SIZE
        record = read(entry.pack, start, RECORD_HEADER_SIZE + entry.stored)
        if record is None:
            return None
        data = open_record(oid, entry, memoryview(record))
        place.verified = True
        return data


def _must(data: Buffer | None) -> Buffer:
    """What ``read_at`` led to: unlike ``read_ready`` it never answers None."""
    if data is None:
        raise AssertionError("a waiting read did not wait")
    return data


def _is_record_of(oid: Oid, entry: IndexEntry, record: bytes) -> bool:
    """Whether a record is just what the index says it is."""
    view = memoryview(record)
    header, stored = view[:RECORD_HEADER_SIZE], view[RECORD_HEADER_SIZE:]
    return (
        header == encode_record_header(entry.header(oid))
        and xxh3_64_intdigest(stored) == entry.checksum
    )


def open_record(oid: Oid, entry: IndexEntry, record: memoryview) -> Buffer:
    """The object's bytes from its record, verified. DamagedObjectError."""
    stored = record[RECORD_HEADER_SIZE:]
    if xxh3_64_intdigest(stored) != entry.checksum:
        raise DamagedObjectError("the stored bytes do not match their checksum")
    data = decompress(entry.codec, stored, entry.raw)
    header = encode_record_header(entry.header(oid))
    # Where only the header is damaged, or the index lies, the id itself decides.
    if record[:RECORD_HEADER_SIZE] != header and compute_oid(entry.kind, data) != oid:
        raise DamagedObjectError("another object is stored there")
    return data
