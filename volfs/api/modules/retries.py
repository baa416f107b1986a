"""What Modal's module of this name has."""

from __future__ import annotations

from volfs.containers.retries import Retries

__all__ = ["Retries"]
