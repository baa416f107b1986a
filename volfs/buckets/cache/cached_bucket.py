"""Objects of a bucket, read through memory and the disk cache, with read-ahead.

An open object is that of one moment. Each request asks for its ETag, so that bytes of another
object never come in between. A replaced object can still be read as far as it is cached; beyond
that, a read is an ObjectChangedError.
"""

from __future__ import annotations

import os
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Protocol

from volfs.buckets.access import Bucket
from volfs.buckets.cache.cache_file import CachedBytes
from volfs.buckets.cache.cache_layout import BLOCK, SEGMENT, Content, make_content
from volfs.buckets.cache.cache_writer import CacheWriter
from volfs.buckets.cache.disk_cache import DiskCache
from volfs.buckets.cache.fetcher import AHEAD_FIRST, FetchedObject, Fetcher, Flight
from volfs.buckets.cache.parts import ArrivedPart, Assembly
from volfs.buckets.calls import DEADLINE
from volfs.buckets.objects import ObjectInfo
from volfs.buckets.wire import SLABS
from volfs.errors import StoreError, StoreUnavailableError
from volfs.model.objects import Buffer
from volfs.model.ranges import (
    LAST_WINDOW,
    LONGEST,
    MIB,
    Range,
    ReadAhead,
    join_ranges,
    round_out,
    subtract,
)

MEMORY = 48 * MIB
_IMMUTABLE = "immutable"
"""Stands for the ETag of an object that never changes."""
_DRAIN = 5.0
"""The most seconds to wait for what is on its way to the disk."""
_TRIES = 3
"""Attempts to get a body that comes too short."""


class CacheSource(Protocol):
    """What the cache needs of a bucket."""

    def get_range(self, key: str, offset: int, length: int, *, etag: str | None = None) -> Buffer:
        """A range of an object. ObjectChangedError if the key's object has another ETag."""


