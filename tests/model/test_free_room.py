"""Free room against sets of blocks: nothing is given out twice, nothing is forgotten."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from volfs.model.free_room import PUNCH_MIN, FreeRoom, Room

BLOCK = PUNCH_MIN // 8
ADD = st.tuples(st.just("add"), st.integers(1, 3), st.integers(0, 30))
TAKE = st.tuples(st.just("take"), st.integers(0, 3), st.integers(1, 4))
DROP = st.tuples(st.just("drop"), st.integers(1, 3), st.just(0))
STEPS = st.lists(ADD | ADD | TAKE | DROP, max_size=40)
Blocks = set[tuple[int, int]]


def blocks_of(room: Room) -> Blocks:
    arena, start, end = room
    assert start < end
    return {(arena, at) for at in range(start, end, BLOCK)}


@given(STEPS)
def test_equals_a_set_of_blocks(steps: list[tuple[str, int, int]]) -> None:
    free, expected = FreeRoom(), Blocks()
    for kind, arena, number in steps:
        if kind == "add" and (arena, number * BLOCK) not in expected:
            expected.add((arena, number * BLOCK))
            large = free.add(arena, number * BLOCK, (number + 1) * BLOCK)
            if large is not None:
                assert large[2] - large[1] == PUNCH_MIN
                assert blocks_of(large) <= expected
                expected -= blocks_of(large)
        elif kind == "take" and (found := free.take(number * BLOCK, arena)) is not None:
            given_out = blocks_of((*found, found[1] + number * BLOCK))
            assert found[0] > arena
            assert given_out <= expected
            expected -= given_out
        elif kind == "drop":
            assert all(room[0] == arena for room in free.drop(arena))
            expected = {block for block in expected if block[0] != arena}
        assert free.bytes == BLOCK * len(expected)
    left = free.drop_all()
    assert set().union(*map(blocks_of, left)) == expected
    assert free.bytes == 0
    assert free.take(BLOCK, 0) is None


def test_a_single_block_is_found_as_long_as_there_is_one() -> None:
    free = FreeRoom()
    for number in range(0, 20, 2):
        assert free.add(7, number * BLOCK, (number + 1) * BLOCK) is None
    found = {free.take(BLOCK, 6) for _ in range(10)}
    assert found == {(7, number * BLOCK) for number in range(0, 20, 2)}
    assert free.take(BLOCK, 6) is None
