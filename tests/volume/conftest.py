"""A store that the test may close and open again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.volume.repairing import Whole, make_whole


@pytest.fixture
def whole(tmp_path: Path) -> Iterator[Whole]:
    store, volume = make_whole(tmp_path / "whole")
    yield store, volume
    store.close()
