"""Writing content: dirty bytes become chunks, and all other bytes stay where they are.

Only windows with changes are looked at. In such a window, a small change becomes a small chunk of
only the dirty bytes, between slices of the old chunks. A window in too many pieces, or with little
to keep, is read and written again, except for its holes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import Executor
from itertools import chain, groupby
from typing import Protocol

from volfs.model.content import WINDOW_EXTENTS_MAX, Slice, find_slices, to_extents
from volfs.model.content_building import build_content
from volfs.model.entry import INLINE_MAX, Entry, Extent, Extents, replace, set_content
from volfs.model.extents import BASE, ZERO, ExtentMap, Piece
from volfs.model.objects import NO_OID, Buffer, Kind, Oid
from volfs.store.contract.objects import Objects, Upload
from volfs.volume.version_reader import Reader, read_range

CLEAN_MIN = 64 * 1024
"""A window with fewer unchanged bytes is written again, because they are not worth a second
extent."""
DATA = 0
"""The source of a run that must be stored. Its pieces say where their bytes are."""
HOLE_MIN = 4096
"""A hole of fewer bytes is stored as zeros with what is beside it."""
HOLES_MAX = 512
"""The most holes that are kept in a window, so that it has fewer extents than a list may have."""
PARALLEL_WINDOWS = 4
"""The number of dirty windows from which on several threads write them."""
BATCH = 8
"""The windows in one task, because a future costs more memory than the extents that it returns."""


class ReadScratch(Protocol):
    """Exactly ``length`` bytes of an arena from ``offset``. From any thread."""

    def __call__(self, arena: int, offset: int, length: int, /) -> Buffer: ...


class ContentWriter:
    """Writes the content of files into one upload. One thread uses it, and the threads of its
    pool."""

    def __init__(self, objects: Objects, upload: Upload, chunk_bits: int, pool: Executor) -> None:
        self.objects = objects
        self.upload = upload
        self.reader = Reader(upload.load_object)
        self.bits = chunk_bits
        self.pool = pool

    def write(self, base: Entry, extents: ExtentMap, read_scratch: ReadScratch) -> Entry:
        """``base`` with the content that ``extents`` describes. Its attributes stay.

        Chunks that the store knows are not written again. DataError if a part of the base that
        must be written again cannot be read.
        """
        if (new := _find_new_whole(extents, 1 << self.bits)) is not None:
            # Most files are like this, and need none of what follows.
            chunk = self.put_chunk(read_scratch(new.source, new.offset, new.end))
            return set_content(base, new.end, extents=(chunk,))
        source = _Source(self, base, extents, read_scratch)
        if extents.size <= INLINE_MAX:
            inline = bytes(source.read(0, extents.size))
            return set_content(base, extents.size, inline=inline)
        kept = _kept_part(base, extents)
        dirty = sorted(_dirty_windows(kept, extents, self.bits))
        windows = dict(zip(dirty, self._write_windows(source, dirty), strict=True))
        built = build_content(
            self.reader.get_list, self.upload.put_object, kept, extents.size, windows, self.bits
        )
        return set_content(base, extents.size, **built._asdict())

    def _write_windows(self, source: _Source, windows: list[int]) -> Iterable[Extents]:
        if len(windows) < PARALLEL_WINDOWS:
            return map(source.write_window, windows)
        batches = [windows[at : at + BATCH] for at in range(0, len(windows), BATCH)]
        return chain.from_iterable(self.pool.map(source.write_batch, batches))

    def write_stream(self, base: Entry, pieces: Iterable[Buffer]) -> Entry:
        """``base`` with the content of ``pieces``, of any sizes."""
        stream = ContentStream(self, base)
        for piece in pieces:
            stream.write(piece)
        return stream.finish()

    def put_chunk(self, data: Buffer) -> Extent:
        """Put bytes as a chunk, and return their extent. Zeros become a hole."""
        oid = NO_OID if is_zero(data) else self.upload.put_object(Kind.CHUNK, data)
        return Extent(len(data), oid, 0)


class ContentStream:
    """The content of one file on its way into an upload. For one thread.

    Whole windows are stored as they arrive, so at most one window is in memory.
    """

    def __init__(self, writer: ContentWriter, base: Entry, *, append: bool = False) -> None:
        """``base`` gives the attributes. With ``append`` its content stays in front."""
        self._writer = writer
        self._base = base if append else set_content(base, 0)
        self._window_size = 1 << writer.bits
        self._windows: dict[int, Extents] = {}
        self._number = self._base.size >> writer.bits
        """The number of the window that is being filled."""
        self._filling = bytearray(self._read_last_window())

    @property
    def size(self) -> int:
        """The bytes of the file so far."""
        return (self._number << self._writer.bits) + len(self._filling)

    def write(self, data: Buffer) -> None:
        """Append bytes to the content. OutOfSpaceError; StoreError."""
        view = memoryview(data).cast("B")
        while len(view):
            room = self._window_size - len(self._filling)
            if len(view) >= room == self._window_size:
                self._put_window(view[:room])
            else:
                self._filling += view[:room]
                if len(self._filling) == self._window_size:
                    self._put_filling()
            view = view[room:]

    def finish(self) -> Entry:
        """The entry with the content. Nothing can be written afterwards."""
        size = self.size
        if size <= INLINE_MAX:
            return set_content(self._base, size, inline=bytes(self._filling))
        if self._filling:
            self._put_filling()
        kept = set_content(self._base, 0) if self._base.inline else self._base
        writer = self._writer
        built = build_content(
            writer.reader.get_list,
            writer.upload.put_object,
            kept,
            size,
            self._windows,
            writer.bits,
        )
        return set_content(self._base, size, **built._asdict())

    def _put_filling(self) -> None:
        self._put_window(bytes(self._filling))
        self._filling.clear()

    def _put_window(self, data: Buffer) -> None:
        self._windows[self._number] = (self._writer.put_chunk(data),)
        self._number += 1

    def _read_last_window(self) -> Buffer:
        """The bytes of the base in the window in which it ends."""
        start = self._number << self._writer.bits
        writer = self._writer
        return read_range(writer.reader, writer.objects, self._base, start, self._base.size - start)


class _Source:
    """One file that is being written, and the sources of its bytes."""

    def __init__(
        self, writer: ContentWriter, base: Entry, extents: ExtentMap, read_scratch: ReadScratch
    ) -> None:
        self.writer = writer
        self.base = base
        self.extents = extents
        self.read_scratch = read_scratch

    def write_batch(self, windows: list[int]) -> list[Extents]:
        return [self.write_window(window) for window in windows]

    def write_window(self, window: int) -> Extents:
        start = window << self.writer.bits
        end = min(start + (1 << self.writer.bits), self.extents.size)
        runs = list(self.runs(start, end))
        slices = [self.base_slices(run) for run in runs if run.source == BASE]
        if not self.is_worth_cutting(runs, slices):
            return (self.writer.put_chunk(self.read(start, end)),)
        if sum(map(len, slices)) + len(runs) - len(slices) > WINDOW_EXTENTS_MAX:
            return self.write_gathered(runs)
        return to_extents([piece for run in runs for piece in self.run_slices(run)])

    def write_gathered(self, runs: list[Piece]) -> Extents:
        """Write a window in too many pieces: all its data in one chunk, with holes between."""
        spans = list(self.spans(runs))
        data = b"".join(self.read(span.start, span.end) for span in spans if span.source != ZERO)
        oid, offset = Oid(self.writer.put_chunk(data).oid) if data else NO_OID, 0
        slices: list[Slice] = []
        for span in spans:
            length = span.end - span.start
            if span.source == ZERO:
                slices.append(Slice(NO_OID, 0, length))
            else:
                slices.append(Slice(oid, offset if oid else 0, length))
                offset += length
        return to_extents(slices)

    def spans(self, runs: list[Piece]) -> Iterator[Piece]:
        """Data and holes in turn. A hole that is short for such a large window counts as data."""
        shortest = max(HOLE_MIN, (1 << self.writer.bits) // HOLES_MAX)
        pieces = [piece for run in runs for piece in self.cut_at_holes(run)]
        for hole, group in groupby(
            pieces, lambda piece: piece.source == ZERO and piece.end - piece.start >= shortest
        ):
            members = list(group)
            yield Piece(members[0].start, members[-1].end, ZERO if hole else DATA, 0)

    def cut_at_holes(self, run: Piece) -> Iterator[Piece]:
        """Yield the data and holes of a run of the base; any other run as it is."""
        if run.source != BASE:
            yield run
            return
        at = run.start
        for part in self.base_slices(run):
            yield Piece(at, at + part.length, 0 if part.oid else ZERO, 0)
            at += part.length

    def is_worth_cutting(self, runs: list[Piece], slices: list[list[Slice]]) -> bool:
        """Whether a window has a hole to keep, or enough unchanged bytes."""
        holes = [run.end - run.start for run in runs if run.source == ZERO]
        kept = [piece for each in slices for piece in each]
        holes += [piece.length for piece in kept if not piece.oid]
        clean = sum(piece.length for piece in kept if piece.oid)
        return clean >= CLEAN_MIN or any(hole >= HOLE_MIN for hole in holes)

    def runs(self, start: int, end: int) -> Iterator[Piece]:
        """Pieces, with neighbours joined if both must be stored, because they become one chunk."""
        for data, group in groupby(self.extents.iter_pieces(start, end), key=self.must_store):
            if data:
                members = list(group)
                yield Piece(members[0].start, members[-1].end, DATA, 0)
            else:
                yield from group

    def must_store(self, piece: Piece) -> bool:
        """Whether no chunk has these bytes yet: they are in scratch, or inline in the base."""
        return piece.source not in (BASE, ZERO) or (piece.source == BASE and bool(self.base.inline))

    def run_slices(self, run: Piece) -> list[Slice]:
        if run.source == BASE:
            return self.base_slices(run)
        if run.source == ZERO:
            return [Slice(NO_OID, 0, run.end - run.start)]
        extent = self.writer.put_chunk(self.read(run.start, run.end))
        return [Slice(Oid(extent.oid), 0, extent.length)]

    def base_slices(self, run: Piece) -> list[Slice]:
        length = run.end - run.start
        return find_slices(self.writer.reader.get_list, self.base, run.start, length)

    def read(self, start: int, end: int) -> Buffer:
        """The file's bytes from ``start`` to ``end``, from all their sources."""
        pieces = list(self.extents.iter_pieces(start, end))
        if len(pieces) == 1:
            return self.read_piece(pieces[0])
        buffer = bytearray(end - start)
        for piece in pieces:
            if piece.source != ZERO:
                buffer[piece.start - start : piece.end - start] = self.read_piece(piece)
        return buffer

    def read_piece(self, piece: Piece) -> Buffer:
        length = piece.end - piece.start
        if piece.source == ZERO:
            return bytes(length)
        if piece.source == BASE:
            writer = self.writer
            return read_range(writer.reader, writer.objects, self.base, piece.start, length)
        return self.read_scratch(piece.source, piece.offset, length)


