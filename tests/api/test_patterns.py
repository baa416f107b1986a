"""What a pattern of a network file system's paths matches, however deep they are."""

from __future__ import annotations

import sys
from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from volfs.api.network_file_system import _matches

names = st.lists(st.sampled_from("ab"), max_size=6).map(tuple)
patterns = st.lists(st.sampled_from(["a", "b", "*", "**"]), min_size=1, max_size=6).map(tuple)


def matches(pattern: tuple[str, ...], path: tuple[str, ...]) -> bool:
    """As the rules say it: ``**`` is any number of names, as the last one at least one."""
    if not (pattern and path):
        return not (pattern or path)
    if pattern[0] != "**":
        return fnmatchcase(path[0], pattern[0]) and matches(pattern[1:], path[1:])
    return len(pattern) == 1 or matches(pattern[1:], path) or matches(pattern, path[1:])


@given(patterns, names)
def test_patterns(pattern: tuple[str, ...], path: tuple[str, ...]) -> None:
    assert _matches(pattern, path) == matches(pattern, path)


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        (("**", "f"), True),
        (("**",), True),
        (("**", "*", "**", "d", "f"), True),
        (("d", "f"), False),
    ],
)
def test_depth(pattern: tuple[str, ...], expected: bool) -> None:
    path = (*["d"] * 2 * sys.getrecursionlimit(), "f")
    assert _matches(pattern, path) == expected
