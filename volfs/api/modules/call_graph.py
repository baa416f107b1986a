"""The names of ``modal.call_graph``."""

from __future__ import annotations

from volfs.api.apps.observed import InputInfo, InputStatus

__all__ = ["InputInfo", "InputStatus"]
