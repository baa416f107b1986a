"""The names of ``modal.io_streams``."""

from __future__ import annotations

from volfs.api.apps.standins import StreamReader, StreamType, StreamWriter

__all__ = ["StreamReader", "StreamType", "StreamWriter"]
