"""The process of a plugin: a web server at its socket."""

from __future__ import annotations

import signal
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from volfs.docker.driver import Driver
from volfs.docker.plugin_protocol import PluginApp
from volfs.docker.plugin_socket import PluginSocket
from volfs.errors import MountError

_WORKERS = 64
"""Requests at a time. Most of them wait, for a last commit or for a daemon's start."""
_GRACE = 20
"""Seconds that requests have at the end. The daemons of mounts need no plugin to go on."""


def serve_plugin(
    path: Path, store: str, environment: str, ready: Callable[[PluginSocket], None]
) -> None:
    """Serve until SIGTERM or SIGINT. ``ready`` is called when Docker can connect. MountError."""
    try:
        from a2wsgi import WSGIMiddleware
        from uvicorn import Config, Server
    except ImportError as error:
        raise MountError(
            f"the plugin of Docker needs {error.name}: pip install 'volfs[docker]'"
        ) from error
    with (
        closing(Driver(path.stem, store, environment)) as driver,
        closing(PluginSocket(path)) as listener,
    ):
        app = WSGIMiddleware(PluginApp(driver), workers=_WORKERS)
        config = Config(
            app,
            lifespan="off",
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=_GRACE,
        )
        # The server raises the signal once more when it has ended.
        signal.signal(signal.SIGTERM, lambda *_: None)
        ready(listener)
        Server(config).run(sockets=[listener.socket])
