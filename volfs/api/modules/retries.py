"""The names of ``modal.retries``."""

from __future__ import annotations

from volfs.containers.retries import Retries

__all__ = ["Retries"]
