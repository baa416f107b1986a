"""The names of ``modal.config``."""

from __future__ import annotations

from volfs.api.settings import (
    Config,
    _profile,
    config,
    config_profiles,
)

__all__ = [
    "Config",
    "_profile",
    "config",
    "config_profiles",
]
