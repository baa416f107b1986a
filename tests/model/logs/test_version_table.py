"""The versions of a volume, against a set."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.model.logs.volumes import manifest_of
from volfs.model.logs.version_table import (
    BLOCK_SIZE,
    HistoryMiss,
    VersionRow,
    VersionTable,
    make_table,
    to_ranges,
)

ROW = VersionRow(manifest_of(0), 7)
NEAR_EDGES = st.integers(0, 3 * BLOCK_SIZE) | st.builds(
    lambda block, step: max(block * BLOCK_SIZE + step, 0), st.integers(0, 3), st.integers(-2, 2)
)


@given(st.sets(NEAR_EDGES, min_size=1, max_size=20), st.lists(st.sets(NEAR_EDGES), max_size=4))
def test_it_is_a_set_of_versions(added: set[int], removals: list[set[int]]) -> None:
    table, there = VersionTable(), set(added)
    for version in sorted(added):
        table = table.add(version, ROW)
    for wanted in removals:
        gone = wanted & there
        table = table.remove(to_ranges(gone))
        there -= gone
    assert table.head == max(added)
    assert {version for version in range(max(added) + 3) if table.has(version)} == there
    assert list(table.iter_newest()) == sorted(there, reverse=True)
    assert set(table.known) == there
    assert list(table.iter_ranges()) == list(to_ranges(there))
    for below in (0, 1, BLOCK_SIZE, max(added), max(added) + 5):
        assert list(table.iter_newest(below)) == sorted(v for v in there if v < below)[::-1]
    assert not table.has(-1)


@given(st.lists(st.integers(0, 30)))
def test_ranges(versions: list[int]) -> None:
    ranges = to_ranges(versions)
    assert {v for first, last in ranges for v in range(first, last + 1)} == set(versions)
    assert all(a[1] + 1 < b[0] for a, b in itertools.pairwise(ranges))


def test_a_block_that_is_not_in_memory() -> None:
    rows = {BLOCK_SIZE: ROW}
    table = make_table(BLOCK_SIZE, [(0, BLOCK_SIZE)], rows, BLOCK_SIZE).remove(((5, 5),))
    assert table.unread == {0}
    assert table.find(BLOCK_SIZE) == ROW
    assert table.find(5) is None
    assert list(table.iter_newest())[:2] == [BLOCK_SIZE, BLOCK_SIZE - 1]
    with pytest.raises(HistoryMiss) as miss:
        table.find(6)
    assert miss.value.block == 0
    loaded = table.with_block(0, [(version, ROW) for version in range(BLOCK_SIZE)])
    assert loaded.find(6) == ROW
    assert loaded.find(5) is None
    assert not loaded.unread


def test_a_block_whose_versions_all_expired_need_not_be_read() -> None:
    table = make_table(BLOCK_SIZE, [(3, 4), (BLOCK_SIZE, BLOCK_SIZE)], {BLOCK_SIZE: ROW}, 1024)
    assert table.unread == {0}
    assert table.remove(((3, 3),)).unread == {0}
    gone = table.remove(((3, 4),))
    assert (gone.unread, set(gone.there)) == (frozenset(), {1})


def test_numbers_that_are_left_out_cost_nothing() -> None:
    table = VersionTable().add(0, ROW).add(1 << 62, ROW)
    assert list(table.iter_newest()) == [1 << 62, 0]
    assert len(table.there) == 2
    assert list(table.iter_ranges()) == [(0, 0), (1 << 62, 1 << 62)]
