"""The names of ``modal.queue``."""

from __future__ import annotations

from volfs.api.queue import Queue, QueueInfo
from volfs.api.resource import NamedResources as QueueManager

__all__ = ["Queue", "QueueInfo", "QueueManager"]
