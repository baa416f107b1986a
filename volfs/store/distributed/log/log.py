"""One log: lines are appended by number, and read in order.

A line is an object that is created and never overwritten, except by its own slim form. So a
number is never free again, and what a reader has seen stays true:

N1  Numbers have no gaps.
N2  Whoever writes line k has read line k - 1: it has the digest of that line as its ``prev``.
N3  A nonce is sent to one number only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import chain, repeat

from volfs.buckets.access import Bucket
from volfs.errors import DamagedObjectError, ObjectNotFoundError
from volfs.model.logs.line import NO_LINE, NONCE_SIZE, Line, digest_line
from volfs.model.objects import Buffer
from volfs.store.distributed.log.appending import (
    Appending,
    Doubts,
    decode_named,
)
from volfs.store.distributed.place.object_keys import LogPlace

NO_NUMBER = -1
"""The number before that of the first line."""
WAVES = (1, 1, 2)
WAVE = 4
"""How many lines are asked for at once: few at first, because there are few most of the time."""
DISTANCES = (1, 2, 4, 8, 16, 32, 64)
"""Where the end of a log is looked for, counted from a line that is known."""


class Log:
    """One log of a store. Thread-safe. One process has one ``Log`` for each log, because it
    remembers the appends of which it does not know the result."""

    def __init__(self, bucket: Bucket, place: LogPlace, seconds: float | None = None) -> None:
        self.place = place
        self._bucket = bucket
        self._world = bucket.world
        self._seconds = bucket.deadline if seconds is None else seconds
        self._doubts = Doubts()

    def __repr__(self) -> str:
        return f"<Log {self.place.lines}>"

    @property
    def doubts(self) -> frozenset[int]:
        """The numbers to which this process has sent lines, and does not know whether they are
        there."""
        return self._doubts.numbers

    # --- writing -------------------------------------------------------------------

    def make_line(self, prev: bytes, era: int, body: bytes, records: Buffer = b"") -> Line:
        """A new line, with a nonce of its own. ``prev`` is the digest of the line before."""
        return Line(self._world.random_bytes(NONCE_SIZE), prev, era, body, records)

    def append(self, number: int, line: Line) -> Line:
        """Try to make ``line`` the line of this number, and return the line that has it.

        It is ours if it has our nonce. If not, another writer was first: read on, and decide anew
        with a new line. Each line may be handed to ``append`` once.

        StoreUncertainError if nobody could find out whether the line is there; a later append
        finds out first. After any other error the line is not there, and will not be.
        """
        if number < 0 or (number == 0) != (line.prev == NO_LINE):
            raise ValueError(
                f"{self.place.lines}: a line {number} that follows no line {number - 1}"
            )
        return Appending(self._bucket, self.place, number, line, self._seconds, self._doubts).run()

    # --- reading -------------------------------------------------------------------

    def find_line(self, number: int) -> Line | None:
        """The line of this number, or None. DamagedObjectError; StoreError."""
        return self._read(number)

    def read_after(self, number: int, digest: bytes | None = None) -> Iterator[tuple[int, Line]]:
        """The lines after ``number``, up to the end, with their numbers.

        ``digest`` is that of the line ``number``, if it is known; then the first line read must
        follow it. DamagedObjectError for a line that does not follow its predecessor, and for a
        gap. StoreError.
        """
        for size in chain(WAVES, repeat(WAVE)):
            lines = self._read_wave(number + 1, size)
            for line in lines:
                number, digest = number + 1, self._follow(number + 1, line, digest)
                yield number, line
            if len(lines) < size:
                return

    def read_to_end(self, number: int, digest: bytes | None = None) -> Iterator[tuple[int, Line]]:
        """As ``read_after``, in fewer round trips if the end is far, and with more requests if it
        is near."""
        is_far = True
        while is_far:
            found = self._look_ahead(number)
            last = max(found, default=number)
            is_far = last - number == DISTANCES[-1]
            for line in self._fill(number + 1, last, found):
                number, digest = number + 1, self._follow(number + 1, line, digest)
                yield number, line
        yield from self.read_after(number, digest)

    def find_checkpoint(self) -> int | None:
        """The number of the line after which the newest checkpoint was made. None if there is
        none."""
        page = self._bucket.list_page(self.place.checkpoints, limit=1)
        for info in page.objects:
            return self.place.find_checkpoint_number(info.key)
        return None

    # --- inside --------------------------------------------------------------------

    def _read_wave(self, first: int, size: int) -> list[Line]:
        """Up to ``size`` lines from ``first`` on, all asked for at once."""
        lines = self._read_many(range(first, first + size))
        while lines and lines[-1] is None:
            lines.pop()
        return [self._insist(first + at, line) for at, line in enumerate(lines)]

    def _look_ahead(self, number: int) -> dict[int, Line]:
        """Those lines that are there at ``DISTANCES`` from a number."""
        places = [number + distance for distance in DISTANCES]
        lines = zip(places, self._read_many(places), strict=True)
        return {at: line for at, line in lines if line is not None}

    def _fill(self, first: int, last: int, found: dict[int, Line]) -> Iterator[Line]:
        """The lines from ``first`` to ``last``, of which some were found already."""
        wanted = [number for number in range(first, last + 1) if number not in found]
        lines = dict(zip(wanted, self._read_many(wanted), strict=True))
        for number in range(first, last + 1):
            yield self._insist(number, found.get(number) or lines[number])

    def _insist(self, number: int, line: Line | None) -> Line:
        """The line, which is there because a later one is. It was asked for at the same time as
        the later one, and may have been written in between."""
        line = line or self._read(number)
        if line is None:
            raise DamagedObjectError(
                f"{self.place.line(number)}: the line is gone, and a later one is there"
            )
        return line

    def _follow(self, number: int, line: Line, digest: bytes | None) -> bytes:
        """The digest of a line that must follow the line with ``digest``."""
        if digest not in (None, line.prev) or (number == 0) != (line.prev == NO_LINE):
            raise DamagedObjectError(
                f"{self.place.line(number)}: the line does not follow the one before it"
            )
        return digest_line(line)

    def _read_many(self, numbers: Sequence[int]) -> list[Line | None]:
        return self._world.gather([partial(self._read, number) for number in numbers])

    def _read(self, number: int) -> Line | None:
        """A line, or None. One that comes damaged is asked for once more."""
        try:
            return self._get(number)
        except DamagedObjectError:
            return self._get(number)

    def _get(self, number: int) -> Line | None:
        key = self.place.line(number)
        try:
            _, data = self._bucket.get(key)
        except ObjectNotFoundError:
            return None
        return decode_named(key, data)
