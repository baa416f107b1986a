"""volfs: versioned storage for containers. ``import volfs as modal`` has Modal's shape.

Nothing is imported before it is asked for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from volfs import exception, types, volume
    from volfs.api.client import Client
    from volfs.api.cloud_bucket_mount import CloudBucketMount
    from volfs.api.dict import Dict
    from volfs.api.network_file_system import NetworkFileSystem
    from volfs.api.queue import Queue
    from volfs.api.secret import Secret
    from volfs.api.volume import Volume

__all__ = [
    "Client",
    "CloudBucketMount",
    "Dict",
    "NetworkFileSystem",
    "Queue",
    "Secret",
    "Volume",
    "exception",
    "types",
    "volume",
]

_HOMES = {
    "Client": "volfs.api.client",
    "CloudBucketMount": "volfs.api.cloud_bucket_mount",
    "Dict": "volfs.api.dict",
    "NetworkFileSystem": "volfs.api.network_file_system",
    "Queue": "volfs.api.queue",
    "Secret": "volfs.api.secret",
    "Volume": "volfs.api.volume",
}

_MODULES = ("exception", "types", "volume")


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        value = getattr(importlib.import_module(_HOMES[name]), name)
    elif name in _MODULES:
        value = importlib.import_module(f"volfs.{name}")
    else:
        raise AttributeError(f"module 'volfs' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
