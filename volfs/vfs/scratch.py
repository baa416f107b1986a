"""Scratch: the bytes of uncommitted writes, in one sparse file per generation, an *arena*.

A write goes to fresh room, or over the file's own bytes if these were written since the last
flush. Flushed bytes stay as they are, so that their sums stay right whatever dies. Fresh room is
room that no file needs any more, else the end of the current arena. A sealed arena is not written
again unless its commit fails, and is deleted once everything in it has been committed.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple

from volfs.errors import DamagedObjectError, StoreUnavailableError, VolfsError
from volfs.model.block_sums import BlockSums, ceil_block, floor_block
from volfs.model.extents import ExtentMap, Piece
from volfs.model.free_room import FreeRoom, Room
from volfs.model.objects import Buffer
from volfs.system.files import remove_file, sync_directory
from volfs.vfs.arena import Arena, ArenaRanges, Work, refuse_deleted, to_overlay_error
from volfs.vfs.inode import Run

RUN_MAX = 1 << 20
SLACK = 16 << 20
"""Bytes of free room that are kept for writes, in addition to as many as files have."""


class Summed(NamedTuple):
    """One arena's part of a flush, ready to be recorded."""

    arena: Arena
    sums: dict[int, BlockSums]
    dead: ArenaRanges


class Scratch:
    """The arenas of one session's directory. One thread writes, and any may read."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.current = 0
        self._arenas: dict[int, Arena] = {}
        self._sealed = 0
        """The last arena that a commit under way reads. Nothing dies in the sealed arenas
        meanwhile."""
        self._closed = self._closed_before = 0
        """The last arena that is no longer written, because it was sealed for a commit."""
        self._free = FreeRoom()
        self._has_new_name = False
        self._end = 0

    # --- arenas ----------------------------------------------------------

    def find_room(self) -> int:
        """The bytes that are free on the disk of the directory. StoreError."""
        try:
            disk = os.statvfs(self.directory)
        except OSError as error:
            raise to_overlay_error("overlay", error) from error
        return disk.f_bavail * disk.f_frsize

    def open_arenas(self) -> None:
        """Open the arenas that a former daemon left. New writes go to a new arena."""
        for path in sorted(self.directory.glob("*.arena")):
            number = int(path.stem)
            self._arenas[number] = Arena(number, os.open(path, os.O_RDWR | os.O_CLOEXEC))
            self.current = max(self.current, number)
        self._next_arena()

    def restore(self, sums: dict[int, dict[int, BlockSums]], pieces: Iterable[Piece]) -> None:
        """Take over what a former daemon recorded of its arenas, and note the bytes that files
        have in them."""
        live: dict[int, ArenaRanges] = {number: [] for number in (*self._arenas, *sums)}
        for piece in pieces:
            if piece.source >= 0:
                live[piece.source].append((piece.offset, piece.offset + piece.end - piece.start))
        for number, ranges in live.items():
            self.current = max(self.current, number + 1)
            if (arena := self._arenas.get(number)) is not None:
                dead = arena.restore(sums.get(number, {}), sorted(ranges))
                rooms = (self._free.add(number, start, end) for start, end in dead)
                self.punch([room for room in rooms if room is not None])

    def _next_arena(self) -> None:
        self.current += 1
        self._end = 0

    def seal(self) -> int:
        """Close the current arena, and return its number. The next write makes a new arena."""
        self._closed_before, self._closed = self._closed, self.current
        self._sealed = self.current
        self._next_arena()
        return self._sealed

    def end_commit(self, *, has_failed: bool) -> None:
        """Note that nobody reads the sealed arenas any more. If the commit failed, they may be
        written again."""
        self._sealed = 0
        if has_failed:
            self._closed = self._closed_before

    def drop_arenas(self, last: int, keep: Collection[int]) -> list[Arena]:
        """Drop the arenas up to ``last`` except ``keep``, because nothing refers to them any more.

        ``delete`` then deletes their files.
        """
        dropped = [self._arenas.pop(n) for n in list(self._arenas) if n <= last and n not in keep]
        for arena in dropped:
            self._free.drop(arena.number)
        return dropped

    def delete(self, dropped: list[Arena]) -> None:
        """Close and delete arenas. In a thread, because a disk may hang."""
        for arena in dropped:
            arena.close()
            remove_file(self._path(arena.number))

    def close(self) -> None:
        for arena in self._arenas.values():
            arena.close()
        self._arenas.clear()

    # --- flush -----------------------------------------------------------

    def take(self) -> list[Work]:
        """The work of a flush. The bytes written so far stay as they are from now on."""
        arenas = list(self._arenas.values())
        works = (arena.take(is_sealed=arena.number <= self._sealed) for arena in arenas)
        return [work for work in works if work is not None]

    def give_back(self, works: list[Work]) -> None:
        for work in works:
            work.arena.give_back(work)

    def sync(self, committed: int = 0) -> None:
        """Make the bytes written so far to arenas after ``committed`` durable. In any thread.

        An arena that failed once fails for ever, because the kernel would call a second fdatasync
        a success. Later writes go to another arena.
        """
        for number, arena in list(self._arenas.items()):
            if number > committed:
                self._check_sound(arena)
                self._sync_arena(arena)
        if self._has_new_name:
            self._has_new_name = False
            self._sync_names()

    def sum_up(self, works: list[Work], committed: int = 0) -> list[Summed]:
        """The sums of what was synced, except in arenas up to ``committed``. In a thread."""
        return [
            Summed(work.arena, work.arena.sum_up(work), work.dead)
            for work in works
            if work.arena.number > committed
        ]

    def settle(self, summed: list[Summed]) -> list[Room]:
        """Take over recorded sums, and free the dead blocks. Returns the room to ``punch``."""
        found: list[Room | None] = []
        for arena, sums, dead in summed:
            if arena.number in self._arenas:
                arena.settle(sums)
                rooms = [(arena.number, start, end) for start, end in dead]
                is_closed = arena.number <= self._closed
                found += rooms if is_closed else [self._free.add(*room) for room in rooms]
        if self._free.bytes > SLACK + sum(arena.live_bytes for arena in self._arenas.values()):
            found += self.drop_free()
        return [room for room in found if room is not None]

    @property
    def has_dead(self) -> bool:
        """Whether there is room that no file needs any more."""
        return self._free.bytes > 0 or any(arena.has_dead for arena in self._arenas.values())

    def drop_free(self) -> list[Room]:
        """Forget the room that was kept for writes, and return it to ``punch``."""
        return self._free.drop_all()

    def punch(self, rooms: list[Room]) -> None:
        """Give room back to the disk. In a thread."""
        for number, start, end in rooms:
            if (arena := self._arenas.get(number)) is not None:
                arena.punch(start, end)

    def _sync_arena(self, arena: Arena) -> None:
        try:
            os.fdatasync(arena.descriptor)
            links = os.fstat(arena.descriptor).st_nlink
        except OSError as error:
            # An arena that was dropped meanwhile has been committed.
            if arena.number in self._arenas:
                arena.is_refused = True
                raise to_overlay_error("scratch", error) from error
            return
        if not links and arena.number in self._arenas:
            raise refuse_deleted()

    def _sync_names(self) -> None:
        try:
            sync_directory(self.directory)
        except OSError as error:
            self._has_new_name = True
            raise to_overlay_error("scratch", error) from error

    def _check_sound(self, arena: Arena) -> None:
        if arena.is_refused:
            raise StoreUnavailableError(
                f"scratch arena {arena.number}: the disk refused to keep it; write those files "
                "anew, or discard the changes"
            )

    # --- reading and writing ---------------------------------------------

    def write(self, extents: ExtentMap, run: Run | None, offset: int, data: Buffer) -> Run | None:
        """Write bytes of a file. OutOfSpaceError, and then nothing has changed.

        ``run`` is the room where the file's last write ended, as that write returned it.
        """
        hot = self._find_hot(extents, offset, offset + len(data))
        if hot is not None:
            self._arenas[hot.source].write(data, hot.offset)
            return run
        if not self._goes_on(run, offset):
            offset, data = self._widen(extents, offset, data)
        former, run = run, self._reserve(run, offset, len(data))
        arena = self._arenas[run.arena]
        try:
            arena.write(data, run.at)
        except VolfsError:
            if run is not former and (room := self._free.add(run.arena, run.at, run.end)):
                self.punch([room])
            raise
        arena.note_written(run.at, run.at + len(data))
        self.release(extents.write(offset, offset + len(data), run.arena, run.at))
        run.at += len(data)
        run.logical = offset + len(data)
        return run

    def truncate(self, extents: ExtentMap, run: Run | None, size: int) -> Run | None:
        """Cut a file, or extend it with zeros. Returns the room where its next write may go on, as
        ``write``."""
        self.release(extents.truncate(size))
        # Beyond the new end, the last block of the run may be dead now.
        return None if run is not None and run.logical > size else run

    def read(self, number: int, offset: int, length: int) -> Buffer:
        """Exactly ``length`` bytes. In any thread. DamagedObjectError."""
        return self._find(number).read(offset, length)

    def read_sound(self, number: int, offset: int, length: int) -> Buffer:
        """As ``read``, for bytes that are to be published. StoreUnavailableError if they may be
        wrong."""
        arena = self._find(number)
        self._check_sound(arena)
        return arena.read(offset, length)

    def release(self, pieces: Iterable[Piece]) -> None:
        """Note that replaced pieces do not need their room any more."""
        for piece in pieces:
            if (arena := self._arenas.get(piece.source)) is not None:
                arena.release(piece.offset, piece.offset + piece.end - piece.start)

    def _find(self, number: int) -> Arena:
        arena = self._arenas.get(number)
        if arena is None:
            raise DamagedObjectError(f"scratch arena {number}: it is gone")
        return arena

    def _is_open(self, number: int) -> bool:
        """Whether an arena may be written."""
        arena = self._arenas.get(number)
        return number > self._closed and arena is not None and not arena.is_refused

    def _find_hot(self, extents: ExtentMap, offset: int, end: int) -> Piece | None:
        """The piece that has these bytes already, if it is a single one and may be written
        over."""
        if end > extents.size:
            return None
        piece = next(extents.iter_pieces(offset, end))
        if piece.end != end or not self._is_open(piece.source):
            return None
        is_hot = self._arenas[piece.source].is_hot(piece.offset, piece.offset + end - offset)
        return piece if is_hot else None

    def _goes_on(self, run: Run | None, offset: int) -> bool:
        return run is not None and run.logical == offset and self._is_open(run.arena)

    def _widen(self, extents: ExtentMap, offset: int, data: Buffer) -> tuple[int, Buffer]:
        """The bytes to write, with the bytes beside them that scratch has in the same blocks of
        the file.

        Otherwise many small writes, each of them flushed, would each leave a block and a piece of
        its own.
        """
        end = offset + len(data)
        start, stop = floor_block(offset), min(ceil_block(end), extents.size)
        if start == offset and stop <= end:
            return offset, data
        before = list(takewhile(_is_own, reversed([*extents.iter_pieces(start, offset)])))
        after = list(takewhile(_is_own, extents.iter_pieces(end, stop)))
        if not before and not after:
            return offset, data
        try:
            heads, tails = map(self._read_pieces, (reversed(before), after))
        except DamagedObjectError:
            return offset, data  # A reader of these bytes gets the error.
        return offset - len(heads), b"".join((heads, data, tails))

    def _read_pieces(self, pieces: Iterable[Piece]) -> bytes:
        return b"".join(self.read(p.source, p.offset, p.end - p.start) for p in pieces)

    def _reserve(self, run: Run | None, offset: int, length: int) -> Run:
        """Room for ``length`` bytes, where the file's last write ended if possible.

        A run that goes on gets twice the room each time. Files that grow in turn then have few
        pieces each, and a scattered write takes only what it needs.
        """
        if run is None or not self._goes_on(run, offset):
            room = ceil_block(length)
        elif run.at + length <= run.end:
            return run
        else:
            room = ceil_block(max(length, min(2 * run.room, RUN_MAX)))
            if run.arena == self.current and run.end == self._end:
                run.end = self._end = self._end + room
                run.room += room
                return run
        return Run(*self._find_room(room), room, offset)

    def _find_room(self, length: int) -> tuple[int, int]:
        """Find fresh room for ``length`` bytes: the arena, and the offset in it."""
        found = self._free.take(length, self._closed)
        if found is not None and self._is_open(found[0]):
            return found
        if self.current in self._arenas and not self._is_open(self.current):
            self._next_arena()
        if self.current not in self._arenas:
            self._arenas[self.current] = self._create(self.current)
        start, self._end = self._end, self._end + length
        return self.current, start

    def _create(self, number: int) -> Arena:
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        try:
            descriptor = os.open(self._path(number), flags, 0o600)
        except OSError as error:
            raise to_overlay_error("scratch", error) from error
        self._has_new_name = True
        return Arena(number, descriptor)

    def _path(self, arena: int) -> Path:
        return arena_path(self.directory, arena)


def _is_own(piece: Piece) -> bool:
    return piece.source >= 0


def arena_path(directory: Path, arena: int) -> Path:
    return directory / f"{arena:08d}.arena"
