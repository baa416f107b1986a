"""Real mounts, to be killed; and a gc that leaves little alone."""

from __future__ import annotations

import pytest

from tests.crash.life_places import new_place
from tests.harness.fixtures import mounts

__all__ = ["mounts", "new_place"]


@pytest.fixture
def greedy_gc(monkeypatch: pytest.MonkeyPatch) -> None:
    """Packs are rewritten for little: every gc takes all that it may."""
    monkeypatch.setattr("volfs.model.collection._is_wanted", lambda use: use.dead_bytes > 0)
