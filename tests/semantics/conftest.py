"""Real mounts for the tests of this folder and its neighbours."""

from __future__ import annotations

import pytest

from tests.harness.fixtures import each_alone, mounted, mounts, shared
from tests.harness.mounted import Mounted, Mounts

__all__ = ["each_alone", "mounted", "mounts", "shared"]


@pytest.fixture
def pair(mounts: Mounts) -> tuple[Mounted, Mounted]:
    """Two mounts of one volume."""
    return mounts.mount(), mounts.mount()
