"""No interleaving that has a number is forgotten: docs/distributed.md says where each is tried."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "distributed.md"
ROW = re.compile(r"^\| (\d+) \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)
NOT_YET = "not there yet"
PLACES = ("tests/sim", "tests/store/distributed", "tests/fuse", "tests/daemon")


def list_rows() -> dict[int, str]:
    """Where each number is tried, by the page."""
    return {int(number): where.strip() for number, _, where in ROW.findall(PAGE.read_text())}


def test_the_page_has_every_number() -> None:
    assert list(list_rows()) == list(range(1, 29))


@pytest.mark.parametrize("number", range(1, 29))
def test_the_tests_that_the_page_names_are_there(number: int) -> None:
    where = list_rows()[number]
    if where == NOT_YET:
        return
    files = [ROOT / name for name in re.findall(r"`([^`]+)`", where)]
    assert files
    named = re.compile(rf"^def test_{number:02}_", re.MULTILINE)
    assert all(named.search(file.read_text()) for file in files), where
