"""Objects by id: locate, read, verify, decompress, and remember places and decoded blocks."""

from __future__ import annotations

import threading
from collections.abc import Callable

from xxhash import xxh3_64_intdigest

from volfs.errors import DamagedObjectError, DataError, MissingObjectError, VolfsError
from volfs.model.objects import Buffer, Oid, compute_oid
from volfs.model.pack import RECORD_HEADER_SIZE, Codec, encode_record_header
from volfs.model.record_blocks import BlockTable, Span, table_size
from volfs.store.lru import LruMap
from volfs.store.packs.codec import unpack_blocks, unpack_front, unpack_object
from volfs.store.packs.rows import IndexEntry
from volfs.store.packs.source import PackSource, Places

PLACES = 1 << 17
"""About 50 MB at most. With chunks of 1 MiB they reach 128 GiB of files."""
TABLE_BYTES = 16 << 20
"""Tables of 8 GiB of content that is stored raw."""
DECODED_BYTES = 64 << 20
INLINE_DECODE_MAX = 128 << 10
"""Decoding more bytes than this takes longer than handing the work to a thread, and threads decode
in parallel."""
PART = 16 << 10
"""A request of up to this size is taken for one of many scattered ones: of a compressed block only
the wanted front is decoded."""
WHOLE = -1
"""Stands for the number of a block when the whole object is meant."""

ReadPack = Callable[[int, int, int], Buffer | None]
"""``PackSource.read_at``, or ``read_ready``, which may answer None."""


class _Place:
    """An index entry, and which parts of its record were verified since it was looked up."""

    __slots__ = ("entry", "is_plain", "is_stale", "seen", "start", "verified")

    def __init__(self, entry: IndexEntry) -> None:
        self.entry = entry
        in_blocks = entry.codec is Codec.BLOCKS
        table = table_size(entry.raw, entry.block_bits) if in_blocks else 0
        self.start = entry.offset + table
        """Where the content begins in the pack, behind the table if there is one."""
        self.is_plain = entry.codec is not Codec.ZSTD and entry.stored - table == entry.raw
        """Whether the object's bytes are stored raw and in one run."""
        self.verified = False
        """Whether the whole record was verified."""
        self.seen = 0
        """One bit for each block that was verified by itself. Only records in blocks have any."""
        self.is_stale = False
        """Whether the pack's file was replaced since the entry was looked up."""

    def has_seen(self, offset: int, length: int) -> bool:
        """Whether these bytes of the object were verified."""
        if self.verified or self.is_stale:
            return self.verified and not self.is_stale
        bits = self.entry.block_bits
        if not bits or not length:
            return False
        first, last = offset >> bits, (offset + length - 1) >> bits
        wanted = _mask(first, last)
        return self.seen & wanted == wanted


