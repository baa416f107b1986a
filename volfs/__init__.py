"""volfs: versioned storage for containers. ``import volfs as modal`` has Modal's shape.

Nothing is imported before it is asked for.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    __version__: str
    from volfs import exception, types, volume
    from volfs.api.apps import experimental
    from volfs.api.apps.accepted import Cron, Period, enable_output
    from volfs.api.apps.app import App
    from volfs.api.apps.cls import Cls
    from volfs.api.apps.endpoints import (
        asgi_app,
        clustered,
        fastapi_endpoint,
        sessioned,
        web_endpoint,
        web_server,
        wsgi_app,
    )
    from volfs.api.apps.function import Function
    from volfs.api.apps.function_call import FunctionCall
    from volfs.api.apps.image import Image
    from volfs.api.apps.marks import batched, concurrent, enter, exit, method, parameter
    from volfs.api.apps.patterns import FilePatternMatcher
    from volfs.api.apps.standins import (
        Cluster,
        Probe,
        Proxy,
        Sandbox,
        SandboxSnapshot,
        SchedulerPlacement,
        Server,
        Workspace,
        interact,
    )
    from volfs.api.apps.tunnels import Tunnel, forward
    from volfs.api.client import Client
    from volfs.api.cloud_bucket_mount import CloudBucketMount
    from volfs.api.dict import Dict
    from volfs.api.environments import Environment
    from volfs.api.modules import billing
    from volfs.api.network_file_system import NetworkFileSystem
    from volfs.api.queue import Queue
    from volfs.api.secret import Secret
    from volfs.api.volume import Volume
    from volfs.containers.messages import current_function_call_id, current_input_id, is_local
    from volfs.containers.retries import Retries
    from volfs.exception import Error

__all__ = [
    "App",
    "Client",
    "CloudBucketMount",
    "Cls",
    "Cluster",
    "Cron",
    "Dict",
    "Environment",
    "Error",
    "FilePatternMatcher",
    "Function",
    "FunctionCall",
    "Image",
    "NetworkFileSystem",
    "Period",
    "Probe",
    "Proxy",
    "Queue",
    "Retries",
    "Sandbox",
    "SandboxSnapshot",
    "SchedulerPlacement",
    "Secret",
    "Server",
    "Tunnel",
    "Volume",
    "Workspace",
    "__version__",
    "asgi_app",
    "batched",
    "billing",
    "clustered",
    "concurrent",
    "current_function_call_id",
    "current_input_id",
    "enable_output",
    "enter",
    "exception",
    "exit",
    "experimental",
    "fastapi_endpoint",
    "forward",
    "interact",
    "is_local",
    "method",
    "parameter",
    "sessioned",
    "types",
    "volume",
    "web_endpoint",
    "web_server",
    "wsgi_app",
]

# Those of Modal's modules that are no rooms of volfs: volfs/api/modules says more.
__path__.append(str(Path(__file__).parent / "api" / "modules"))

_HOMES = {
    "App": "volfs.api.apps.app",
    "Client": "volfs.api.client",
    "CloudBucketMount": "volfs.api.cloud_bucket_mount",
    "Cls": "volfs.api.apps.cls",
    "Cluster": "volfs.api.apps.standins",
    "Cron": "volfs.api.apps.accepted",
    "Dict": "volfs.api.dict",
    "Environment": "volfs.api.environments",
    "Error": "volfs.exception",
    "FilePatternMatcher": "volfs.api.apps.patterns",
    "Function": "volfs.api.apps.function",
    "FunctionCall": "volfs.api.apps.function_call",
    "Image": "volfs.api.apps.image",
    "NetworkFileSystem": "volfs.api.network_file_system",
    "Period": "volfs.api.apps.accepted",
    "Probe": "volfs.api.apps.standins",
    "Proxy": "volfs.api.apps.standins",
    "Queue": "volfs.api.queue",
    "Retries": "volfs.containers.retries",
    "Sandbox": "volfs.api.apps.standins",
    "SandboxSnapshot": "volfs.api.apps.standins",
    "SchedulerPlacement": "volfs.api.apps.standins",
    "Secret": "volfs.api.secret",
    "Server": "volfs.api.apps.standins",
    "Tunnel": "volfs.api.apps.tunnels",
    "Volume": "volfs.api.volume",
    "Workspace": "volfs.api.apps.standins",
    "asgi_app": "volfs.api.apps.endpoints",
    "batched": "volfs.api.apps.marks",
    "clustered": "volfs.api.apps.endpoints",
    "concurrent": "volfs.api.apps.marks",
    "current_function_call_id": "volfs.containers.messages",
    "current_input_id": "volfs.containers.messages",
    "enable_output": "volfs.api.apps.accepted",
    "enter": "volfs.api.apps.marks",
    "exit": "volfs.api.apps.marks",
    "fastapi_endpoint": "volfs.api.apps.endpoints",
    "forward": "volfs.api.apps.tunnels",
    "interact": "volfs.api.apps.standins",
    "is_local": "volfs.containers.messages",
    "method": "volfs.api.apps.marks",
    "parameter": "volfs.api.apps.marks",
    "sessioned": "volfs.api.apps.endpoints",
    "web_endpoint": "volfs.api.apps.endpoints",
    "web_server": "volfs.api.apps.endpoints",
    "wsgi_app": "volfs.api.apps.endpoints",
}

_OLDER = {
    "Mount": "volfs.api.apps.older",
    "SharedVolume": "volfs.api.apps.older",
    "Stub": "volfs.api.apps.older",
    "build": "volfs.api.apps.older",
    "create_package_mounts": "volfs.api.apps.older",
}
"""Names that older versions of Modal had."""

_MODULES = {
    *("app", "billing", "call_graph", "client", "cloud_bucket_mount", "cls"),
    *("cluster", "config", "container_process", "dict", "environments", "exception"),
    *("experimental", "file_pattern_matcher", "functions", "gpu", "image", "io_streams"),
    *("mount", "network_file_system", "object", "output", "partial_function", "proxy"),
    *("queue", "retries", "runner", "sandbox", "schedule", "scheduler_placement"),
    *("secret", "server", "stream_type", "types", "volume", "workspace"),
}
"""Modal's modules: imported when a program names them, as an attribute or by ``import``."""


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        value = getattr(importlib.import_module(_HOMES[name]), name)
    elif name in _OLDER:
        value = getattr(importlib.import_module(_OLDER[name]), name)
    elif name in _MODULES:
        value = importlib.import_module(f"volfs.{name}")
    elif name == "__version__":
        value = importlib.import_module("importlib.metadata").version("volfs")
    else:
        raise AttributeError(f"module 'volfs' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
