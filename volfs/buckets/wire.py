"""HTTP requests to one host: kept connections, time limits, and named failures."""

from __future__ import annotations

import logging
import re
import socket
import ssl
import time
from collections import deque
from collections.abc import Callable, Iterator
from http.client import HTTPResponse
from typing import Any, cast
from urllib.parse import SplitResult, urlsplit

import urllib3
from urllib3 import exceptions as trouble
from urllib3.connection import HTTPConnection, HTTPSConnection

from volfs.buckets.answers import FailureKind, RequestFailure
from volfs.buckets.http_exchange import Exchange, is_usable, write_request
from volfs.buckets.http_values import Reply, WireRequest, with_length
from volfs.buckets.proxies import HttpProxy
from volfs.model.objects import Buffer
from volfs.system.slabs import Slabs

CONNECT_TIMEOUT = 10.0
"""Seconds for making a connection, and for each piece of a body that is sent."""
PIECE = 256 * 1024
CONNECTIONS = 64
CHUNK = 1 << 20
TOTAL = 3
"""A request that makes progress may take this many times the timeout."""
RATE = 256 * 1024
"""Bytes per second. An upload or an answer may take the time of its bytes at this rate in
addition."""
SLABS = Slabs(8 << 20, kept=16)
"""The memory for the bytes of large ranges."""
SLAB_LEAST = SLABS.size // 2
"""Fewer bytes would leave too much of a slab unused."""

_SIGNATURE = re.compile(r"(?i)([?&](?:sig|x-amz-signature|x-goog-signature)=)[^&\s]*")
_NO_BODY = (204, 304)
_NO_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST", "UNKNOWN_PROTOCOL")
"""What OpenSSL says of an answer that is no TLS."""
_ALERT = repr("\x15\x03")[1:-1]
"""How an error shows the alert of a host that speaks TLS, where an answer of HTTP should be."""


