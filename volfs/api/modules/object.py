"""The names of ``modal.object``."""

from __future__ import annotations

from volfs.api.resource import ResourceHandle as Object

__all__ = ["Object"]
