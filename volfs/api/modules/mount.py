"""What Modal's module of this name has."""

from __future__ import annotations

from volfs.api.apps.older import Mount

__all__ = ["Mount"]