class ObjectReader:
    """``store.contract.objects.Objects`` over the index and the packs. Thread-safe.

    The first read of bytes verifies them: of a record in blocks only the wanted blocks, of another
    record the whole. Later reads of bytes that are stored raw are not verified again. Missing
    objects are never remembered, because another process may publish the object the next moment.
    """

    def __init__(self, index: Places, packs: PackSource, ahead: int) -> None:
        self.ahead = ahead
        self._index = index
        self._packs = packs
        self._places: LruMap[Oid, _Place] = LruMap(PLACES)
        self._tables: LruMap[Oid, BlockTable] = LruMap(TABLE_BYTES)
        self._decoded: LruMap[tuple[Oid, int], Buffer] = LruMap(DECODED_BYTES)
        """Decoded blocks, and objects without blocks of which a part was wanted. Requests of the
        kernel seldom begin where blocks begin, so the rest is wanted next."""
        self._locks = [threading.Lock() for _ in range(256)]
        """Locks of objects that somebody waits for, chosen by the first byte of their ids."""

    def contains(self, oid: Oid) -> bool:
        return self._index.contains(oid)

    def is_there(self, oid: Oid) -> bool:
        return self._index.contains(oid)

    def load_object(self, oid: Oid) -> bytes:
        return bytes(self._demand(oid, 0, None))

    def read_object(self, oid: Oid, offset: int, length: int) -> Buffer:
        return self._demand(oid, offset, length)

    def read_object_ready(self, oid: Oid, offset: int, length: int) -> Buffer | None:
        place = self._places.find(oid)
        if place is None or place.is_stale:
            place = self._locate(oid)
        if not place.is_plain and self._is_long_to_decode(oid, place.entry, offset, length):
            return None
        return self._read(oid, place, offset, length, self._packs.read_ready)

    def load_object_ready(self, oid: Oid) -> bytes | None:
        data = self._read(oid, self._locate(oid), 0, None, self._packs.read_ready)
        return None if data is None else bytes(data)

    def prefetch(self, oid: Oid) -> None:
        try:
            entry = self._locate(oid).entry
            start = entry.offset - RECORD_HEADER_SIZE
            self._packs.prefetch(entry.pack, start, RECORD_HEADER_SIZE + entry.stored)
        except VolfsError:
            return  # Prefetching is a hint. Whoever reads the object gets the error.

    def load_unpublished(self, oid: Oid, entry: IndexEntry) -> bytes:
        """As ``load_object``, at a place that is not remembered, because the upload may yet give
        it up."""
        return bytes(_must(self._read_slice(oid, _Place(entry), 0, None, self._packs.read_at)))

    def is_whole(self, oid: Oid, entry: IndexEntry) -> bool:
        """Whether the stored bytes are there and right. They are read once in this process."""
        place = self._places.find(oid)
        if place is None or place.is_stale or place.entry != entry:
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

    def forget_pack(self, pack: int) -> None:
        """Treat nothing in the pack as verified: its file is another one than was read."""
        for place in self._places.list_values():
            if place.entry.pack == pack:
                place.is_stale = True

    def _demand(self, oid: Oid, offset: int, length: int | None) -> Buffer:
        # Two requests that meet in one chunk decode it once.
        with self._locks[oid[0]]:
            return _must(self._read(oid, self._locate(oid), offset, length, self._packs.read_at))

    def _read(
        self, oid: Oid, place: _Place, offset: int, length: int | None, read: ReadPack
    ) -> Buffer | None:
        try:
            return self._read_slice(oid, place, offset, length, read)
        except DataError:
            if not self._has_moved(oid, place):
                raise
        return self._read_slice(oid, self._locate(oid), offset, length, read)

    def _is_long_to_decode(self, oid: Oid, entry: IndexEntry, offset: int, length: int) -> bool:
        """Whether decoding a range of a compressed object takes long enough for a thread."""
        bits = entry.block_bits
        if entry.raw <= INLINE_DECODE_MAX:
            return False
        if not bits:
            return self._decoded.find((oid, WHOLE)) is None
        blocks = range(offset >> bits, (offset + length - 1 >> bits) + 1)
        if len(blocks) << bits <= INLINE_DECODE_MAX or length <= PART:
            return False
        ends = (min(1 << bits, entry.raw - (block << bits)) for block in blocks)
        missing = sum(
            self._find_decoded(oid, block, end) is None
            for block, end in zip(blocks, ends, strict=True)
        )
        return missing << bits > INLINE_DECODE_MAX

    def _locate(self, oid: Oid) -> _Place:
        place = self._places.find(oid)
        if place is None or place.is_stale:
            entry = self._index.find_entry(oid)
            if entry is None:
                raise MissingObjectError(f"object {oid.hex()} is not in the store")
            place = _Place(entry)
            self._places.put(oid, place)
        return place

    def _has_moved(self, oid: Oid, place: _Place) -> bool:
        """Whether the index names another place by now, because gc or a repair copied the
        record."""
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
            if place.is_plain and place.has_seen(offset, length):
                data = read(entry.pack, place.start + offset, length)
                if not place.is_stale:
                    return data  # Else the pack was opened anew, as another file.
            if length == entry.raw:
                return self._read_whole(oid, place, read)
            if length and entry.codec is Codec.BLOCKS:
                if place.is_plain:
                    return self._read_raw_blocks(oid, place, offset, length, read)
                return self._read_blocks(oid, place, offset, length, read)
            return self._read_part(oid, place, offset, length, read)
        except DataError as error:
            raise type(error)(f"{entry.where(oid)}: {error}") from error

    def _read_part(
        self, oid: Oid, place: _Place, offset: int, length: int, read: ReadPack
    ) -> Buffer | None:
        """Read a part of an object that is stored in one piece. The whole record is read for
        it."""
        whole = self._decoded.find((oid, WHOLE))
        if whole is None:
            whole = self._read_whole(oid, place, read)
            if whole is None:
                return None
            self._decoded.put((oid, WHOLE), whole, len(whole))
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

    # --- blocks ----------------------------------------------------------

    def _read_raw_blocks(
        self, oid: Oid, place: _Place, offset: int, length: int, read: ReadPack
    ) -> Buffer | None:
        """A range of an object whose blocks are stored raw. Where they are is known without the
        table, so both are read at the same time."""
        entry, bits = place.entry, place.entry.block_bits
        first, last = offset >> bits, (offset + length - 1) >> bits
        start, end = first << bits, min((last + 1) << bits, entry.raw)
        table = self._tables.find(oid) if place.seen else None
        if table is None:
            if length <= PART:
                self._packs.expect_scattered(entry.pack)
            self._packs.prefetch(entry.pack, place.start + start, end - start)
            table = self._load_table(oid, place, read)
            if table is None:
                return None
        data = read(entry.pack, place.start + start, end - start)
        if data is None:
            return None
        # Blocks that were seen before are verified again, because the pack may be another file
        # since.
        table.check_raw_blocks(first, data)
        place.seen |= _mask(first, last)
        return memoryview(data)[offset - start : offset - start + length]

    def _read_blocks(
        self, oid: Oid, place: _Place, offset: int, length: int, read: ReadPack
    ) -> Buffer | None:
        table = self._tables.find(oid) if place.seen else None
        if table is None:
            if length <= PART:
                self._packs.expect_scattered(place.entry.pack)
            table = self._load_table(oid, place, read)
            if table is None:
                return None
        span = table.find_span(offset, length)
        skip = offset - (span.first << place.entry.block_bits)
        if length <= PART and span.first == span.last:
            data = self._read_front(oid, place, table, span, skip + length, read)
        else:
            wanted = range(offset, offset + length)
            data = self._read_decoded(oid, place, table, span, wanted, read)
        return None if data is None else memoryview(data)[skip : skip + length]

    def _load_table(self, oid: Oid, place: _Place, read: ReadPack) -> BlockTable | None:
        """The table of a record, whose checksum tells whose table it is, too."""
        entry = place.entry
        stored = read(entry.pack, entry.offset, place.start - entry.offset)
        if stored is None:
            return None
        table = BlockTable(oid, entry.raw, entry.block_bits, entry.stored, stored)
        self._tables.put(oid, table, table.size)
        return table

    def _read_decoded(
        self, oid: Oid, place: _Place, table: BlockTable, span: Span, wanted: range, read: ReadPack
    ) -> Buffer | None:
        """The blocks of a span: the remembered ones, and the others by one read and one call of
        zstd."""
        numbers = range(span.first, span.last + 1)
        found = [self._find_decoded(oid, n, table.raw_size(n)) for n in numbers]
        missing = [n for n, block in enumerate(found) if block is None]
        if missing:
            low, high = missing[0], missing[-1] + 1
            rest = table.find_blocks(numbers[low], numbers[high - 1])
            data = self._read_span(place, rest.start, rest.end, read)
            if data is None:
                return None
            decoded = unpack_blocks(table, rest, data)
            place.seen |= _mask(rest.first, rest.last)
            self._remember_ends(oid, place.entry.block_bits, rest, decoded, wanted)
            found[low:high] = [decoded]
        parts = [block for block in found if block is not None]
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _remember_ends(
        self, oid: Oid, bits: int, span: Span, decoded: Buffer, wanted: range
    ) -> None:
        """Remember the blocks at the ends of a decoded span of which only a part was wanted,
        because whoever reads in order wants the rest next."""
        start = span.first << bits
        for block in {span.first, span.last}:
            low, high = block << bits, min((block + 1) << bits, start + len(decoded))
            if low < wanted.start or wanted.stop < high:
                part = decoded
                if span.first < span.last:
                    # A copy, because a view would keep all of the decoded bytes in memory.
                    part = bytes(memoryview(decoded)[low - start : high - start])
                self._decoded.put((oid, block), part, len(part))

    def _read_front(
        self, oid: Oid, place: _Place, table: BlockTable, span: Span, end: int, read: ReadPack
    ) -> Buffer | None:
        """The first ``end`` bytes at least of the one block of a span."""
        block, raw = span.first, table.raw_size(span.first)
        done = self._find_decoded(oid, block, end)
        if done is not None:
            return done
        data = self._read_span(place, span.start, span.end, read)
        if data is None:
            return None
        # A second request in a block is likely to want more of it, so the whole block is decoded.
        is_first = self._find_decoded(oid, block, 0) is None
        done = unpack_front(table.cut(block, span, data), raw, end if is_first else raw)
        place.seen |= 1 << block
        self._decoded.put((oid, block), done, len(done))
        return done

    def _find_decoded(self, oid: Oid, block: int, end: int) -> Buffer | None:
        """The remembered bytes of a block, if they are at least its first ``end`` bytes."""
        data = self._decoded.find((oid, block))
        return data if data is not None and len(data) >= end else None

    def _read_span(self, place: _Place, start: int, end: int, read: ReadPack) -> Buffer | None:
        return read(place.entry.pack, place.start + start, end - start)


def _mask(first: int, last: int) -> int:
    """One bit for each block from ``first`` to ``last``."""
    return ((1 << (last - first + 1)) - 1) << first


def _must(data: Buffer | None) -> Buffer:
    """The result of a read by ``read_at``, which never answers None as ``read_ready`` does."""
    if data is None:
        raise AssertionError("a waiting read did not wait")
    return data


def _is_record_of(oid: Oid, entry: IndexEntry, record: bytes) -> bool:
    """Whether a record is exactly what the index says."""
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
    data = unpack_object(entry.header(oid), stored)
    header = encode_record_header(entry.header(oid))
    # If only the header is damaged, or the index is wrong, the object's id decides.
    if record[:RECORD_HEADER_SIZE] != header and compute_oid(entry.kind, data) != oid:
        raise DamagedObjectError("another object is stored there")
    return data
