"""The names of ``modal.client``."""

from __future__ import annotations

from volfs.api.client import Client

__all__ = ["Client"]
