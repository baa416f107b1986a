"""Requests for ranges of objects: each byte is fetched once, and wanted bytes come first.

A *flight* is one request, from the moment that somebody asks until its bytes are in memory. If
wanted bytes are on their way already, the reader waits for that flight. Wanted flights go first.
Flights of read-ahead go while there is memory for their bytes.
"""

from __future__ import annotations

import copy
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import NamedTuple

from volfs.buckets.cache.cache_file import CachedBytes
from volfs.buckets.cache.cache_layout import BLOCK, Content
from volfs.buckets.cache.parts import ArrivedPart, Parts
from volfs.errors import StoreTimeoutError, StoreUnavailableError
from volfs.model.objects import Buffer
from volfs.model.ranges import GAP, LONGEST, Range, cut_range, subtract

THREADS = 48
AHEAD = 10
"""The most flights of read-ahead at once, so that wanted ones seldom wait for a place."""
AHEAD_FIRST = LONGEST // 2
"""The most bytes of a flight of the first read-ahead of a reader, whose bytes come sooner."""
IDLE = 10.0


class FetchedObject(NamedTuple):
    """The object that a flight fetches from."""

    key: str
    etag: str | None
    content: Content


class Flight:
    """One request for a range of an object."""

    __slots__ = ("_bytes", "end", "is_flying", "is_wanted", "start", "target", "was_wanted")

    def __init__(self, target: FetchedObject, start: int, end: int, *, is_wanted: bool) -> None:
        self.target = target
        self.start = start
        self.end = end
        self.is_wanted = self.was_wanted = is_wanted
        """Whether somebody waits for the flight, and whether that was so when the flight was
        made."""
        self.is_flying = False
        """Whether it was decided which bytes to ask for."""
        self._bytes: Future[Buffer] = Future()

    def wait(self, seconds: float) -> Buffer:
        """The bytes of the flight. Each waiting thread gets the error, if there was one.
        StoreTimeoutError."""
        try:
            return self._bytes.result(seconds)
        except FutureTimeoutError as error:
            if self._bytes.done():
                raise
            raise StoreTimeoutError(
                f"{self.target.key}: the bytes from {self.start} on did not come in time"
            ) from error
        except Exception as error:
            # Each thread gets a copy, because threads would add to each other's tracebacks.
            raise copy.copy(error) from error

    def land(self, data: Buffer) -> None:
        self._bytes.set_result(data)

    def fail(self, error: BaseException) -> None:
        self._bytes.set_exception(error)


FetchBytes = Callable[[FetchedObject, int, int], Buffer]
"""Fetches the bytes of a target from one offset to another. It may wait, repeat, and raise."""


