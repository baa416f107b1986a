"""One request and its answer over a kept connection, for a caller that waits by itself.

Nothing here waits. An exchange tells its caller what to wait for: until the connection takes bytes,
or until it has some. Then the caller lets the exchange go on
(docs/decisions/0067-small-files-without-threads.md).
"""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Callable

from httptools import HttpParserError, HttpResponseParser

from volfs.buckets.answers import FailureKind, RequestFailure
from volfs.buckets.http_values import Reply, WireRequest, with_length

ROOM = 1 << 16
FINAL = 200
_NOT_YET = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
_ENDS_LINE = re.compile("[\0\r\n]")


class Exchange:
    """A request that is being sent, or whose answer is awaited."""

    def __init__(
        self, connection: socket.socket, sent: bytes, keep: Callable[[socket.socket], None]
    ) -> None:
        self._connection = connection
        self._keep = keep
        self._unsent = memoryview(sent)
        self._answer = _Answer()
        self._parser = self._answer.parser
        self._is_open = True

    def fileno(self) -> int:
        return self._connection.fileno()

    @property
    def is_sending(self) -> bool:
        """Whether the caller has to wait until the connection takes more bytes. If it is False, the
        caller waits for the answer."""
        return len(self._unsent) > 0

    def send(self) -> None:
        """Send as much as the connection takes. ``RequestFailure``."""
        try:
            while self._unsent:
                self._unsent = self._unsent[self._connection.send(self._unsent) :]
        except _NOT_YET:
            return
        except OSError as error:
            raise _to_reset(error) from None

    def receive(self) -> Reply | None:
        """The answer; None if it is not complete yet. ``RequestFailure``."""
        answer = self._answer
        try:
            while not answer.is_complete:
                self._feed(self._connection.recv(ROOM))
        except _NOT_YET:
            return None
        except OSError as error:
            raise _to_reset(error) from None
        except HttpParserError:
            raise RequestFailure(FailureKind.RESET, "the answer is no HTTP") from None
        self._end(keeps=answer.keeps_alive and answer.begun == 1)
        return Reply(answer.status, answer.headers, b"".join(answer.body))

    def close(self) -> None:
        """End. If the answer is not complete, the connection is closed, because it is of no more
        use."""
        self._end(keeps=False)

    def _feed(self, data: bytes) -> None:
        if not data:
            kind = FailureKind.SHORT if self._answer.status else FailureKind.RESET
            raise RequestFailure(kind, "the connection was closed")
        self._parser.feed_data(data)

    def _end(self, *, keeps: bool) -> None:
        if self._is_open:
            self._is_open = False
            if keeps:
                self._keep(self._connection)
            else:
                self._connection.close()


class _Answer:
    """What the parser has found. Its methods are those that the parser calls."""

    def __init__(self) -> None:
        self.parser = HttpResponseParser(self)
        self.status = 0
        self.headers: dict[str, str] = {}
        self.body: list[bytes] = []
        self.begun = 0
        self.keeps_alive = False
        self.is_complete = False

    def on_message_begin(self) -> None:
        self.begun += 1

    def on_header(self, name: bytes, value: bytes) -> None:
        key, said = name.decode("latin-1").lower(), value.decode("latin-1")
        self.headers[key] = f"{self.headers[key]}, {said}" if key in self.headers else said

    def on_headers_complete(self) -> None:
        self.status = self.parser.get_status_code()

    def on_body(self, data: bytes) -> None:
        self.body.append(data)

    def on_message_complete(self) -> None:
        """Note the end of an answer. After a status below 200 another answer follows."""
        if self.status < FINAL:
            self.status, self.begun = 0, 0
            self.headers.clear()
        else:
            self.keeps_alive = self.parser.should_keep_alive()
            self.is_complete = True


def write_request(request: WireRequest, host: str) -> bytes | None:
    """The bytes of a request. None if a header has characters that HTTP does not allow."""
    headers = {"host": host, "accept-encoding": "identity", "user-agent": "volfs"}
    headers |= with_length(request)
    if any(map(_ENDS_LINE.search, (request.target, *headers.values()))):
        return None
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    head = f"{request.method} {request.target} HTTP/1.1\r\n{lines}\r\n"
    try:
        return head.encode("latin-1") + request.body
    except UnicodeEncodeError:
        return None


def is_usable(connection: socket.socket) -> bool:
    """Whether a connection on which nothing is awaited is still open, and has received nothing."""
    try:
        connection.recv(1)
    except _NOT_YET:
        return True
    except OSError:
        return False
    return False


def _to_reset(error: OSError) -> RequestFailure:
    return RequestFailure(FailureKind.RESET, error.strerror or "")
