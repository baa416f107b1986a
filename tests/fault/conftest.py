"""Real mounts for the tests of this folder that need them."""

from __future__ import annotations

from tests.harness.fixtures import mounts

__all__ = ["mounts"]
