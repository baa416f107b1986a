"""volfs: versioned storage for containers. ``import volfs as modal`` has Modal's shape.

Nothing is imported before it is asked for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from volfs import exception, types, volume
    from volfs.api.apps.accepted import Cron, Period, enable_output
    from volfs.api.apps.app import App
    from volfs.api.apps.cls import Cls
    from volfs.api.apps.function import Function, FunctionCall
    from volfs.api.apps.image import Image
    from volfs.api.apps.marks import concurrent, enter, exit, method, parameter
    from volfs.api.client import Client
    from volfs.api.cloud_bucket_mount import CloudBucketMount
    from volfs.api.dict import Dict
    from volfs.api.network_file_system import NetworkFileSystem
    from volfs.api.queue import Queue
    from volfs.api.secret import Secret
    from volfs.api.volume import Volume
    from volfs.containers.messages import current_function_call_id, is_local
    from volfs.containers.pool import Retries

__all__ = [
    "App",
    "Client",
    "CloudBucketMount",
    "Cls",
    "Cron",
    "Dict",
    "Function",
    "FunctionCall",
    "Image",
    "NetworkFileSystem",
    "Period",
    "Queue",
    "Retries",
    "Secret",
    "Volume",
    "concurrent",
    "current_function_call_id",
    "enable_output",
    "enter",
    "exception",
    "exit",
    "is_local",
    "method",
    "parameter",
    "types",
    "volume",
]

_HOMES = {
    "App": "volfs.api.apps.app",
    "Client": "volfs.api.client",
    "CloudBucketMount": "volfs.api.cloud_bucket_mount",
    "Cls": "volfs.api.apps.cls",
    "Cron": "volfs.api.apps.accepted",
    "Dict": "volfs.api.dict",
    "Function": "volfs.api.apps.function",
    "FunctionCall": "volfs.api.apps.function",
    "Image": "volfs.api.apps.image",
    "NetworkFileSystem": "volfs.api.network_file_system",
    "Period": "volfs.api.apps.accepted",
    "Queue": "volfs.api.queue",
    "Retries": "volfs.containers.pool",
    "Secret": "volfs.api.secret",
    "Volume": "volfs.api.volume",
    "concurrent": "volfs.api.apps.marks",
    "current_function_call_id": "volfs.containers.messages",
    "enable_output": "volfs.api.apps.accepted",
    "enter": "volfs.api.apps.marks",
    "exit": "volfs.api.apps.marks",
    "is_local": "volfs.containers.messages",
    "method": "volfs.api.apps.marks",
    "parameter": "volfs.api.apps.marks",
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
