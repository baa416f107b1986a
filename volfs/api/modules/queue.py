"""What Modal's module of this name has."""

from __future__ import annotations

from volfs.api.queue import Queue, QueueInfo
from volfs.api.resource import NamedResources as QueueManager

__all__ = ["Queue", "QueueInfo", "QueueManager"]
