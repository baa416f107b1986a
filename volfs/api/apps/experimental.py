"""``volfs.experimental``. Most of Modal's names there are for many machines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from volfs.api.apps import endpoints
from volfs.api.apps.app import App
from volfs.api.apps.image import Image
from volfs.api.apps.notes import note
from volfs.api.apps.standins import Refusal, StandIn

F = TypeVar("F")
_ONE = "volfs makes no clusters of containers"
_SERVED = "volfs has no servers beside web endpoints: `volfs serve FILE.py` serves these"
_STREAMS = "volfs has no streams: use a Queue"

flash_forward: Any = Refusal("experimental.flash_forward", _SERVED)
flash_get_containers: Any = Refusal("experimental.flash_get_containers", _SERVED)
get_app_lifecycle: Any = Refusal("experimental.get_app_lifecycle", "nothing is deployed")
get_cluster_info: Any = Refusal("experimental.get_cluster_info", _ONE)
get_fabric_peers: Any = Refusal("experimental.get_fabric_peers", _ONE)
image_delete: Any = Refusal("experimental.image_delete", "delete the folder of the cache")
list_cluster_reservations: Any = Refusal("experimental.list_cluster_reservations", _ONE)
server_forward: Any = Refusal("experimental.server_forward", _SERVED)


_LIMITS = "@modal.concurrent(max_inputs=N) says how many calls a container runs at once"
get_local_input_concurrency: Any = Refusal("experimental.get_local_input_concurrency", _LIMITS)
set_local_input_concurrency: Any = Refusal("experimental.set_local_input_concurrency", _LIMITS)
stop_fetching_inputs: Any = Refusal(
    "experimental.stop_fetching_inputs",
    "@app.function(max_inputs=N) ends a container after so many calls",
)


def clustered(
    size: int, broadcast: bool = True, rdma: bool = False, fabric_size: int | None = None
) -> Callable[[F], F]:
    """As ``modal.clustered``. InvalidError."""
    return endpoints.clustered(size=size, rdma=rdma)


def raw_registry_image(tag: str, **options: Any) -> Image:
    """As ``Image.from_registry``."""
    return Image.from_registry(tag, **options)


def http_server(
    port: int | None = None,
    *,
    proxy_regions: list[str] | None = None,
    startup_timeout: int = 30,
    exit_grace_period: int | None = None,
    h2_enabled: bool = False,
) -> Callable[[F], F]:
    """Accepted, and noted."""
    note("@experimental.http_server", f"accepted, and fails when used: {_SERVED}")
    return lambda what: what


def stop_app(name: str, **_: Any) -> None:
    """As ``App.lookup(name).stop()``. NotFoundError."""
    App.lookup(name).stop()


def get_app_objects(app_name: str, **_: Any) -> dict[str, Any]:
    """The functions and classes of an app of this program, by their names. NotFoundError."""
    app = App.lookup(app_name)
    return {**app.registered_classes, **app.registered_functions}


def list_deployed_apps(environment_name: str = "", client: object = None) -> list[Any]:
    """An empty list, because apps live with the program that defines them."""
    return []


class ClusterInfo(StandIn, why=_ONE):
    """The members of a cluster."""


class Stream(
    StandIn,
    why=_STREAMS,
    methods="append create create_token delete from_id from_name info list read writer hydrate "
    "objects ephemeral",
    lazy="from_id from_name",
):
    """A log of entries."""


class StreamWriter(StandIn, why=_STREAMS):
    """A writer that appends to a Stream."""


class OutboundPolicy(StandIn, why="containers have the network of this machine"):
    """The addresses that a Sandbox may reach."""


_VALUES = {
    **dict.fromkeys(("AppInfo", "AppLifecycle"), "nothing is deployed"),
    **dict.fromkeys(("ClusterReservation", "ClusterReservationTask"), _ONE),
    **dict.fromkeys(("AppendResult", "Entry", "IdempotencyConflict"), _STREAMS),
    **dict.fromkeys(("StreamInfo", "StreamToken"), _STREAMS),
    **dict.fromkeys(("DockerfileSpec", "ServerManager"), _SERVED),
}
"""The types of values that volfs never gives, each with the reason."""
_made: dict[str, Any] = {}


def __getattr__(name: str) -> Any:
    if name not in _VALUES:
        raise AttributeError(f"module 'volfs.experimental' has no attribute {name!r}")
    kind: Any = type(ClusterInfo)
    return _made.setdefault(name, kind(name, (StandIn,), {}, why=_VALUES[name]))
