"""A proxy before a server of buckets that does, to chosen requests, what networks do.

The Host header stays as it was, so signatures hold. What is done to whom is said by rules;
where chance decides, a seed does. Every request is recorded, so tests can count them.
"""

from __future__ import annotations

import random
import re
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from http.client import HTTPConnection, HTTPException, HTTPResponse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple
from urllib.parse import urlsplit

TURNS = 20
"""In how many bits a slow body is taken."""


class Fault(Enum):
    DROP = "the request never gets to the server, and the connection ends"
    LOSE = "the server does what it is asked, and its answer gets lost"
    LATE = "the client hears nothing; the server hears the request ``seconds`` later"
    DELAY = "the request gets to the server ``seconds`` later"
    STATUS = "the answer is ``status`` with ``code``, and not the server's"
    CUT = "the answer ends after half of its bytes"
    FLIP = "one bit of the answer's body is another"
    FLIP_SENT = "one bit of the request's body is another"
    STALL = "the answer stops after half of its bytes, and nothing ends"
    SLOW = "the request's body is taken in ``seconds``, a bit at a time"
    RESET = "the connection is reset before an answer"
    TWICE = "the server gets the request twice; the client gets the second answer"


@dataclass
class Rule:
    """What happens to which requests. Without ``count`` to all of them, as ``chance`` decides."""

    fault: Fault
    method: str = ".*"
    key: str = ""
    """A pattern that is searched for in the path and the query, as they are sent."""
    header: str = ""
    """A pattern that is searched for in the request's headers, each as ``name: value``."""
    count: int | None = None
    skip: int = 0
    """How many requests that fit are let pass first."""
    chance: float = 1.0
    seconds: float = 0.0
    status: int = 500
    code: str = "InternalError"
    headers: tuple[tuple[str, str], ...] = ()


class Seen(NamedTuple):
    method: str
    path: str
    """With the query."""
    fault: Fault | None
    status: int
    """What the client was told; 0 for nothing."""


class FaultProxy:
    """Listens on a port of its own at an address of this machine, in threads of this process."""

    def __init__(
        self, upstream: str, seed: int = 0, address: str = "127.0.0.1", port: int = 0
    ) -> None:
        """``port`` is that of a proxy that was closed, to take its place."""
        parts = urlsplit(upstream)
        self.upstream = (parts.hostname or "", parts.port or 80)
        self.round_trip = 0.0
        """Seconds by which every answer is late."""
        self.seen: list[Seen] = []
        self.rules: list[Rule] = []
        self.stopped = threading.Event()
        self._random = random.Random(seed)
        self._lock = threading.Lock()
        self._address = address
        self._server = _Listener((address, port), _Handler)
        self._server.proxy = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def endpoint(self) -> str:
        return f"http://{self._address}:{self.port}"

    def close(self) -> None:
        self.stopped.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._server.end_connections()

    def add(self, fault: Fault, **details: object) -> Rule:
        rule = Rule(fault, **details)  # type: ignore[arg-type]
        with self._lock:
            self.rules.append(rule)
        return rule

    def clear(self) -> None:
        """No more rules, and nothing recorded."""
        with self._lock:
            self.rules.clear()
            self.seen.clear()

    def count(self, method: str = ".*", key: str = "") -> int:
        """How many such requests came, whatever became of them."""
        with self._lock:
            return sum(
                1 for seen in self.seen if _fits(seen.method, method) and re.search(key, seen.path)
            )

    # --- for the handlers -------------------------------------------------------

    def choose(self, method: str, path: str, headers: str) -> Rule | None:
        with self._lock:
            for rule in self.rules:
                fits = _fits(method, rule.method) and re.search(rule.key, path)
                fits = fits and re.search(rule.header, headers)
                if fits and self._applies(rule):
                    return rule
        return None

    def flip(self, data: bytes) -> bytes:
        """The data with one bit of it changed."""
        changed = bytearray(data)
        with self._lock:
            place = self._random.randrange(len(changed))
            changed[place] ^= 1 << self._random.randrange(8)
        return bytes(changed)

    def record(self, seen: Seen) -> None:
        with self._lock:
            self.seen.append(seen)

    def _applies(self, rule: Rule) -> bool:
        if rule.count == 0 or self._random.random() >= rule.chance:
            return False
        if rule.skip:
            rule.skip -= 1
            return False
        if rule.count is not None:
            rule.count -= 1
        return True


