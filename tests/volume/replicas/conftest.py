"""Two stores: one with the original, and one for its replica."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from volfs.store.contract.store import Store
from volfs.store.registry import open_store


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Store]:
    store = open_store(str(tmp_path / "other"), create=True)
    yield store
    store.close()
