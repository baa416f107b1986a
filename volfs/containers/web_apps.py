"""In a container: the ASGI applications of endpoints, and requests to them.

The messages to and from an application go over the line to the program. A request is a call whose
items are the messages of the application, and the application asks the program for the messages of
the client. It runs in the event loop in which the coroutines of functions run.
"""

from __future__ import annotations

import asyncio
import pickle
import threading
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from volfs.containers.answers import CallFailedError
from volfs.containers.connection import Connection, Incoming
from volfs.containers.endpoint import Endpoint, find_endpoint
from volfs.containers.loop import Loop
from volfs.containers.messages import HandleRequest, Receive, Service, encode
from volfs.errors import InvalidError

AsgiMessage = MutableMapping[str, Any]
AsgiApp = Callable[
    [AsgiMessage, Callable[[], Awaitable[AsgiMessage]], Callable[[AsgiMessage], Awaitable[None]]],
    Any,
]
_THREADS = 1000
_INSTALL = "pip install 'volfs[serve]', or have the function's image install it"


@dataclass
class _Started:
    """An application that has been started, and the state of its lifespan."""

    app: AsgiApp
    lifespan: Any


class WebApps:
    """The applications of one service. Each is made when it is first asked for. Threads may share
    it."""

    def __init__(self, service: Service, loop: Loop, runner: Connection) -> None:
        self._service = service
        self._loop = loop
        self._runner = runner
        self._lock = threading.Lock()
        self._started: dict[str, _Started] = {}
        self._senders = ThreadPoolExecutor(_THREADS, "volfs-senders")

    def handle(self, incoming: Incoming, request: HandleRequest) -> None:
        """Answer a request. Raises what the application raises, and InvalidError."""
        incoming.when_cancelled(None)
        with self._lock:
            started = self._started.get(request.method)
            if started is None:
                started = self._started[request.method] = self._start(request.method)
        scope = pickle.loads(request.scope)
        scope["state"] = dict(started.lifespan.state)
        exchange = _Exchange(incoming, request.call_id, self._runner, self._senders)
        self._loop.run(_run(started.app, scope, exchange))

    def _start(self, method: str) -> _Started:
        function = self._service.get_bound(method)
        endpoint = find_endpoint(function)
        if endpoint is None:
            raise InvalidError(f"{method or 'the function'} is no endpoint")
        app = make_app(endpoint, function)
        return _Started(app, self._loop.run(_start_lifespan(app)))

    def close(self) -> None:
        """Tell the applications to shut down."""
        for started in self._started.values():
            self._loop.run(started.lifespan.shutdown())


async def _run(app: AsgiApp, scope: AsgiMessage, exchange: _Exchange) -> None:
    await app(scope, exchange.receive, exchange.send)


async def _start_lifespan(app: AsgiApp) -> Any:
    from uvicorn import Config
    from uvicorn.lifespan.on import LifespanOn

    lifespan = LifespanOn(Config(app, lifespan="auto", log_config=None))
    await lifespan.startup()
    if lifespan.should_exit:
        raise InvalidError("the application's startup failed; its log says why")
    return lifespan


class _Exchange:
    """The messages of one request."""

    def __init__(
        self,
        incoming: Incoming,
        call_id: str,
        runner: Connection,
        senders: ThreadPoolExecutor,
    ) -> None:
        self._incoming = incoming
        self._call_id = call_id
        self._runner = runner
        self._senders = senders

    async def receive(self) -> AsgiMessage:
        loop = asyncio.get_running_loop()
        arrived = asyncio.Event()
        answer = self._runner.call(encode(Receive(self._call_id)))
        answer.when_done(partial(_wake, loop, arrived))
        await arrived.wait()
        try:
            message: AsgiMessage = pickle.loads(answer.wait())
        except CallFailedError:  # the program is ending
            return {"type": "http.disconnect"}
        return message

    async def send(self, message: AsgiMessage) -> None:
        """Send a message of the application. Waits for a client that does not read; other requests
        go on."""
        body = pickle.dumps(dict(message))
        if self._incoming.has_room:
            self._incoming.item(body)
        else:
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(self._senders, self._incoming.item, body)


def _wake(loop: asyncio.AbstractEventLoop, event: asyncio.Event) -> None:
    with suppress(RuntimeError):  # the loop has ended, so nobody waits
        loop.call_soon_threadsafe(event.set)


# --- making applications ----------------------------------------------------


def make_app(endpoint: Endpoint, function: Callable[..., Any]) -> AsgiApp:
    """The application that answers the requests to an endpoint. Raises InvalidError, and what the
    function raises."""
    if endpoint.kind == "fastapi_endpoint":
        return _make_fastapi_app(endpoint, function)
    made = function()
    if not callable(made):
        raise InvalidError(
            f"{function.__name__} is an {endpoint.kind}: it has to return the application, "
            f"and returned a {type(made).__name__}"
        )
    return _wrap_wsgi(made) if endpoint.kind == "wsgi_app" else made


def _wrap_wsgi(application: Any) -> AsgiApp:
    try:
        from a2wsgi import WSGIMiddleware
    except ImportError as error:
        raise InvalidError(f"a wsgi_app needs a2wsgi: {_INSTALL}") from error
    wrapped: Any = WSGIMiddleware(application, workers=_THREADS)
    return wrapped  # type: ignore[no-any-return]


def _make_fastapi_app(endpoint: Endpoint, function: Callable[..., Any]) -> AsgiApp:
    """An application with one route, open to pages of every origin, as on Modal."""
    try:
        from fastapi import FastAPI
        from fastapi.middleware.cors import CORSMiddleware
    except ImportError as error:
        raise InvalidError(f"a fastapi_endpoint needs FastAPI: {_INSTALL}") from error
    app = FastAPI(openapi_url="/openapi.json" if endpoint.docs else None)
    app.add_middleware(
        CORSMiddleware,
        allow_origins=["*"],
        allow_credentials=True,
        allow_methods=["*"],
        allow_headers=["*"],
    )
    app.add_api_route("/", function, methods=[endpoint.method])
    return app
