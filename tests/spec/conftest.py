"""``import volfs as modal`` for the blocks of the documents, each test by itself."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import volfs
from tests.api.conftest import store
from tests.spec.buckets import gcs, google, s3, seaweed
from tests.spec.setting import Setting, Shell

__all__ = ["gcs", "google", "s3", "seaweed", "store"]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "block(number, verdict): shows a block of the documents")


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the blocks run."""
    path = tmp_path / "work"
    path.mkdir()
    monkeypatch.chdir(path)
    monkeypatch.setenv("VOLFS_RUNTIME_DIR", str(tmp_path / "run"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("VOLFS_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setitem(sys.modules, "modal", volfs)
    return path


@pytest.fixture
def setting(directory: Path) -> Iterator[Setting]:
    setting = Setting(directory)
    yield setting
    setting.stop()


@pytest.fixture
def shell(directory: Path) -> Shell:
    return Shell(directory)


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only place where pip finds anything."""
    path = tmp_path / "packages"
    path.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(path))
    return path
