"""What Modal's module of this name has."""

from __future__ import annotations

from volfs.api.client import Client

__all__ = ["Client"]
