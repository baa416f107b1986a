"""Real mounts for the tests of this folder and its neighbours."""

from __future__ import annotations

from tests.harness.fixtures import each_alone, mounted, mounts, shared

__all__ = ["each_alone", "mounted", "mounts", "shared"]
