"""The directory beside the mount."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """A directory of the machine's own file system."""
    path = tmp_path / "plain"
    path.mkdir(mode=0o777)
    return path
