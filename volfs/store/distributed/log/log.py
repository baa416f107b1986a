"""One log: lines are appended by number, and read in order.

A line is an object that is created and never overwritten, except by its own slim form. So a
number is never free again, and what a reader has seen stays true:

N1  Numbers have no gaps.
N2  Whoever writes line k has read line k - 1: it has the digest of that line as its ``prev``.
N3  A nonce is sent to one number only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
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
from volfs.store.distributed.place.object_keys import LAST_NUMBER, LogPlace

NO_NUMBER = -1
"""The number before that of the first line."""
WAVES = (1, 1, 2)
WAVE = 4
"""How many lines are asked for at once: few at first, because there are few most of the time."""
DISTANCES = (1, 2, 4, 16, 64)
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

    def now(self) -> float:
        """Seconds by a clock of this process."""
        return self._world.now()

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
        return self._check(self.iter_after(number), digest)

    def read_to_end(self, number: int, digest: bytes | None = None) -> Iterator[tuple[int, Line]]:
        """As ``read_after``, in fewer round trips if the end is far, and with more requests if it
        is near."""
        return self._check(self.iter_to_end(number), digest)

    def iter_after(self, number: int) -> Iterator[tuple[int, Line]]:
        """As ``read_after``. Whoever asks checks that each line follows the one before it."""
        for size in chain(WAVES, repeat(WAVE)):
            lines = self._read_wave(number + 1, size)
            for line in lines:
                number += 1
                yield number, line
            if len(lines) < size:
                return

    def find_near(self, number: int) -> Iterable[tuple[int, Line]] | None:
        """The line ``number`` and those after it, for a reader that was there not long ago. None if
        the line is gone, or if so many lines have come since that a checkpoint is better.

        Whoever asks checks that each line follows the one before it. DamagedObjectError;
        StoreError.
        """
        line, after = self._read_many((number, number + 1))
        if line is None:
            return None
        near = [(number, line)]
        if after is None:
            return near
        near.append((number + 1, after))
        after, far = self._read_many((number + 2, number + DISTANCES[-1]))
        if far is not None:
            return None
        return near if after is None else chain(near, self.iter_to_end(number + 1))

    def iter_to_end(self, number: int) -> Iterator[tuple[int, Line]]:
        """As ``read_to_end``. Whoever asks checks that each line follows the one before it.

        Each wave looks ahead, and asks for what lies between the lines that the wave before has
        found. So the number of waves grows with the logarithm of what is read.
        """
        found: dict[int, Line] = {}
        absent = LAST_NUMBER
        while True:
            last = max(found, default=number)
            ahead = [last + distance for distance in DISTANCES if last + distance < absent]
            wanted = [each for each in range(number + 1, last) if each not in found] + ahead
            lines = dict(zip(wanted, self._read_many(wanted), strict=True))
            found |= {each: line for each, line in lines.items() if line is not None}
            for each in range(number + 1, last + 1):
                yield each, self._insist(each, found.pop(each, None))
            if not found:
                return
            number, end = last, max(found)
            absent = min((each for each in ahead if each > end), default=LAST_NUMBER)

    # --- inside --------------------------------------------------------------------

    def _read_wave(self, first: int, size: int) -> list[Line]:
        """Up to ``size`` lines from ``first`` on, all asked for at once."""
        lines = self._read_many(range(first, first + size))
        while lines and lines[-1] is None:
            lines.pop()
        return [self._insist(first + at, line) for at, line in enumerate(lines)]

    def _insist(self, number: int, line: Line | None) -> Line:
        """The line, which is there because a later one is. It was asked for at the same time as
        the later one, and may have been written in between."""
        line = line or self._read(number)
        if line is None:
            raise DamagedObjectError(
                f"{self.place.line(number)}: the line is gone, and a later one is there"
            )
        return line

    def _check(
        self, lines: Iterable[tuple[int, Line]], digest: bytes | None
    ) -> Iterator[tuple[int, Line]]:
        """The lines, each of which must follow the one before it, the first one ``digest``."""
        for number, line in lines:
            if digest not in (None, line.prev) or (number == 0) != (line.prev == NO_LINE):
                raise DamagedObjectError(
                    f"{self.place.line(number)}: the line does not follow the one before it"
                )
            digest = digest_line(line)
            yield number, line

    def _read_many(self, numbers: Sequence[int]) -> list[Line | None]:
        reads = [partial(self._read, number) for number in numbers]
        return self._world.gather(reads) if reads else []

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