class CachedBucket:
    """Opens objects of one bucket. Thread-safe. ``place`` names the bucket for the disk cache, as
    no other bucket is named.

    Other processes find nothing that was cached without a place, or of objects without an ETag.
    ``prefix`` is what the bucket puts before each key. ``open_cached_bucket`` makes one.
    """

    def __init__(
        self,
        bucket: CacheSource,
        disk: DiskCache,
        *,
        place: str | None = None,
        prefix: str = "",
        memory: int = MEMORY,
        deadline: float = DEADLINE,
        count_slots: Callable[[], int] = lambda: 16,
    ) -> None:
        self._bucket = bucket
        self.disk = disk
        self._place = place if place is not None else f"only-here:{secrets.token_hex(16)}"
        self._prefix = prefix
        self._memory = memory
        self.deadline = deadline * 1.5
        """Seconds that a read waits. They are longer than a request may take, because its error
        says more."""
        self._process = os.getpid()
        self.fetcher = Fetcher(
            self._fetch,
            memory=memory,
            count_slots=count_slots,
            keep=self._keep,
            narrow=self._narrow,
            when_idle=SLABS.clear,
        )
        self.writer = CacheWriter(disk)
        self._lock = threading.Lock()
        self._users: Counter[Content] = Counter()
        self._streams = 0
        self.fetched = 0
        """How many bytes came from the bucket."""

    def open(self, info: ObjectInfo, *, is_immutable: bool = False) -> CachedObject:
        """Open the object as it was when ``info`` was made. Nothing is asked of the bucket before
        a read.

        An object that never changes, and whose key no other object will have, is asked for without
        its ETag.
        """
        self.check_process()
        etag = None if is_immutable else info.etag or None
        said = _IMMUTABLE if is_immutable else etag or f"none:{secrets.token_hex(16)}"
        target = FetchedObject(info.key, etag, self._name(info, said))
        with self._lock:
            self._users[target.content] += 1
        return CachedObject(self, target)

    def keep(self, info: ObjectInfo, data: Buffer, offset: int = 0) -> None:
        """Keep bytes of an object that was written just now, so that nobody needs to fetch them.

        ``offset`` is a multiple of 64 KiB. The bytes end at another multiple, or at the object's
        end.
        """
        content, end = self._name(info, info.etag), offset + len(data)
        if info.etag and len(data) and not offset % BLOCK and (end == info.size or not end % BLOCK):
            self.writer.offer(ArrivedPart(content, offset, data, is_read=True))

    def write(self, info: ObjectInfo, data: Buffer) -> bool:
        """Write an immutable object that was put just now to the disk cache. Whether it is there.

        Waits for the disk.
        """
        content, view = self._name(info, _IMMUTABLE), memoryview(data)
        return all(
            self.disk.write(content, at, view[at : at + SEGMENT])
            for at in range(0, len(view), SEGMENT)
        )

    def _name(self, info: ObjectInfo, etag: str) -> Content:
        return make_content(self._place, self._prefix + info.key, etag, info.size)

    def close(self) -> None:
        """End the threads. From now on, reads of bytes that are not cached are errors."""
        if os.getpid() == self._process:
            self.fetcher.close()
            self.writer.close()

    def check_process(self) -> None:
        """Raise StoreError in a forked child, which has none of the threads."""
        if os.getpid() != self._process:
            raise StoreError("a bucket that was opened before a fork; the child opens it anew")

    # --- for the objects -------------------------------------------------

    def choose_window(self) -> int:
        """The longest window of a stream. All streams together may use two thirds of the memory, so
        that their bytes are still there when they are read."""
        return min(LAST_WINDOW, self._memory * 2 // 3 // max(1, self._streams))

    def add_streams(self, change: int) -> None:
        """Change the number of streams that are read ahead."""
        with self._lock:
            self._streams += change

    def forget(self, target: FetchedObject) -> None:
        """Count one user of an object less. After the last one nothing is read ahead."""
        with self._lock:
            self._users[target.content] -= 1
            if self._users[target.content]:
                return
            del self._users[target.content]
        self.fetcher.drop_ahead(target.content)

    def fetch_anew(self, target: FetchedObject, start: int, end: int) -> None:
        """Fetch a range past every cache, and put it into the disk cache in the place of what was
        cached. ``start`` and ``end`` are where blocks begin or the object ends."""
        data = self._fetch(target, start, end)
        self.writer.drain(_DRAIN)  # What is on its way to the disk is as wrong.
        self.fetcher.drop_ahead(target.content)
        self.disk.write(target.content, start, data)

    # --- for the fetcher -------------------------------------------------

    def _fetch(self, target: FetchedObject, start: int, end: int) -> Buffer:
        for _ in range(_TRIES):
            data = self._bucket.get_range(target.key, start, end - start, etag=target.etag)
            if len(data) == end - start:
                with self._lock:
                    self.fetched += len(data)
                return data
        raise StoreUnavailableError(
            f"{target.key}: {len(data)} bytes came instead of {end - start}, {_TRIES} times"
        )

    def _keep(self, part: ArrivedPart) -> bool:
        return self.writer.offer(part)

    def _narrow(self, target: FetchedObject, whole: Range) -> Range | None:
        """The range from the first byte that is not on the disk to the last one. None if all
        are."""
        missing = subtract([whole], self.disk.list_present(target.content, *whole))
        return (missing[0][0], missing[-1][1]) if missing else None


def open_cached_bucket(bucket: Bucket, disk: DiskCache | None = None) -> CachedBucket:
    """Make one over the disk cache that all processes of this user share. InvalidError for the
    cache's size."""
    return CachedBucket(
        bucket,
        DiskCache() if disk is None else disk,
        place=bucket.door.identify(),
        prefix=bucket.prefix,
        deadline=bucket.deadline,
        count_slots=lambda: bucket.slots,
    )


class CachedObject:
    """One open object. Thread-safe."""

    def __init__(self, bucket: CachedBucket, target: FetchedObject) -> None:
        self._bucket = bucket
        self._target = target
        self._ahead = ReadAhead(target.content.size)
        self._streams = 0
        self._lock = threading.Lock()
        self._is_open = True
        self._is_scattered = False

    @property
    def size(self) -> int:
        return self._target.content.size

    def read_at(self, offset: int, length: int) -> Buffer:
        """The bytes from ``offset`` on; fewer than ``length`` only at the end.

        ObjectChangedError if the object was replaced and these bytes are not cached.
        ObjectNotFoundError. StoreError.
        """
        self._bucket.check_process()
        end = min(offset + length, self.size)
        if offset >= end:
            return b""
        self._read_ahead(offset, end)
        data = self._find(offset, end, waits=True)
        return self._fetch(offset, end) if data is None else data

    def read_ready(self, offset: int, length: int) -> Buffer | None:
        """As ``read_at``, but only from memory and the page cache. None if the read would have to
        wait."""
        self._bucket.check_process()
        end = min(offset + length, self.size)
        if offset >= end:
            return b""
        data = self._find(offset, end, waits=False)
        if data is not None:
            self._read_ahead(offset, end)
        return data

    def expect_scattered(self) -> None:
        """Expect scattered reads: from now on only what is asked for is read ahead."""
        self._is_scattered = True

    def prefetch(self, offset: int, length: int) -> None:
        """Begin to fetch these bytes, which will be wanted soon. No errors: a read of the bytes
        gets them."""
        end = min(offset + length, self.size)
        if offset < end:
            self._ask_ahead((offset, end))

    def fetch_anew(self, offset: int, length: int) -> None:
        """Fetch these bytes once more, past every cache, because what was cached is wrong."""
        whole = round_out(offset, offset + length, self.size, BLOCK)
        self._bucket.fetch_anew(self._target, *whole)

    def close(self) -> None:
        """End read-ahead. May be called again."""
        with self._lock:
            was_open, self._is_open = self._is_open, False
            self._bucket.add_streams(-self._streams)
            self._streams = 0
        if was_open:
            self._bucket.forget(self._target)

    # --- inside ----------------------------------------------------------

    def _find(self, start: int, end: int, *, waits: bool) -> Buffer | None:
        found = Assembly(start, end)
        for piece in self._bucket.fetcher.find(self._target.content, start, end):
            found.add(*piece)
        whole = found.find_whole()
        if whole is None:
            whole = self._bucket.disk.read(self._target.content, start, end, waits=waits)
        return whole

    def _fetch(self, start: int, end: int) -> Buffer:
        """The bytes, from the disk as far as it has them, and the rest from the bucket."""
        found, fetcher = Assembly(start, end), self._bucket.fetcher
        # Bytes that are on their way already need no look at the disk.
        sources = fetcher.join(self._target, start, end) or self._ask(found)
        pieces, flights = sources
        for piece in pieces:
            found.add(*piece)
        until = time.monotonic() + self._bucket.deadline
        for flight in flights:
            found.add(flight.start, flight.wait(max(0.0, until - time.monotonic())))
        if flights:
            fetcher.find(self._target.content, start, end)  # The bytes count as read.
        whole = found.find_whole()
        assert whole is not None, "what was asked for did not come"
        return whole

    def _ask(self, found: Assembly) -> tuple[list[CachedBytes], list[Flight]]:
        """Add what the disk has. Returns the sources of the rest."""
        content = self._target.content
        for piece in self._bucket.disk.read_present(content, found.start, found.end):
            found.add(*piece)
        gaps = [round_out(*gap, self.size, BLOCK) for gap in found.list_gaps()]
        sources = self._bucket.fetcher.want(self._target, _join(gaps))
        with self._lock:
            if any(flight.was_wanted for flight in sources[1]):
                self._ahead.note_lost(found.start)
        return sources

    def _read_ahead(self, start: int, end: int) -> None:
        if self._is_scattered:
            return
        with self._lock:
            window = self._ahead.note_read(start, end, self._bucket.choose_window())
            change = self._ahead.count_streams() - self._streams
            if change and self._is_open:
                self._bucket.add_streams(change)
                self._streams += change
        if window is not None and self._is_open:
            self._ask_ahead(window, AHEAD_FIRST if change > 0 else LONGEST)

    def _ask_ahead(self, window: Range, longest: int = AHEAD_FIRST) -> None:
        # A fetching thread leaves out what is on the disk, because this thread may not wait for
        # the disk.
        whole = round_out(*window, self.size, BLOCK)
        self._bucket.fetcher.read_ahead(self._target, [whole], longest)


def _join(ranges: Sequence[Range]) -> list[Range]:
    """The ranges with the gaps between neighbours. The fetcher cuts ranges that are too long."""
    return join_ranges(ranges, longest=1 << 62)
