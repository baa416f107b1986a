"""Ranges of bytes to fetch: joined, cut, without what is there; and what to read ahead.

Pure; ``tests/model`` holds it against sets of bytes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from volfs.model.intervals import Intervals

Range = tuple[int, int]
"""From the first byte up to the one behind the last; never empty."""

MIB = 1 << 20
GAP = 256 << 10
"""Neighbours that are not farther apart are asked for together: a request costs more."""
LONGEST = 8 * MIB
"""Of one request."""
STREAMS = 8
"""So many places of one file may be read in sequence at the same time."""
FIRST_WINDOW, LAST_WINDOW = 16 * MIB, 128 * MIB


def round_out(start: int, end: int, size: int, block: int) -> Range:
    """The range that begins and ends where blocks do, or at the end of what has ``size``."""
    return start // block * block, min(size, -(-end // block) * block)


def join_ranges(
    ranges: Iterable[Range], *, gap: int = GAP, longest: int = LONGEST, cut_at: int = 1
) -> list[Range]:
    """The requests that bring all of these ranges, in their order.

    Neighbours become one if what is between them is no longer than ``gap``, and the whole
    no longer than ``longest``. What is longer is cut, at multiples of ``cut_at``.
    """
    joined: list[Range] = []
    for start, end in Intervals(ranges):
        if joined and start - joined[-1][1] <= gap and end - joined[-1][0] <= longest:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    return [part for one in joined for part in cut_range(one, longest, cut_at)]


def cut_range(whole: Range, longest: int, cut_at: int = 1) -> list[Range]:
    """Parts of a range, none longer than ``longest``; cut at multiples of ``cut_at``."""
    start, end = whole
    parts = []
    while end - start > longest:
        cut = max((start + longest) // cut_at * cut_at, start + 1)
        parts.append((start, cut))
        start = cut
    return [*parts, (start, end)]


def subtract(wanted: Iterable[Range], *there: Iterable[Range]) -> list[Range]:
    """What is left of the wanted ranges without those that are there, or on their way."""
    known = Intervals(one for ranges in there for one in ranges)
    left = Intervals(wanted)
    return [gap for start, end in left for gap in known.find_gaps(start, end)]


@dataclass(slots=True)
class _Stream:
    """One place that moves on through a file."""

    at: int
    """Where the next read is expected."""
    window: int = FIRST_WINDOW
    ahead: int = 0
    """What was asked for ends here; 0 until a second read followed the first."""


class ReadAhead:
    """What to read ahead in one file, told by the reads of it. Not thread-safe.

    Only who reads on from where a read ended gets anything. The window doubles each time
    that it is moved, up to the limit; it is moved when half of it has been read. What is asked for
    then ends where requests of the greatest length end.
    """

    __slots__ = ("_size", "_streams")

    def __init__(self, size: int) -> None:
        self._size = size
        self._streams: list[_Stream] = []
        """The one that was read last is last."""

    def count_streams(self) -> int:
        """How many places are read ahead at present."""
        return sum(stream.ahead > 0 for stream in self._streams)

    def note_read(self, start: int, end: int, limit: int = LAST_WINDOW) -> Range | None:
        """Take notice of a read. The range to ask for ahead, if it is time for it.

        ``limit`` is the longest window. What is ahead ends no farther than that from ``end``.
        """
        stream = self._find_stream(start, end)
        if stream is None:
            self._streams.append(_Stream(end))
            del self._streams[:-STREAMS]
            return None
        if end <= stream.at:
            return None  # the same again, or one of several that were sent at once
        stream.at = end
        return self._move(stream, limit)

    def note_lost(self, start: int) -> None:
        """What was asked for is not there: the next read of a stream asks again from there."""
        for stream in self._streams:
            if start <= stream.ahead and abs(start - stream.at) <= stream.window:
                stream.ahead = min(stream.ahead, stream.at)

    def _find_stream(self, start: int, end: int) -> _Stream | None:
        """The one that this read goes on with. Reads of one stream may come in any order."""
        slack = 4 * (end - start)
        near = [one for one in self._streams if abs(start - one.at) <= slack]
        found = min(near, key=lambda one: abs(start - one.at), default=None)
        if found is not None:
            self._streams.remove(found)
            self._streams.append(found)
        return found

    def _move(self, stream: _Stream, limit: int) -> Range | None:
        window = min(stream.window, limit)
        start, end = max(stream.at, stream.ahead), stream.at + window
        if stream.ahead and window >= 2 * LONGEST:
            end -= end % LONGEST  # Otherwise the last request would be a short one.
        end = min(self._size, end)
        if end <= start or (stream.ahead - stream.at) * 2 > window:
            return None
        stream.ahead = end
        stream.window = min(2 * window, max(limit, FIRST_WINDOW), LAST_WINDOW)
        return start, end
