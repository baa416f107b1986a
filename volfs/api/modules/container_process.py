"""What Modal's module of this name has."""

from __future__ import annotations

from volfs.api.apps.standins import ContainerProcess

__all__ = ["ContainerProcess"]
