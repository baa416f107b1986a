"""The names of ``modal.output``."""

from __future__ import annotations

from volfs.api.apps.accepted import enable_output

__all__ = ["enable_output"]