class _NoSignatures(logging.Filter):
    """Removes signatures from the URLs that urllib3 logs at its debug level."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(
                _SIGNATURE.sub(r"\1…", value) if isinstance(value, str) else value
                for value in record.args
            )
        return True


logging.getLogger("urllib3.connectionpool").addFilter(_NoSignatures())


class Wire:
    """The connections to one host. ``root`` is ``https://HOST:PORT``, without a path."""

    def __init__(
        self, root: str, *, trust: ssl.SSLContext | None = None, proxy: HttpProxy | None = None
    ) -> None:
        parts = urlsplit(root)
        self.host = parts.netloc
        self.is_secure = parts.scheme == "https"
        self.root = f"{parts.scheme}://{parts.netloc}"
        self._answered = False
        options = {
            "maxsize": CONNECTIONS,
            "block": False,
            "retries": False,
            "socket_options": _socket_options(),
            **({"ssl_context": trust} if trust and self.is_secure else {}),
        }
        self._pool, self._extra = _open_pool(self.root, proxy, options)
        # A proxy of plain HTTP gets whole URLs. For TLS it only makes a tunnel.
        self._before = self.root if proxy is not None and not self.is_secure else ""
        self._connect = None if proxy is not None else _make_connect(parts, trust)
        self._kept: deque[socket.socket] = deque()
        """Open connections for exchanges. None of them has an exchange at present."""

    def close(self) -> None:
        self._pool.close()
        while self._kept:
            self._kept.pop().close()

    # --- exchanges: the caller waits -----------------------------------------------

    def connect(self, timeout: float) -> bool:
        """Make a connection for an exchange. False if exchanges are not possible here, or if
        there is no connection; then ``send`` says why."""
        if self._connect is None:
            return False
        try:
            connection = self._connect(min(CONNECT_TIMEOUT, timeout))
        except (trouble.HTTPError, OSError):
            return False
        self._keep(connection)
        return True

    def begin(self, request: WireRequest) -> Exchange | None:
        """Begin to send a request over a kept connection. None if there is none, or if the request
        cannot be sent like this; then ``send`` sends it. ``RequestFailure``."""
        sent = write_request(request, self.host) if self._kept else None
        connection = None if sent is None else self._find_kept()
        if sent is None or connection is None:
            return None
        exchange = Exchange(connection, sent, self._keep)
        try:
            exchange.send()
        except RequestFailure:
            exchange.close()
            raise
        return exchange

    def _keep(self, connection: socket.socket) -> None:
        if len(self._kept) < CONNECTIONS:
            self._kept.append(connection)
        else:
            connection.close()

    def _find_kept(self) -> socket.socket | None:
        while self._kept:
            connection = self._kept.pop()
            if is_usable(connection):
                return connection
            connection.close()
        return None

    # --- requests: this thread waits -------------------------------------------------

    def send(self, request: WireRequest, timeout: float) -> Reply:
        """The answer, whatever its status. ``RequestFailure`` if no complete answer comes."""
        try:
            return self._send(request, timeout)
        except trouble.HTTPError as error:
            raise self._to_failure(error) from None
        except TimeoutError as error:
            raise RequestFailure(FailureKind.TIMEOUT, f"{self.root}: {error}") from None
        except OSError as error:
            raise RequestFailure(FailureKind.RESET, f"{self.root}: {error}") from None

    def _send(self, request: WireRequest, timeout: float) -> Reply:
        end = time.monotonic() + TOTAL * timeout + len(request.body) / RATE
        answer = self._pool.urlopen(
            request.method,
            self._before + request.target,
            # urllib3 accepts pieces of any buffer, but its types allow only bytes.
            body=cast("Iterator[bytes]", _iter_pieces(request.body, end))
            if len(request.body)
            else None,
            headers=with_length(request) | self._extra,
            redirect=False,
            assert_same_host=False,  # The host of a whole URL is not that of the proxy.
            preload_content=False,
            decode_content=False,
            timeout=urllib3.Timeout(connect=min(CONNECT_TIMEOUT, timeout), read=timeout),
        )
        try:
            body = self._read_body(request, answer, end)
        except BaseException:
            answer.close()
            raise
        answer.release_conn()
        self._answered = True
        return Reply(answer.status, answer.headers, body)

    def _read_body(
        self, request: WireRequest, answer: urllib3.BaseHTTPResponse, end: float
    ) -> Buffer:
        if request.method == "HEAD":
            return b""
        length = answer.headers.get("content-length")
        source = _find_plain(answer) if "range" in request.headers else None
        if source is not None and SLAB_LEAST <= int(length or 0) <= SLABS.size:
            return self._receive(source, int(length or 0), end)
        return self._read(answer, end)

    def _receive(self, source: HTTPResponse, length: int, end: float) -> memoryview:
        """A body of this length. The system writes it to where it stays, so nothing copies it."""
        body, got = SLABS.take(length), 0
        while got < length and (count := source.fp.readinto1(body[got:])):
            got += count
            self._check_pace(got, end)
        source.close()  # The connection stays.
        if got < length:
            raise RequestFailure(FailureKind.SHORT, f"{self.root}: {got} of {length} bytes came")
        return body

    def _read(self, answer: urllib3.BaseHTTPResponse, end: float) -> bytes:
        chunks: list[bytes] = []
        length = answer.headers.get("content-length")
        got = 0
        while chunk := answer.read1(CHUNK, decode_content=False):
            chunks.append(chunk)
            got += len(chunk)
            self._check_pace(got, end)
        if length is not None and got < int(length) and answer.status not in _NO_BODY:
            raise RequestFailure(FailureKind.SHORT, f"{self.root}: {got} of {length} bytes came")
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def _check_pace(self, got: int, end: float) -> None:
        if time.monotonic() > end + got / RATE:
            raise RequestFailure(FailureKind.TIMEOUT, f"{self.root}: the answer comes too slowly")

    def _to_failure(self, error: trouble.HTTPError) -> RequestFailure:
        kind = _kind_of(error)
        hint = self._hint() if kind is FailureKind.RESET and not self._answered else ""
        return RequestFailure(kind, f"{self.root}{_say(error)}{hint}")

    def _hint(self) -> str:
        """What may be wrong with a host that ends every connection."""
        if self.is_secure:
            return "; if it speaks no TLS, use endpoint=http://"
        return "; if it speaks TLS, use endpoint=https://"