@contextmanager
def proxied(upstream: str, seed: int = 0) -> Iterator[FaultProxy]:
    proxy = FaultProxy(upstream, seed)
    try:
        yield proxy
    finally:
        proxy.close()


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    proxy: FaultProxy

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)  # type: ignore[arg-type]
        self._open: set[socket.socket] = set()

    def process_request(self, request: socket.socket, client_address: object) -> None:  # type: ignore[override]
        self._open.add(request)
        super().process_request(request, client_address)  # type: ignore[arg-type]

    def shutdown_request(self, request: socket.socket) -> None:  # type: ignore[override]
        self._open.discard(request)
        super().shutdown_request(request)

    def end_connections(self) -> None:
        for connection in list(self._open):
            _shut(connection)

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that go away are what this proxy is for."""


class _Answer(NamedTuple):
    status: int
    headers: list[tuple[str, str]]
    body: bytes


class _GoneError(Exception):
    """The connection of the client is to end without an answer."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Listener

    def setup(self) -> None:
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._upstream: HTTPConnection | None = None

    def finish(self) -> None:
        if self._upstream is not None:
            self._upstream.close()
        super().finish()

    def log_message(self, *_: object) -> None:
        """Tests look at ``seen``."""

    def _serve(self) -> None:
        proxy = self.server.proxy
        headers = "\n".join(f"{k.lower()}: {v}" for k, v in self.headers.items())
        rule = proxy.choose(self.command, self.path, headers)
        size = int(self.headers.get("content-length") or 0)
        slow = rule is not None and rule.fault is Fault.SLOW
        body = self._read_slowly(size, rule.seconds) if rule and slow else self.rfile.read(size)
        fault = rule.fault if rule is not None else None
        status = 0
        try:
            answer = self._forward(body) if rule is None else self._disturb(rule, body)
            status = answer.status
            if proxy.round_trip:
                proxy.stopped.wait(proxy.round_trip)
            proxy.record(Seen(self.command, self.path, fault, status))
            self._answer(answer, rule)
        except (_GoneError, OSError, HTTPException):
            if not status:
                proxy.record(Seen(self.command, self.path, fault, 0))
            self.close_connection = True
            _shut(self.connection)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _serve  # noqa: N815 - http.server's names

    def _read_slowly(self, size: int, seconds: float) -> bytes:
        parts: list[bytes] = []
        for _ in range(TURNS - 1):
            parts.append(self.rfile.read(size // TURNS))
            self.server.proxy.stopped.wait(seconds / TURNS)
        return b"".join(parts) + self.rfile.read(size - sum(map(len, parts)))

    def _disturb(self, rule: Rule, body: bytes) -> _Answer:
        proxy = self.server.proxy
        if rule.fault is Fault.DROP:
            raise _GoneError
        if rule.fault is Fault.RESET:
            _reset(self.connection)
            raise _GoneError
        if rule.fault is Fault.STATUS:
            return _refuse(rule)
        if rule.fault in (Fault.DELAY, Fault.LATE):
            proxy.stopped.wait(rule.seconds)
        if rule.fault is Fault.FLIP_SENT and body:
            body = proxy.flip(body)
        if rule.fault is Fault.TWICE:
            self._forward(body)
        answer = self._forward(body)
        if rule.fault in (Fault.LOSE, Fault.LATE):
            raise _GoneError
        if rule.fault is Fault.FLIP and answer.body:
            return answer._replace(body=proxy.flip(answer.body))
        return answer

    def _forward(self, body: bytes) -> _Answer:
        if self._upstream is None:
            self._upstream = HTTPConnection(*self.server.proxy.upstream, timeout=120)
        self._upstream.putrequest(
            self.command, self.path, skip_host=True, skip_accept_encoding=True
        )
        for name, value in self.headers.items():
            if name.lower() not in ("connection", "expect"):
                self._upstream.putheader(name, value)
        self._upstream.endheaders(body or None)
        return _read(self._upstream.getresponse())

    def _answer(self, answer: _Answer, rule: Rule | None) -> None:
        self.send_response_only(answer.status)
        for name, value in answer.headers:
            self.send_header(name, value)
        # The length of a HEAD's answer is that of what a GET would have.
        if self.command != "HEAD" and answer.status not in (204, 304):
            self.send_header("content-length", str(len(answer.body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        half = len(answer.body) // 2
        if rule is not None and rule.fault in (Fault.CUT, Fault.STALL):
            self.wfile.write(answer.body[:half])
            if rule.fault is Fault.STALL:
                self.server.proxy.stopped.wait()
            raise _GoneError
        self.wfile.write(answer.body)


def _fits(method: str, pattern: str) -> bool:
    return re.fullmatch(pattern, method) is not None


def _read(response: HTTPResponse) -> _Answer:
    body = response.read()
    dropped = {"connection", "transfer-encoding"}
    if response._method != "HEAD":  # type: ignore[attr-defined]
        dropped.add("content-length")
    headers = [
        (name, value) for name, value in response.getheaders() if name.lower() not in dropped
    ]
    return _Answer(response.status, headers, body)


def _refuse(rule: Rule) -> _Answer:
    body = f"<Error><Code>{rule.code}</Code><Message>by the proxy</Message></Error>".encode()
    return _Answer(rule.status, [("content-type", "application/xml"), *rule.headers], body)


def _reset(connection: socket.socket) -> None:
    """The next close sends RST, for nothing is to linger."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def _shut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
