"""Real mounts, and the real command."""

from __future__ import annotations

from tests.cli.conftest import volfs
from tests.harness.fixtures import mounted, mounts

__all__ = ["mounted", "mounts", "volfs"]
