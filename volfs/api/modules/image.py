"""What Modal's module of this name has."""

from __future__ import annotations

from volfs.api.apps.image import Image

__all__ = ["Image"]
