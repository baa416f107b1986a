"""The names of ``modal.experimental``."""

from __future__ import annotations

from typing import Any

from volfs.api.apps import experimental
from volfs.api.apps.experimental import (
    ClusterInfo,
    OutboundPolicy,
    Stream,
    StreamWriter,
    clustered,
    flash_forward,
    flash_get_containers,
    get_app_lifecycle,
    get_app_objects,
    get_cluster_info,
    get_fabric_peers,
    get_local_input_concurrency,
    http_server,
    image_delete,
    list_cluster_reservations,
    list_deployed_apps,
    raw_registry_image,
    server_forward,
    set_local_input_concurrency,
    stop_app,
    stop_fetching_inputs,
)

__all__ = [
    "ClusterInfo",
    "OutboundPolicy",
    "Stream",
    "StreamWriter",
    "clustered",
    "flash_forward",
    "flash_get_containers",
    "get_app_lifecycle",
    "get_app_objects",
    "get_cluster_info",
    "get_fabric_peers",
    "get_local_input_concurrency",
    "http_server",
    "image_delete",
    "list_cluster_reservations",
    "list_deployed_apps",
    "raw_registry_image",
    "server_forward",
    "set_local_input_concurrency",
    "stop_app",
    "stop_fetching_inputs",
]


def __getattr__(name: str) -> Any:
    return getattr(experimental, name)
