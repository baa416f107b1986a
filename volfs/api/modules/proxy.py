"""The names of ``modal.proxy``."""

from __future__ import annotations

from volfs.api.apps.standins import Proxy

__all__ = ["Proxy"]
