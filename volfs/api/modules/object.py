"""What Modal's module of this name has."""

from __future__ import annotations

from volfs.api.resource import ResourceHandle as Object

__all__ = ["Object"]
