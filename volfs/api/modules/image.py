"""The names of ``modal.image``."""

from __future__ import annotations

from volfs.api.apps.image import Image

__all__ = ["Image"]
