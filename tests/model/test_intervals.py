"""Ranges of integers against a set of them."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from volfs.model.intervals import Intervals

SIZE = 40
RANGE = st.tuples(st.integers(0, SIZE), st.integers(1, 12)).map(lambda r: (r[0], r[0] + r[1]))
STEPS = st.lists(st.tuples(st.booleans(), RANGE), max_size=30)


def build(steps: list[tuple[bool, tuple[int, int]]]) -> tuple[Intervals, set[int]]:
    intervals, expected = Intervals(), set[int]()
    for adds, (start, end) in steps:
        if adds:
            intervals.add(start, end)
            expected |= set(range(start, end))
        else:
            intervals.remove(start, end)
            expected -= set(range(start, end))
    return intervals, expected


@given(STEPS)
def test_equals_a_set(steps: list[tuple[bool, tuple[int, int]]]) -> None:
    intervals, expected = build(steps)
    ranges = list(intervals)
    assert {n for start, end in ranges for n in range(start, end)} == expected
    assert all(start < end for start, end in ranges)
    assert all(a[1] < b[0] for a, b in pairwise(ranges)), "none touches the next"
    assert bool(intervals) == bool(expected)


@given(STEPS, RANGE)
def test_looking_at_a_range(
    steps: list[tuple[bool, tuple[int, int]]], within: tuple[int, int]
) -> None:
    intervals, expected = build(steps)
    wanted = set(range(*within))
    gaps = list(intervals.find_gaps(*within))
    assert {n for start, end in gaps for n in range(start, end)} == wanted - expected
    assert all(a[1] < b[0] for a, b in pairwise(gaps))
    assert intervals.covers(*within) == (wanted <= expected)


def test_what_grows_at_its_end_stays_one_range() -> None:
    intervals = Intervals()
    for start in range(0, 1000, 10):
        intervals.add(start, start + 10)
    assert list(intervals) == [(0, 1000)]
