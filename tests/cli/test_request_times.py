"""Bounds that are read off a histogram."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from volfs.metrics.rates import find_bound


@given(st.lists(st.integers(0, 1 << 40), min_size=1), st.integers(1, 100))
def test_a_bound_has_its_share_below_it_and_half_of_it_has_not(
    taken: list[int], percent: int
) -> None:
    histogram = [0] * 64
    for us in taken:
        histogram[us.bit_length()] += 1
    bound = find_bound(histogram, percent)
    assert sum(us < bound for us in taken) * 100 >= percent * len(taken)
    assert sum(us < bound // 2 for us in taken) * 100 < percent * len(taken)
