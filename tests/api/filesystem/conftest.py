"""A store with one volume, and the file system of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from volfs.api.filesystem import VolumeFileSystem


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VOLFS_STORE", str(tmp_path / "store"))
    return tmp_path / "store"


@pytest.fixture
def fs(store: Path) -> Iterator[VolumeFileSystem]:
    fs = VolumeFileSystem(str(store))
    fs.mkdir("data")
    yield fs
    VolumeFileSystem.clear_instance_cache()
