"""What Modal's module of this name has."""

from __future__ import annotations

from volfs.api.apps.observed import InputInfo, InputStatus

__all__ = ["InputInfo", "InputStatus"]
