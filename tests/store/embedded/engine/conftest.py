"""A store of the embedded engine, with one volume."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.store.embedded.published import VOLUME
from volfs.store.embedded.engine import EmbeddedStore, open_embedded


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def store(path: Path) -> Iterator[EmbeddedStore]:
    store = open_embedded(str(path), create=True)
    store.refs.create_volume(VOLUME, b"manifest 0")
    yield store
    store.close()