class Fetcher:
    """Flights of one bucket, and the parts that they brought. Thread-safe."""

    def __init__(
        self,
        fetch: FetchBytes,
        *,
        memory: int,
        count_slots: Callable[[], int] = lambda: THREADS,
        keep: Callable[[ArrivedPart], object] = lambda part: None,
        narrow: Callable[[FetchedObject, Range], Range | None] = lambda target, whole: whole,
        when_idle: Callable[[], object] = lambda: None,
    ) -> None:
        self._fetch = fetch
        self._memory = memory
        self._count_slots = count_slots
        self._keep = keep
        """Accepts a part to write it to the disk, if it can."""
        self._narrow = narrow
        """Returns the part of a range that is not cached yet, in one piece. None if all is
        cached."""
        self._when_idle = when_idle
        """Called when nothing has been asked for in some time."""
        self._turn = threading.Condition()
        self._parts = Parts(memory)
        self._flights: dict[Content, list[Flight]] = {}
        self._wanted: deque[Flight] = deque()
        self._ahead: deque[Flight] = deque()
        self._flying_size = 0
        """Bytes that are on their way."""
        self._flying = 0
        self._threads = 0
        self._idle = 0
        self._is_closed = False

    # --- asking ----------------------------------------------------------

    def find(self, content: Content, start: int, end: int) -> list[CachedBytes]:
        """Pieces that are in memory and have some of these bytes. The bytes count as read."""
        with self._turn:
            found = self._parts.find(content, start, end)
            self._pass_on()
        return found

    def join(
        self, target: FetchedObject, start: int, end: int
    ) -> tuple[list[CachedBytes], list[Flight]] | None:
        """The sources of these bytes, as ``want`` returns them, if nothing new has to be asked for.
        None if that is not so."""
        with self._turn:
            pieces = self._parts.find(target.content, start, end)
            there = [(at, at + len(data)) for at, data in pieces]
            near = self._find_flights(target, subtract([(start, end)], there))
            flights = [flight for flight in near if flight.is_flying]
            coming = [(flight.start, flight.end) for flight in flights]
            if subtract([(start, end)], there, coming):
                return None
            for flight in flights:
                self._promote(flight)
            self._pass_on()
        return pieces, flights

    def want(
        self, target: FetchedObject, ranges: Sequence[Range]
    ) -> tuple[list[CachedBytes], list[Flight]]:
        """The sources of these ranges: pieces that are in memory, and flights to wait for."""
        with self._turn:
            pieces = [p for one in ranges for p in self._parts.find(target.content, *one)]
            there = [(start, start + len(data)) for start, data in pieces]
            missing = subtract(ranges, there)
            flights = self._find_flights(target, missing)
            for flight in flights:
                self._promote(flight)
            new = self._add(target, missing, LONGEST, is_wanted=True)
        return pieces, flights + new

    def read_ahead(
        self, target: FetchedObject, ranges: Sequence[Range], longest: int = AHEAD_FIRST
    ) -> None:
        """Fetch these ranges when nothing wanted is in the way, by flights that are no longer than
        ``longest`` and end at its multiples. Nobody gets the errors."""
        with self._turn:
            there = [
                one for each in ranges for one in self._parts.list_there(target.content, *each)
            ]
            missing = [r for r in subtract(ranges, there) if not self._extend(target, *r)]
            self._add(target, missing, longest, is_wanted=False)

    def drop_ahead(self, content: Content) -> None:
        """Drop read-ahead of an object that nobody reads any more. Flights on their way still
        arrive."""
        with self._turn:
            self._drop_ahead(content)
            self._parts.forget(content)
            self._pass_on()

    def close(self) -> None:
        """End the threads when they are done. Flights that have not begun fail for those who
        wait."""
        with self._turn:
            self._is_closed = True
            waiting = [*self._wanted, *self._ahead]
            self._wanted.clear()
            self._ahead.clear()
            self._turn.notify_all()
        for flight in waiting:
            flight.fail(StoreUnavailableError(f"{flight.target.key}: the bucket was closed"))

    def _find_flights(self, target: FetchedObject, ranges: Sequence[Range]) -> list[Flight]:
        flights = self._flights.get(target.content, [])
        return [f for f in flights if any(f.start < end and start < f.end for start, end in ranges)]

    def _extend(self, target: FetchedObject, start: int, end: int) -> bool:
        """Add these bytes to the flight that is last in the queue, if they follow its own. Whether
        that was done."""
        last = self._ahead[-1] if self._ahead else None
        if last is None or last.target.content != target.content:
            return False
        if not last.end <= start <= last.end + GAP or end - last.start > AHEAD_FIRST:
            return False
        if self._find_flights(target, [(last.end, end)]):
            return False
        last.end = end
        return True

    def _promote(self, flight: Flight) -> None:
        """Make a flight wanted, because somebody waits for it from now on."""
        if flight.is_wanted:
            return
        flight.is_wanted = True
        if flight in self._ahead:
            self._ahead.remove(flight)
            self._wanted.append(flight)

    def _add(
        self, target: FetchedObject, ranges: Sequence[Range], longest: int, *, is_wanted: bool
    ) -> list[Flight]:
        if self._is_closed:
            raise StoreUnavailableError(f"{target.key}: the bucket was closed")
        flights = self._flights.setdefault(target.content, [])
        left = subtract(ranges, [(flight.start, flight.end) for flight in flights])
        new = [
            Flight(target, *part, is_wanted=is_wanted)
            for one in left
            for part in cut_range(one, longest, BLOCK if is_wanted else longest)
        ]
        flights.extend(new)
        if not flights:
            del self._flights[target.content]
        (self._wanted if is_wanted else self._ahead).extend(new)
        self._start_threads()
        return new

    def _start_threads(self) -> None:
        places = max(0, self._count_places() - self._flying)
        waiting = len(self._wanted) + min(len(self._ahead), places)
        for _ in range(min(waiting - self._idle, THREADS - self._threads)):
            self._threads += 1
            threading.Thread(target=self._run, name="fetch", daemon=True).start()
        self._turn.notify(waiting)

    # --- flying ----------------------------------------------------------

    def _run(self) -> None:
        flight = self._take()
        while flight is not None:
            try:
                self._fly(flight)
            finally:
                flight = self._take(is_back=True)
        if not self._threads:
            self._when_idle()

    def _take(self, *, is_back: bool = False) -> Flight | None:
        """The next flight. None if there was none for some time. ``is_back`` says that this thread
        has ended a flight."""
        with self._turn:
            self._flying -= is_back
            if not self._may_fly():
                self._idle += 1
                try:
                    found = self._turn.wait_for(self._may_fly, IDLE)
                finally:
                    self._idle -= 1
                if not found:
                    self._threads -= 1
                    return None
            if self._is_closed:
                self._threads -= 1
                return None
            self._flying += 1
            flight = (self._wanted or self._ahead).popleft()
            self._flying_size += flight.end - flight.start
            self._pass_on()
            return flight

    def _pass_on(self) -> None:
        """Wake a thread if there is something for it. It wakes the next one."""
        if self._idle and (self._wanted or self._ahead) and self._may_fly():
            self._turn.notify()

    def _may_fly(self) -> bool:
        if self._wanted or self._is_closed:
            return True
        if not self._ahead or self._flying >= self._count_places():
            return False
        held = self._flying_size + self._parts.unread_size
        return held + self._ahead[0].end - self._ahead[0].start <= self._memory or not held

    def _count_places(self) -> int:
        """How many flights there may be, so that read-ahead leaves places to others."""
        return min(AHEAD, max(1, self._count_slots() * 3 // 4))

    def _fly(self, flight: Flight) -> None:
        target = flight.target
        try:
            if not flight.is_wanted and not self._shorten(flight):
                return
            start, end = flight.start, flight.end
            flight.is_flying = True
            data = self._fetch(target, start, end)
        except BaseException as error:  # noqa: BLE001  it belongs to the threads that wait
            self._fail(flight, error)
            return
        part = ArrivedPart(target.content, start, data, is_read=flight.was_wanted)
        self._keep(part)
        with self._turn:
            self._parts.add(part)
            self._leave(flight)
        flight.land(data)

    def _shorten(self, flight: Flight) -> bool:
        """Leave out what is cached, unless the flight is wanted by now. Whether anything is
        left."""
        left = self._narrow(flight.target, (flight.start, flight.end))
        with self._turn:
            if flight.is_wanted:
                return True
            if left is None:
                self._leave(flight)
                return False
            self._flying_size -= flight.end - flight.start - (left[1] - left[0])
            flight.start, flight.end = left
            return True

    def _fail(self, flight: Flight, error: BaseException) -> None:
        with self._turn:
            self._leave(flight)
            # Read-ahead would fail, too, each flight after a while.
            self._drop_ahead(flight.target.content)
        flight.fail(error)

    def _leave(self, flight: Flight) -> None:
        content = flight.target.content
        flights = self._flights[content]
        flights.remove(flight)
        if not flights:
            del self._flights[content]
        self._flying_size -= flight.end - flight.start

    def _drop_ahead(self, content: Content) -> None:
        dropped = [flight for flight in self._ahead if flight.target.content == content]
        if dropped:
            self._ahead = deque(f for f in self._ahead if f.target.content != content)
            flights = self._flights[content]
            flights[:] = [flight for flight in flights if flight not in dropped]
            if not flights:
                del self._flights[content]
