"""The ASGI application in front of an endpoint. Each request is a call to a container."""

from __future__ import annotations

import asyncio
import contextlib
import pickle
import threading
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Protocol

from volfs.api.apps.requests import open_request
from volfs.api.serving.sites import Site
from volfs.containers.answers import Answer, CallFailedError
from volfs.containers.messages import HandleRequest
from volfs.containers.remote_errors import load_fault
from volfs.containers.web_apps import AsgiMessage
from volfs.store.identity import make_id

ReceiveAsgi = Callable[[], Awaitable[AsgiMessage]]
SendAsgi = Callable[[AsgiMessage], Awaitable[None]]
_PASSED = (
    *("type", "asgi", "http_version", "method", "scheme", "path", "raw_path", "query_string"),
    *("root_path", "headers", "client", "server", "subprotocols"),
)
"""The keys of a request that an application gets. The server's own objects cannot be pickled."""


class News(Protocol):
    """The receiver of news: what was answered, and what went wrong."""

    def answered(self, name: str, what: str, seconds: float) -> None: ...

    def failed(self, name: str, error: Exception) -> None: ...


class Front:
    """The front of one endpoint. Each request has a thread as long as it is open."""

    def __init__(self, site: Site, report: News) -> None:
        self._site = site
        self._report = report

    async def __call__(self, scope: AsgiMessage, receive: ReceiveAsgi, send: SendAsgi) -> None:
        loop = asyncio.get_running_loop()
        request = _Request(self._site, self._report, loop, receive, send)
        try:
            await _run_in_thread(loop, partial(request.answer, scope))
        except asyncio.CancelledError:
            request.cancel()
            raise


async def _run_in_thread(loop: asyncio.AbstractEventLoop, work: Callable[[], None]) -> None:
    """Run work in a thread that the end of the program does not wait for."""
    done = asyncio.Event()

    def run() -> None:
        try:
            work()
        finally:
            with contextlib.suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(done.set)

    threading.Thread(target=run, daemon=True).start()
    await done.wait()


class _Request:
    def __init__(
        self,
        site: Site,
        report: News,
        loop: asyncio.AbstractEventLoop,
        receive: ReceiveAsgi,
        send: SendAsgi,
    ) -> None:
        self._site = site
        self._report = report
        self._loop = loop
        self._receive = receive
        self._send = send
        self._answer: Answer | None = None
        self._beginning: AsgiMessage | None = None
        """The beginning of the response, held back until more of it comes, because it may still be
        replaced."""
        self._status = 0

    def answer(self, scope: AsgiMessage) -> None:
        began = time.monotonic()
        call_id = make_id("fc")
        passed = {key: scope[key] for key in _PASSED if key in scope}
        handle = HandleRequest(self._site.method, pickle.dumps(passed), call_id)
        with open_request(call_id, self._receive_one):
            try:
                self._answer = answer = self._site.target.get_pool().submit(handle)
                for item in answer.iter_items():
                    self._take(pickle.loads(item), answer)
            except CallFailedError as error:
                self._fail(scope["type"], load_fault(error.body))
            except Exception as error:  # noqa: BLE001 - one failed request must not end the server
                self._fail(scope["type"], error)
        said = f"{scope.get('method', 'WEBSOCKET')} {_show_path(scope)} {self._status}"
        self._report.answered(self._site.name, said, time.monotonic() - began)

    def cancel(self) -> None:
        if self._answer is not None:
            self._answer.cancel()

    def _receive_one(self) -> bytes:
        """The next message of the client, for the container that answers."""

        async def receive() -> AsgiMessage:
            return await self._receive()

        return pickle.dumps(dict(asyncio.run_coroutine_threadsafe(receive(), self._loop).result()))

    def _take(self, message: AsgiMessage, answer: Answer) -> None:
        """Take a message of the container's application."""
        if message["type"] == "http.response.start":
            self._beginning = message
            return
        if message["type"] == "http.response.body" and not message.get("more_body"):
            # The application may go on after its response, but the end of the response means that
            # its writing is done.
            answer.commit_now()
        self._pass_held()
        self._pass(message)

    def _pass_held(self) -> None:
        beginning, self._beginning = self._beginning, None
        if beginning is not None:
            self._pass(beginning)

    def _pass(self, message: AsgiMessage) -> None:
        """Send a message to the client. It is no error if the client has gone: the application is
        told, and may go on."""
        if message["type"] == "websocket.accept":
            self._status = 101
        self._status = message.get("status", self._status)

        async def send() -> None:
            await self._send(message)

        with contextlib.suppress(OSError):
            asyncio.run_coroutine_threadsafe(send(), self._loop).result()

    def _fail(self, kind: str, error: Exception) -> None:
        """Log an error. The client learns only that the server failed."""
        self._report.failed(self._site.name, error)
        self._beginning = None
        if kind == "websocket":
            self._pass({"type": "websocket.close", "code": 1011})
        elif not self._status:
            headers = [(b"content-type", b"text/plain; charset=utf-8")]
            self._pass({"type": "http.response.start", "status": 500, "headers": headers})
            self._pass({"type": "http.response.body", "body": b"Internal Server Error"})


def _show_path(scope: AsgiMessage) -> str:
    query = scope.get("query_string", b"").decode("latin-1")
    return f"{scope.get('path', '')}{'?' if query else ''}{query}"
