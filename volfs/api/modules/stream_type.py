"""The names of ``modal.stream_type``."""

from __future__ import annotations

from volfs.api.apps.standins import StreamType

__all__ = ["StreamType"]
