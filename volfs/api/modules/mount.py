"""The names of ``modal.mount``."""

from __future__ import annotations

from volfs.api.apps.older import Mount

__all__ = ["Mount"]
