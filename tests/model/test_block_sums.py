"""Sums of an arena's blocks: whatever changes in a summed byte is found, and nothing else is."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from volfs.errors import DamagedObjectError
from volfs.model.block_sums import (
    BLOCK,
    NO_SUMS,
    BlockSums,
    add_sums,
    decode_sums,
    drop_sums,
    encode_sums,
    find_damage,
    has_sums,
    split_by_stretch,
)
from volfs.model.extents import STRETCH

NOISE = random.Random(3).randbytes(STRETCH)
PLACE = st.integers(0, STRETCH - 1)


def grow(ends: list[int]) -> BlockSums:
    """As flushes of a file that grows: each begins in the block where the one before ended."""
    sums, at = NO_SUMS, 0
    for end in ends:
        start = at // BLOCK * BLOCK
        sums = add_sums(sums, start, NOISE[start:end])
        at = end
    return sums


@given(st.lists(st.integers(1, STRETCH), min_size=1, max_size=6, unique=True).map(sorted), PLACE)
def test_each_changed_byte_is_found_up_to_the_last_flushed_one(ends: list[int], at: int) -> None:
    sums = grow(ends)
    assert sums == grow(ends[-1:])
    assert find_damage(sums, 0, NOISE) is None
    changed = bytearray(NOISE)
    changed[at] ^= 1
    expected = at // BLOCK * BLOCK if at < ends[-1] else None
    assert find_damage(sums, 0, changed) == expected
    assert has_sums(sums, 0, at + 1) == (at < ends[-1])


def test_only_the_blocks_that_are_looked_at_count() -> None:
    sums = grow([STRETCH])
    changed = bytearray(NOISE)
    changed[5 * BLOCK + 7] ^= 1
    assert find_damage(sums, 0, changed[: 5 * BLOCK]) is None
    assert find_damage(sums, 6 * BLOCK, changed[6 * BLOCK :]) is None
    assert find_damage(sums, 5 * BLOCK, changed[5 * BLOCK : 6 * BLOCK]) == 5 * BLOCK


def test_a_block_that_is_cut_off_is_damaged() -> None:
    sums = grow([2 * BLOCK])
    assert find_damage(sums, 0, NOISE[: 2 * BLOCK - 1]) == BLOCK


def test_a_block_that_changed_before_it_grew_stays_damaged() -> None:
    """The new sum must not be of what the disk made of the old bytes."""
    sums = grow([100])
    changed = bytearray(NOISE)
    changed[50] ^= 1
    sums = add_sums(sums, 0, changed[:200])
    assert has_sums(sums, 0, 200)
    assert find_damage(sums, 0, changed) == 0


def test_dropped_sums_are_gone_and_the_others_stay() -> None:
    sums = drop_sums(grow([STRETCH]), 3 * BLOCK, 5 * BLOCK)
    assert has_sums(sums, 0, 3 * BLOCK)
    assert has_sums(sums, 5 * BLOCK, STRETCH)
    assert not has_sums(sums, 3 * BLOCK, 3 * BLOCK + 1)
    assert not has_sums(sums, 4 * BLOCK, 6 * BLOCK)
    assert drop_sums(sums, 0, STRETCH) == NO_SUMS
    assert decode_sums(encode_sums(sums)) == sums


@pytest.mark.parametrize("row", [b"", bytes(639), bytes(641), b"\x01\x10" + bytes(638)])
def test_sums_that_nobody_wrote_are_refused(row: bytes) -> None:
    with pytest.raises(DamagedObjectError):
        decode_sums(row)


@given(st.integers(0, 3 * STRETCH), st.integers(0, 3 * STRETCH))
def test_parts_of_a_range_are_the_range(start: int, length: int) -> None:
    parts = list(split_by_stretch(start, start + length))
    assert sum(hi - lo for _, lo, hi in parts) == length
    at = start
    for stretch, lo, hi in parts:
        assert stretch * STRETCH + lo == at
        assert 0 <= lo < hi <= STRETCH
        at += hi - lo
