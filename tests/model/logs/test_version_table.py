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
    assert set(table.rows) == there
    absent = set(range(max(added) + 1)) - there
    assert list(table.iter_expired()) == list(to_ranges(absent))
    for below in (0, 1, BLOCK_SIZE, max(added), max(added) + 5):
        assert list(table.iter_newest(below)) == sorted(v for v in there if v < below)[::-1]
    assert not table.has(-1)


@given(st.lists(st.integers(0, 30)))
def test_ranges(versions: list[int]) -> None:
    ranges = to_ranges(versions)
    assert {v for first, last in ranges for v in range(first, last + 1)} == set(versions)
    assert all(a[1] + 1 < b[0] for a, b in itertools.pairwise(ranges))


def test_a_block_that_is_not_in_memory() -> None:
    table = VersionTable(BLOCK_SIZE, unread=frozenset({0}))
    table = table._replace(rows=table.rows.set(BLOCK_SIZE, ROW)).remove(((5, 5),))
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


def test_a_million_expired_versions_are_passed_by_blocks() -> None:
    table = VersionTable().add(0, ROW).add(1_000_000, ROW)
    assert list(table.iter_newest()) == [1_000_000, 0]
    assert len(table.expired) == 1_000_000 // BLOCK_SIZE + 1
    assert list(table.iter_expired()) == [(1, 999_999)]
