"""The names of ``modal.partial_function``."""

from __future__ import annotations

from volfs.api.apps.endpoints import (
    asgi_app,
    clustered,
    fastapi_endpoint,
    sessioned,
    web_endpoint,
    web_server,
    wsgi_app,
)
from volfs.api.apps.marks import batched, concurrent, enter, exit, method

__all__ = [
    "asgi_app",
    "batched",
    "clustered",
    "concurrent",
    "enter",
    "exit",
    "fastapi_endpoint",
    "method",
    "sessioned",
    "web_endpoint",
    "web_server",
    "wsgi_app",
]
