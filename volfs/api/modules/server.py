"""The names of ``modal.server``."""

from __future__ import annotations

from volfs.api.apps.standins import Server

__all__ = ["Server"]
