"""One arena: a sparse file of scratch, and what is known of its bytes.

Bytes that were flushed never change, and sums cover them. Bytes written since then are *hot*: the
next flush takes them. A block that no file needs any more loses its sum with a flush, and its room
after the flush.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from typing import NamedTuple

from volfs.errors import (
    DamagedObjectError,
    StoreDeniedError,
    StoreError,
    StoreReplacedError,
    StoreUnavailableError,
)
from volfs.model.block_sums import (
    NO_SUMS,
    BlockSums,
    add_sums,
    ceil_block,
    drop_sums,
    find_damage,
    floor_block,
    split_by_stretch,
)
from volfs.model.extents import STRETCH
from volfs.model.intervals import Intervals
from volfs.model.objects import Buffer
from volfs.store.refusals import to_store_error
from volfs.system.files import write_all
from volfs.system.libc import punch_hole

ArenaRanges = list[tuple[int, int]]


class Work(NamedTuple):
    """What a flush does to an arena: it sums the ``due`` ranges, and drops the sums of the
    ``dead`` ones."""

    arena: Arena
    due: ArenaRanges
    dead: ArenaRanges


class Arena:
    """The bytes of one arena, and the books about them.

    The thread of the mount writes and keeps the books. Any thread may read, and one at a time may
    sum up.
    """

    def __init__(self, number: int, descriptor: int) -> None:
        self.number = number
        self.descriptor = descriptor
        self.is_refused = False
        """Whether a sync of the arena has failed: the kernel may have dropped any byte of it."""
        self._hot = Intervals()
        """Ranges written since the last flush. Only these may be written over."""
        self._due = Intervals()
        """Ranges of a flush that failed. They are still to be summed, and are never written
        over."""
        self._released: ArenaRanges = []
        self._live: dict[int, Intervals] = {}
        """By stretch, the ranges that belong to some file."""
        self.live_bytes = 0
        self._sums: dict[int, BlockSums] = {}

    def close(self) -> None:
        descriptor, self.descriptor = self.descriptor, -1
        os.close(descriptor)

    # --- live, hot and dead bytes ----------------------------------------

    def restore(self, sums: dict[int, BlockSums], live: Iterable[tuple[int, int]]) -> ArenaRanges:
        """Take over what a former daemon recorded. Returns the blocks that no file needs."""
        self._sums = sums
        for start, end in live:
            self._keep(start, end)
        dead = list(self._find_dead(0, os.fstat(self.descriptor).st_size))
        for start, end in dead:
            for stretch, lo, hi in split_by_stretch(start, end):
                if stretch in sums:  # These sums are of files that had no name any more.
                    sums[stretch] = drop_sums(sums[stretch], lo, hi)
        return dead

    def note_written(self, start: int, end: int) -> None:
        """Note that fresh room has bytes of a file now."""
        self._hot.add(start, end)
        self._keep(start, end)

    def is_hot(self, start: int, end: int) -> bool:
        return self._hot.covers(start, end)

    def release(self, start: int, end: int) -> None:
        """Note that no file has these bytes any more."""
        self._released.append((start, end))
        self.live_bytes -= end - start
        for stretch, lo, hi in split_by_stretch(start, end):
            if live := self._live.get(stretch):
                live.remove(lo, hi)
                if not live:
                    del self._live[stretch]

    @property
    def has_dead(self) -> bool:
        """Whether bytes have died since the last flush."""
        return bool(self._released)

    def take(self, *, is_sealed: bool) -> Work | None:
        """The work of the next flush, for all since the last call. Nothing dies while the arena
        ``is_sealed``."""
        dead = Intervals()
        if not is_sealed:
            for start, end in self._released:
                for gap in self._find_dead(start, end):
                    dead.add(*gap)
            self._released = []
        due, self._hot, self._due = self._join_due(), Intervals(), Intervals()
        for start, end in dead:
            due.remove(start, end)
        return Work(self, list(due), list(dead)) if due or dead else None

    def give_back(self, work: Work) -> None:
        """Take back work that was not done, or may not have been done. It is still to be done."""
        self._released += work.dead
        for start, end in work.due:
            self._due.add(start, end)

    def settle(self, sums: dict[int, BlockSums]) -> None:
        """Take over sums that a flush has recorded."""
        for stretch, changed in sums.items():
            if changed == NO_SUMS:
                self._sums.pop(stretch, None)
            else:
                self._sums[stretch] = changed

    def _keep(self, start: int, end: int) -> None:
        self.live_bytes += end - start
        for stretch, lo, hi in split_by_stretch(start, end):
            if (live := self._live.get(stretch)) is None:
                live = self._live[stretch] = Intervals()
            live.add(lo, hi)

    def _join_due(self) -> Intervals:
        for start, end in self._hot:
            self._due.add(start, end)
        return self._due

    def _find_dead(self, start: int, end: int) -> Iterable[tuple[int, int]]:
        """The whole blocks around a range in which no file has a byte."""
        for stretch, lo, hi in split_by_stretch(floor_block(start), ceil_block(end)):
            for a, b in self._live.get(stretch, Intervals()).find_gaps(lo, hi):
                if (first := ceil_block(a)) < (last := floor_block(b)):
                    yield stretch * STRETCH + first, stretch * STRETCH + last

    # --- sums ------------------------------------------------------------

    def sum_up(self, work: Work) -> dict[int, BlockSums]:
        """The sums of stretches as they are after ``work``. In a thread. StoreUnavailableError.

        The bytes are read back, because the page cache still has those of a flush.
        """
        changed: dict[int, BlockSums] = {}
        for start, end in work.dead:
            for stretch, lo, hi in split_by_stretch(start, end):
                before = changed.get(stretch) or self._sums.get(stretch, NO_SUMS)
                changed[stretch] = drop_sums(before, lo, hi)
        for start, end in work.due:
            for stretch, lo, hi in split_by_stretch(start, end):
                before = changed.get(stretch) or self._sums.get(stretch, NO_SUMS)
                first = floor_block(lo)
                data = self._read_back(stretch * STRETCH + first, hi - first)
                changed[stretch] = add_sums(before, first, data)
        return {n: new for n, new in changed.items() if new != self._sums.get(n, NO_SUMS)}

    def _read_back(self, offset: int, length: int) -> bytes:
        try:
            data = os.pread(self.descriptor, length, offset)
        except OSError as error:
            raise to_overlay_error("scratch", error) from error
        if len(data) < length:
            raise StoreUnavailableError(f"scratch arena {self.number}: somebody has cut it off")
        return data

    # --- reading and writing ---------------------------------------------

    def read(self, offset: int, length: int) -> Buffer:
        """Exactly ``length`` bytes, as they were written. In any thread. DamagedObjectError."""
        start = floor_block(offset)
        try:
            data = os.pread(self.descriptor, ceil_block(offset + length) - start, start)
        except OSError as error:
            raise DamagedObjectError(f"scratch arena {self.number}: {error}") from error
        if start + len(data) < offset + length:  # The sparse end of an arena reads as zeros.
            raise DamagedObjectError(f"scratch arena {self.number}: cut off at {start + len(data)}")
        self._check(start, data)
        if len(data) == length:
            return data
        return memoryview(data)[offset - start : offset - start + length]

    def _check(self, start: int, data: bytes) -> None:
        view = memoryview(data)
        for stretch, lo, hi in split_by_stretch(start, start + len(data)):
            if sums := self._sums.get(stretch):
                at = stretch * STRETCH - start
                found = find_damage(sums, lo, view[at + lo : at + hi])
                if found is not None:
                    raise DamagedObjectError(
                        f"scratch arena {self.number}: damaged at {stretch * STRETCH + found}"
                    )

    def punch(self, start: int, end: int) -> None:
        """Give blocks back to the disk. It only saves room: a file system that cannot do so keeps
        them."""
        with suppress(OSError):
            punch_hole(self.descriptor, start, end)

    def write(self, data: Buffer, offset: int) -> None:
        """Write bytes. OutOfSpaceError, StoreUnavailableError; then any part of them may be
        written."""
        try:
            write_all(self.descriptor, data, offset)
        except OSError as error:
            raise to_overlay_error("scratch", error) from error


def refuse_deleted() -> StoreReplacedError:
    """The error if a part of the overlay has no name on the disk any more."""
    return StoreReplacedError(
        "the directory of the overlay was deleted or replaced: what is written has no place on "
        "the disk and ends with the mount; commit it, or copy it out of the mount"
    )


def to_overlay_error(what: str, error: OSError) -> StoreError:
    """The error of volfs for an error of the system about a part of the overlay.

    A daemon may do everything with its own files, so a denial means that the disk is in trouble.
    """
    refused = to_store_error(what, error)
    denied = isinstance(refused, StoreDeniedError)
    return StoreUnavailableError(str(refused)) if denied else refused
