"""The server of the page: its addresses, its errors, and its socket."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Callable
from urllib.parse import quote

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from volfs.errors import (
    AlreadyExistsError,
    NoEntryError,
    NotADirectoryInVolumeError,
    NotFoundError,
    UserError,
    VolfsError,
)
from volfs.model.text import show_line
from volfs.store.contract.store import Store
from volfs.web import changing_pages, shown_pages
from volfs.web.gate import Gate
from volfs.web.page_making import HERE, render
from volfs.web.shown_store import ShownStore

BACKLOG = 128
_VERSION = "/volumes/{environment}/{name}/{version}"
ROUTES = [
    Route("/", shown_pages.overview),
    Route("/mounts", shown_pages.mounts),
    Route("/mounts/{device}", shown_pages.mount),
    Route("/volumes/{environment}/{name}", shown_pages.volume),
    Route("/volumes/{environment}/{name}/{old}/diff/{new}", shown_pages.diff),
    Route(f"{_VERSION}/files", shown_pages.files),
    Route(f"{_VERSION}/download", shown_pages.download),
    Route(f"{_VERSION}/image", shown_pages.image),
    Route(f"{_VERSION}/restore", changing_pages.ask_restore, methods=["GET"]),
    Route(f"{_VERSION}/restore", changing_pages.restore, methods=["POST"]),
    Route(f"{_VERSION}/tag", changing_pages.ask_tag, methods=["GET"]),
    Route(f"{_VERSION}/tag", changing_pages.tag, methods=["POST"]),
    Mount("/static", StaticFiles(directory=HERE / "static")),
]


def make_app(store: Store, token: str, bound: str, port: int, allowed: frozenset[str]) -> ASGIApp:
    """The whole page, behind its gate."""
    app = Starlette(
        routes=ROUTES,
        exception_handlers={VolfsError: _show_error, HTTPException: _show_http_error},
    )
    app.state.shown = ShownStore(store)
    return Gate(app, token, bound, port, allowed)


def _show_error(request: Request, error: Exception) -> Response:
    status = 500
    if isinstance(error, (NotFoundError, NoEntryError, NotADirectoryInVolumeError)):
        status = 404
    elif isinstance(error, AlreadyExistsError):
        status = 409
    elif isinstance(error, UserError):
        status = 400
    return render(request, "problem.html", status=status, problem=show_line(str(error)))


def _show_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    said = "There is nothing at this address." if error.status_code == 404 else error.detail
    return render(request, "problem.html", status=error.status_code, problem=said)


def serve_page(
    store: Store,
    host: str,
    port: int,
    allowed: frozenset[str],
    tell: Callable[[str], None],
) -> None:
    """Serve until a signal ends it. ``tell`` gets the address, with the token. UserError."""
    token = secrets.token_urlsafe(24)
    listener = _listen(host, port)
    number = listener.getsockname()[1]
    place = f"[{host}]" if ":" in host else host
    app = make_app(store, token, host, number, allowed)
    config = uvicorn.Config(
        app,
        log_level="warning",
        lifespan="off",
        server_header=False,
        date_header=False,
        timeout_graceful_shutdown=1,
        ws="none",
    )
    tell(f"http://{place}:{number}/?token={quote(token)}")
    uvicorn.Server(config).run(sockets=[listener])


def _listen(host: str, port: int) -> socket.socket:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)  # Whoever gets the address may ask at once.
    except OSError as error:
        raise UserError(f"cannot listen at {host}:{port}: {error.strerror or error}") from error
    return listener
