"""metrics: numbers of all mounts and stores of this machine, for Prometheus."""

from __future__ import annotations

import click

from volfs_cli.helping import InOrder
from volfs_cli.stores import store_option, store_url
from volfs_cli.terminal import answer, say, take_logs

PORT = 9467
allow_host_option = click.option(
    "--allow-host",
    "allowed",
    multiple=True,
    metavar="NAME",
    help="A name by which others reach this server; may be given again.",
)


@click.group("metrics", cls=InOrder)
def group() -> None:
    """Metrics of all mounts and stores, for Prometheus."""


def _need_client() -> None:
    from volfs.errors import UserError

    try:
        import prometheus_client  # noqa: F401
    except ImportError as error:
        raise UserError("needs prometheus_client: pip install 'volfs[metrics]'") from error


def _find_store() -> str | None:
    """The store in force, if there is one."""
    from volfs.errors import UserError
    from volfs.store.address import find_local_path

    try:
        place = find_local_path(store_url())
    except UserError:
        return None
    return store_url() if place is None or place.exists() else None


@group.command("serve")
@store_option
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen at.")
@click.option("--port", type=click.IntRange(0, 65535), default=PORT, show_default=True)
@allow_host_option
def serve(host: str, port: int, allowed: tuple[str, ...]) -> None:
    """Answer scrapes at http://HOST:PORT/metrics, until Ctrl-C.

    One such process is enough for a machine. Root sees the mounts of all users, and others their
    own. A daemon that hangs or is dead is shown as volfs_mount_up 0, and holds up no scrape.
    """
    _need_client()
    from volfs.errors import UserError
    from volfs.metrics.exporter import make_metrics_server

    take_logs()
    try:
        server = make_metrics_server(host, port, _find_store(), allowed)
    except OSError as error:
        raise UserError(f"cannot listen at {host}:{port}: {error.strerror or error}") from error
    place = f"[{host}]" if ":" in host else host
    say(f"Metrics at http://{place}:{server.server_port}/metrics")
    with server:
        server.serve_forever()


@group.command("print")
@store_option
def print_() -> None:
    """Print what one scrape gets, for example into a file for node_exporter."""
    _need_client()
    from volfs.metrics.exporter import print_once

    take_logs()
    for line in print_once(_find_store()).rstrip("\n").split("\n"):
        answer(line)


@group.command("dashboard")
def dashboard() -> None:
    """Print a dashboard for Grafana, to be imported there."""
    _print_file("dashboard.json")


@group.command("alerts")
def alerts() -> None:
    """Print rules of alerts, for rule_files of Prometheus."""
    _print_file("alerts.yaml")


def _print_file(name: str) -> None:
    from importlib.resources import files

    text = files("volfs.metrics").joinpath(name).read_text(encoding="utf-8")
    for line in text.rstrip("\n").split("\n"):
        answer(line)
