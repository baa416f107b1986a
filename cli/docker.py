"""docker: volumes for the containers of Docker and podman."""

from __future__ import annotations

import logging
from pathlib import Path

import click

from volfs.docker.units import SOCKET
from volfs.model.text import show
from volfs_cli.helping import InOrder
from volfs_cli.stores import env_option, environment, store_option, store_url
from volfs_cli.terminal import say


@click.group("docker", cls=InOrder, no_args_is_help=True)
def group() -> None:
    """Volumes for the containers of Docker and podman."""


@group.command("serve")
@store_option
@env_option
@click.option(
    "--socket",
    "path",
    type=click.Path(path_type=Path),
    default=SOCKET,
    show_default=True,
    help="Where Docker finds the plugin. The name without .sock is that of the driver.",
)
def serve(path: Path) -> None:
    """Serve the store's volumes to Docker: the volume driver `volfs`.

    Then `docker volume create -d volfs NAME` makes or takes a volume, and each container with it
    has an overlay of its own, which is committed when the container ends. Mounts go on while the
    plugin is away.
    """
    from volfs.docker.serving import serve_plugin

    _take_log()
    store = store_url()
    serve_plugin(
        path,
        store,
        environment(),
        lambda at: say(f"Serving {show(store)} as volume driver {at.name} at {at.path}."),
    )


def _take_log() -> None:
    """Write what the plugin does to stderr, as systemd keeps it."""

    class PluginLog(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            say(f"volfs: docker: {record.getMessage()}", err=True)

    root = logging.getLogger("volfs")
    root.setLevel(logging.INFO)
    root.addHandler(PluginLog())