def _open_pool(
    root: str, proxy: HttpProxy | None, options: dict[str, Any]
) -> tuple[urllib3.HTTPConnectionPool, dict[str, str]]:
    """The connections to a host, and the headers that go with each request."""
    if proxy is None:
        return urllib3.connection_from_url(root, **options), {}
    shown = urllib3.make_headers(proxy_basic_auth=proxy.user) if proxy.user else {}
    manager = urllib3.ProxyManager(proxy.url, proxy_headers=shown, **options)
    is_secure = root.startswith("https:")
    return manager.connection_from_url(root), {} if is_secure else dict(shown)


def _make_connect(
    parts: SplitResult, trust: ssl.SSLContext | None
) -> Callable[[float], socket.socket]:
    """Return a function that makes a connection which never blocks. It gets a timeout in
    seconds."""
    options: dict[str, Any] = {"port": parts.port, "socket_options": _socket_options()}
    kind = HTTPConnection
    if parts.scheme == "https":
        kind, options = HTTPSConnection, options | {"ssl_context": trust}

    def connect(timeout: float) -> socket.socket:
        made = kind(parts.hostname or "", timeout=timeout, **options)
        made.connect()
        connection, made.sock = made.sock, None
        assert isinstance(connection, socket.socket)
        connection.setblocking(False)
        return connection

    return connect


def _find_plain(answer: urllib3.BaseHTTPResponse) -> HTTPResponse | None:
    """The answer as the standard library has it, if the body is sent in one piece."""
    source = getattr(answer, "_original_response", None)
    if not isinstance(source, HTTPResponse) or source.chunked or source.isclosed():
        return None
    return source


def _kind_of(error: trouble.HTTPError) -> FailureKind:
    if isinstance(error, trouble.ProxyError):
        return FailureKind.PROXY
    if isinstance(error, (trouble.NameResolutionError, trouble.LocationValueError)):
        return FailureKind.NO_HOST
    if isinstance(error, trouble.NewConnectionError):
        return FailureKind.REFUSED
    if isinstance(error, trouble.TimeoutError):
        return FailureKind.TIMEOUT
    if isinstance(error, trouble.SSLError):
        return _kind_of_tls(str(error).upper())
    if _ALERT in str(error):
        return FailureKind.ONLY_TLS
    if isinstance(error, trouble.IncompleteRead):
        return FailureKind.SHORT
    return FailureKind.SHORT if "IncompleteRead" in str(error) else FailureKind.RESET


def _kind_of_tls(said: str) -> FailureKind:
    if any(reason in said for reason in _NO_TLS):
        return FailureKind.NO_TLS
    return FailureKind.TLS if "CERTIFICATE" in said else FailureKind.RESET


def _say(error: trouble.HTTPError) -> str:
    """What the system said, without the URL, which may have a signature in it."""
    cause = error.__cause__ or error.__context__
    if isinstance(error, trouble.ProxyError):
        said = str(error.original_error)
        return f": {said}" if said.startswith("Tunnel connection failed") else ""
    if isinstance(cause, (socket.gaierror, ssl.SSLError, OSError)) and cause.strerror:
        return f": {cause.strerror}"
    return ""


def _iter_pieces(body: Buffer, end: float) -> Iterator[memoryview]:
    """A body in pieces, because the time limit of a socket covers everything that is sent with one
    call."""
    view = memoryview(body)
    for place in range(0, len(view), PIECE):
        if time.monotonic() > end:
            raise RequestFailure(FailureKind.TIMEOUT, "the service takes the bytes too slowly")
        yield view[place : place + PIECE]


def _socket_options() -> list[tuple[int, int, int]]:
    return [
        (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
        (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    ]
