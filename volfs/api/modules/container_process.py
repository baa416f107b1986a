"""The names of ``modal.container_process``."""

from __future__ import annotations

from volfs.api.apps.standins import ContainerProcess

__all__ = ["ContainerProcess"]
