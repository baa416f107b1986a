"""Patterns of a .dockerignore, against what Docker makes of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from volfs.api.apps.patterns import FilePatternMatcher


@pytest.mark.parametrize(
    ("pattern", "fitting", "others"),
    [
        ("*.py", ["a.py", "a.py/b"], ["d/a.py"]),  # unlike .gitignore: of one directory
        ("*", ["a", "a/b"], ["."]),
        ("/a/", ["a", "a/b"], ["b/a"]),
        ("**/a", ["a", "b/a", "c/b/a"], ["b/aa"]),
        ("a/**", ["a/b", "a/b/c"], ["a", "b"]),
        ("**", ["a", "a/b"], ["."]),
        ("a**b", ["ab", "a/b", "ac/b", "a/c/b"], ["acb", "a/cb"]),
        ("a**", ["a", "ab", "a/b", "ab/c"], ["b"]),
        ("a?c", ["abc"], ["a/c", "ac"]),
        ("[^a]", ["b"], ["a"]),
        ("#a", ["#a"], ["a"]),
        ("b/../a", ["a"], ["b"]),
    ],
)
def test_a_pattern_fits(pattern: str, fitting: list[str], others: list[str]) -> None:
    matcher = FilePatternMatcher(pattern)
    assert [path for path in fitting if not matcher(Path(path))] == []
    assert [path for path in others if matcher(Path(path))] == []


def test_the_last_pattern_that_fits_counts() -> None:
    matcher = FilePatternMatcher("a", "!a/b", "a/b/c")
    assert [matcher(Path(path)) for path in ("a", "a/x", "a/b", "a/b/d", "a/b/c")] == [
        *(True, True, False, False, True)
    ]
