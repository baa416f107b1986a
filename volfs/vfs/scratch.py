"""Scratch: the bytes of uncommitted writes, in one sparse file per generation, an *arena*.

A write goes to fresh room at the arena's end, or over the file's own bytes
where the same generation wrote them. A sealed arena is never written again; it
is deleted once everything in it has been committed.
"""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Collection
from pathlib import Path

from volfs.errors import DamagedObjectError, OutOfSpaceError, StoreUnavailableError, VolfsError
from volfs.model.extents import Piece
from volfs.model.objects import Buffer
from volfs.vfs.inode import File, Run

BLOCK = 4096
RUN_MAX = 1 << 20
_KEEP_SIZE, _PUNCH_HOLE = 1, 2
_libc = ctypes.CDLL(None, use_errno=True)


class Scratch:
    """The arenas of one session's directory. One thread writes; any may read."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.current = 0
        self._files: dict[int, int] = {}
        self._refused: set[int] = set()
        """Arenas that could not be synced: the kernel may have dropped any byte of them."""
        self._has_new_name = False
        self._end = 0
        self._released: list[Piece] = []

    # --- arenas ----------------------------------------------------------

    def open_arenas(self) -> None:
        """Open what a former daemon left; new writes go to an arena of their own."""
        for path in sorted(self.directory.glob("*.arena")):
            number = int(path.stem)
            self._files[number] = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            self.current = max(self.current, number)
        self.next_arena()

    def next_arena(self) -> int:
        """Seal the current arena; return its number. The next write makes a new one."""
        sealed = self.current
        self.current += 1
        self._end = 0
        return sealed

    def drop_arenas(self, last: int, keep: Collection[int]) -> None:
        """Delete the arenas up to ``last`` but ``keep``: nothing refers to them any more."""
        for number in [n for n in self._files if n <= last and n not in keep]:
            os.close(self._files.pop(number))
            self._path(number).unlink(missing_ok=True)

    def close(self) -> None:
        for descriptor in self._files.values():
            os.close(descriptor)
        self._files.clear()

    def sync(self, committed: int = 0) -> None:
        """Make what was written so far to arenas after ``committed`` durable. From any thread.

        An arena that failed once fails for ever: the kernel would call a second
        fdatasync a success. What is written from then on goes to another one.
        """
        for arena, descriptor in list(self._files.items()):
            if arena > committed:
                self._check_sound(arena)
                self._sync_arena(arena, descriptor)
        if self._has_new_name:
            self._has_new_name = False
            self._sync_names()

    def _sync_arena(self, arena: int, descriptor: int) -> None:
        try:
            os.fdatasync(descriptor)
        except OSError as error:
            if arena in self._files:  # else dropped meanwhile: it has been committed
                self._refused.add(arena)
                raise to_store_error("scratch", error) from error

    def _sync_names(self) -> None:
        try:
            sync_directory(self.directory)
        except OSError as error:
            self._has_new_name = True
            raise to_store_error("scratch", error) from error

    def _check_sound(self, arena: int) -> None:
        if arena in self._refused:
            raise StoreUnavailableError(
                f"scratch arena {arena}: the disk refused to keep it; write those files anew, "
                "or discard the changes"
            )

    # --- bytes -----------------------------------------------------------

    def write(self, file: File, offset: int, data: Buffer) -> None:
        """Put bytes of a materialised file. OutOfSpaceError, and then nothing changed."""
        extents = file.extents
        assert extents is not None, "only a materialised file is written"
        end = offset + len(data)
        if self.current in self._refused:
            self.next_arena()
        place = self._find_own(file, offset, end)
        if place is not None:
            self._pwrite(self.current, data, place)
            return
        run = self._reserve(file, offset, len(data))
        self._pwrite(self.current, data, run.at)
        self.release(extents.write(offset, end, self.current, run.at))
        run.at += len(data)
        run.logical = end

    def read(self, arena: int, offset: int, length: int) -> Buffer:
        """Exactly ``length`` bytes. From any thread."""
        try:
            data = os.pread(self._files[arena], length, offset)
        except (KeyError, OSError) as error:
            raise DamagedObjectError(f"scratch arena {arena}: {error}") from error
        if len(data) < length:  # the sparse end of an arena reads as zeros
            raise DamagedObjectError(f"scratch arena {arena}: cut off at {offset + len(data)}")
        return data

    def read_sound(self, arena: int, offset: int, length: int) -> Buffer:
        """As ``read``, for what is to be published. StoreUnavailableError where it may be wrong."""
        self._check_sound(arena)
        return self.read(arena, offset, length)

    def release(self, pieces: list[Piece]) -> None:
        """Note that replaced pieces need their room no more."""
        self._released += [piece for piece in pieces if piece.source == self.current]

    def take_released(self) -> list[Piece]:
        """What was released since the last call; for ``punch``."""
        released, self._released = self._released, []
        return released

    def punch(self, pieces: list[Piece]) -> None:
        """Give released room back to the disk, once no catalog record refers to it."""
        for piece in pieces:
            start = -(-piece.offset // BLOCK) * BLOCK
            end = (piece.offset + piece.end - piece.start) // BLOCK * BLOCK
            descriptor = self._files.get(piece.source)
            if end > start and descriptor is not None:
                _punch(descriptor, start, end - start)

    def _find_own(self, file: File, offset: int, end: int) -> int | None:
        """Where these bytes are already, if the current arena has them in one piece."""
        assert file.extents is not None
        if end > file.extents.size or self.current not in self._files:
            return None
        piece = next(file.extents.iter_pieces(offset, end))
        whole = piece.source == self.current and piece.end == end
        return piece.offset if whole else None

    def _reserve(self, file: File, offset: int, length: int) -> Run:
        """Room for ``length`` bytes, going on where the file's last write ended if it can."""
        run = file.run
        if (
            run is None
            or run.arena != self.current
            or run.logical != offset
            or run.at + length > run.end
        ):
            wanted = max(length, min(file.entry.size, RUN_MAX))
            room = -(-wanted // BLOCK) * BLOCK
            run = file.run = Run(self.current, self._end, self._end + room, offset)
            self._end += room
        return run

    def _pwrite(self, arena: int, data: Buffer, offset: int) -> None:
        try:
            descriptor = self._files.get(arena)
            if descriptor is None:
                descriptor = self._files[arena] = self._create(arena)
            view = memoryview(data)
            while view:
                written = os.pwrite(descriptor, view, offset)
                view, offset = view[written:], offset + written
        except OSError as error:
            raise to_store_error("scratch", error) from error

    def _create(self, arena: int) -> int:
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        descriptor = os.open(self._path(arena), flags, 0o600)
        self._has_new_name = True
        return descriptor

    def _path(self, arena: int) -> Path:
        return arena_path(self.directory, arena)


def arena_path(directory: Path, arena: int) -> Path:
    return directory / f"{arena:08d}.arena"


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _punch(descriptor: int, offset: int, length: int) -> None:
    """Free the blocks of a range. Only thrift: a file system that cannot keeps them."""
    _libc.fallocate(
        descriptor,
        _KEEP_SIZE | _PUNCH_HOLE,
        ctypes.c_int64(offset),
        ctypes.c_int64(length),
    )


def reserve_room(descriptor: int, size: int) -> None:
    """Have blocks for a file of ``size``, if the disk has them."""
    _libc.fallocate(descriptor, _KEEP_SIZE, ctypes.c_int64(0), ctypes.c_int64(size))


def to_store_error(what: str, error: OSError) -> VolfsError:
    """What the system refused to do with a part of the overlay."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return OutOfSpaceError(f"{what}: {error.strerror}")
    return StoreUnavailableError(f"{what}: {error}")
