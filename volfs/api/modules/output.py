"""What Modal's module of this name has."""

from __future__ import annotations

from volfs.api.apps.accepted import enable_output

__all__ = ["enable_output"]
