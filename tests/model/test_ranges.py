"""Ranges to fetch against sets of bytes, and windows of read-ahead against what was read."""

from __future__ import annotations

import random
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from volfs.model.ranges import (
    FIRST_WINDOW,
    LAST_WINDOW,
    LONGEST,
    MIB,
    STREAMS,
    Range,
    ReadAhead,
    cut_range,
    join_ranges,
    round_out,
    subtract,
)

RANGE = st.tuples(st.integers(0, 200), st.integers(1, 60)).map(lambda r: (r[0], r[0] + r[1]))
RANGES = st.lists(RANGE, max_size=12)
KIB = 1024


def members(ranges: list[Range]) -> set[int]:
    return {byte for start, end in ranges for byte in range(start, end)}


@given(RANGES, st.integers(0, 30), st.integers(1, 50), st.integers(1, 9))
def test_requests_bring_all_that_is_wanted_and_little_else(
    ranges: list[Range], gap: int, longest: int, cut_at: int
) -> None:
    requests = join_ranges(ranges, gap=gap, longest=longest, cut_at=cut_at)
    wanted, brought = members(ranges), members(requests)
    assert wanted <= brought
    assert len(brought) == sum(end - start for start, end in requests), "no byte comes twice"
    assert all(0 < end - start <= longest for start, end in requests)
    extra = sorted(brought - wanted)
    runs = [n for n, byte in enumerate(extra) if n == 0 or extra[n - 1] != byte - 1]
    assert all(b - a <= gap for a, b in pairwise([*runs, len(extra)]))
    assert requests == sorted(requests)


@given(RANGES, st.integers(0, 30))
def test_neighbours_are_asked_for_together(ranges: list[Range], gap: int) -> None:
    requests = join_ranges(ranges, gap=gap, longest=10_000)
    assert all(b[0] - a[1] > gap for a, b in pairwise(requests))


@given(RANGE, st.integers(1, 50), st.integers(1, 9))
def test_cuts_are_where_they_were_asked_for(whole: Range, longest: int, cut_at: int) -> None:
    parts = cut_range(whole, longest, cut_at)
    assert parts[0][0] == whole[0]
    assert parts[-1][1] == whole[1]
    assert all(a[1] == b[0] for a, b in pairwise(parts))
    if cut_at < longest:
        assert all(part[0] % cut_at == 0 for part in parts[1:])


@given(RANGES, RANGES, RANGES)
def test_what_is_there_or_on_its_way_is_not_asked_for(
    wanted: list[Range], there: list[Range], on_its_way: list[Range]
) -> None:
    left = subtract(wanted, there, on_its_way)
    assert members(left) == members(wanted) - members(there) - members(on_its_way)
    assert all(a[1] < b[0] for a, b in pairwise(left))


@given(RANGE, st.integers(1, 300), st.integers(1, 64))
def test_rounding_out_takes_in_the_range(wanted: Range, size: int, block: int) -> None:
    start, end = round_out(*wanted, size, block)
    assert start <= wanted[0]
    assert start % block == 0
    assert wanted[0] - start < block
    assert end >= min(wanted[1], size)
    assert end <= size
    assert end == size or end % block == 0


# --- read-ahead -----------------------------------------------------------


def read_through(ahead: ReadAhead, size: int, step: int, limit: int) -> list[Range]:
    """The ranges that a reader of the whole file gets; nothing is too far ahead of it."""
    asked = []
    for start in range(0, size, step):
        end = min(size, start + step)
        if (window := ahead.note_read(start, end, limit)) is not None:
            assert end <= window[0]
            assert window[1] - end <= limit
            asked.append(window)
    return asked


@given(
    st.integers(1, 600 * MIB),
    st.sampled_from([100_000, 128 * KIB, MIB, 3 * MIB]),
    st.integers(20, 27).map(lambda bits: 1 << bits),
)
def test_a_sequential_reader_has_all_ahead_of_it(size: int, step: int, limit: int) -> None:
    asked = read_through(ReadAhead(size), size, step, limit)
    if size > 2 * step and limit > step:
        assert asked, "the second read is followed by what comes next"
        assert asked[0][0] == 2 * step
        assert asked[-1][1] == size
    assert all(a[1] == b[0] or a[1] - a[0] <= step for a, b in pairwise(asked))
    assert all(a[1] <= b[0] for a, b in pairwise(asked)), "nothing is asked for twice"


def test_windows_double_up_to_the_limit() -> None:
    size = 2048 * MIB
    ahead, longest = ReadAhead(size), 0
    reach = []
    for start in range(0, size, MIB):
        window = ahead.note_read(start, start + MIB)
        if window is not None:
            longest = max(longest, window[1] - start - MIB)
            reach.append(window[1] - start - MIB)
    assert reach[0] == FIRST_WINDOW
    for window, found in zip([32 * MIB, 64 * MIB, LAST_WINDOW], reach[1:], strict=False):
        assert window - LONGEST < found <= window, "it ends where a request of full length does"
    assert LAST_WINDOW - LONGEST < longest <= LAST_WINDOW
    assert len(reach) < 50, "few moves, each of half a window"


@given(st.integers(0, 1 << 32), st.sampled_from([4 * KIB, 64 * KIB, 128 * KIB]))
def test_random_reads_get_nothing(seed: int, length: int) -> None:
    """Reads that are not beside a former one: that is what is meant by random."""
    chance, size = random.Random(seed), 8192 * MIB
    places = chance.sample(range(0, size, 10 * length), 200)
    ahead = ReadAhead(size)
    assert [ahead.note_read(at, at + length) for at in places] == [None] * len(places)
    assert ahead.count_streams() == 0


@given(st.integers(2, STREAMS), st.integers(0, 1 << 32))
def test_several_streams_of_one_file_are_each_as_if_alone(count: int, seed: int) -> None:
    chance, share, step = random.Random(seed), 100 * MIB, 128 * KIB
    size = count * share
    ahead, alone = ReadAhead(size), [ReadAhead(size) for _ in range(count)]
    at = [number * share for number in range(count)]
    for _ in range(2000):
        number = chance.randrange(count)
        start = at[number]
        if start + step > (number + 1) * share - 2 * MIB:
            continue
        at[number] += step
        assert ahead.note_read(start, start + step) == alone[number].note_read(start, start + step)


@given(st.integers(0, 1 << 32))
def test_reads_of_one_stream_may_come_in_any_order(seed: int) -> None:
    """The kernel sends several at once, and threads take them."""
    chance, step, size = random.Random(seed), 128 * KIB, 256 * MIB
    reads = [(start, start + step) for start in range(0, size, step)]
    for first in range(0, len(reads), 4):
        some = reads[first : first + 4]
        chance.shuffle(some)
        reads[first : first + 4] = some
    ahead = ReadAhead(size)
    asked = [window for read in reads if (window := ahead.note_read(*read)) is not None]
    assert asked[0][1] <= 18 * MIB
    assert asked[-1][1] == size
    assert all(a[1] == b[0] for a, b in pairwise(asked))
    assert ahead.count_streams() <= 2


def test_the_same_read_again_moves_nothing() -> None:
    ahead = ReadAhead(1024 * MIB)
    assert ahead.note_read(0, MIB) is None
    assert ahead.note_read(0, MIB) is None
    assert ahead.note_read(MIB, 2 * MIB) == (2 * MIB, 18 * MIB)
    assert ahead.note_read(MIB, 2 * MIB) is None
    assert ahead.note_read(0, MIB) is None
