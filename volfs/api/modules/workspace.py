"""The names of ``modal.workspace``."""

from __future__ import annotations

from volfs.api.apps.standins import Workspace

__all__ = ["Workspace"]