def _find_new_whole(extents: ExtentMap, limit: int) -> Piece | None:
    """The one piece of scratch that is the whole file, if the file makes a single chunk."""
    if len(extents.pieces) != 1 or not INLINE_MAX < extents.size <= limit:
        return None
    (piece,) = extents.pieces
    is_whole = piece.end - piece.start == extents.size
    return piece if is_whole and piece.source != BASE else None


def _kept_part(base: Entry, extents: ExtentMap) -> Entry:
    """The base up to the last byte that the file still takes from it. Beyond it are holes.

    A file that was cut and then extended therefore costs nothing for its new end.
    """
    if base.inline:
        return set_content(base, 0)
    last = max((piece.end for piece in extents.pieces if piece.source == BASE), default=0)
    # If the file simply ends there, the base's own size shows that it was cut.
    return base if last in (base.size, extents.size) else replace(base, size=last)


def _dirty_windows(kept: Entry, extents: ExtentMap, bits: int) -> set[int]:
    """The windows that cannot be taken unchanged from the kept part of the base."""
    size = extents.size
    dirty: set[int] = set()
    for piece in extents.iter_pieces(0, size):
        # Bytes of the base that must be written all the same were inline.
        if piece.source == BASE and piece.end <= kept.size:
            continue
        # Zeros behind the base need no window, because what is not given there is a hole.
        end = min(piece.end, kept.size) if piece.source == ZERO else piece.end
        dirty.update(range(piece.start >> bits, -(-end >> bits)))
    if size != kept.size and (edge := min(size, kept.size)) & ((1 << bits) - 1):
        dirty.add(edge >> bits)
    return dirty


def is_zero(data: Buffer) -> bool:
    # The ends come first, because they tell most data apart without a copy.
    return not (data[0] or data[-1]) and bytes(data) == bytes(len(data))
