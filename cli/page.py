"""ui: a web page of the store, for one person on this machine."""

from __future__ import annotations

import click

from volfs_cli.metrics import allow_host_option
from volfs_cli.stores import opened_store, store_option
from volfs_cli.terminal import say

PORT = 9466


@click.command("ui")
@store_option
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen at.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=PORT,
    show_default=True,
    help="0: any free port.",
)
@allow_host_option
def ui(host: str, port: int, allowed: tuple[str, ...]) -> None:
    """Serve a web page of volumes, mounts and history.

    Open the address that is printed: the token in it lets you in. Ctrl-C ends it. At another
    address than loopback, whoever can read the traffic can do what the page can: put a server with
    TLS before it, and name that with --allow-host.
    """
    from volfs.errors import UserError

    try:
        from volfs.web.web_server import serve_page
    except ImportError as error:
        raise UserError(f"needs {error.name}: pip install 'volfs[ui]'") from error
    with opened_store() as store:
        names = frozenset(name.lower() for name in allowed)
        serve_page(store, host, port, names, lambda address: say(f"Open {address}"))
