"""Real mounts, to be killed."""

from __future__ import annotations

from tests.harness.fixtures import mounts

__all__ = ["mounts"]
