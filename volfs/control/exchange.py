"""One request and its answer, over a connection, with a wait that is never silent for long."""

from __future__ import annotations

import select
import socket
from collections.abc import Callable

from volfs.control.daemon_wait import DaemonWait
from volfs.control.protocol import (
    ANSWER_MAX,
    LENGTH_SIZE,
    Request,
    Response,
    decode_answer,
    decode_length,
    encode,
)
from volfs.control.sockets import find_peer
from volfs.errors import AnswerTimeoutError, NoAnswerError

TRY = 0.25
"""Seconds for one attempt to connect: whoever is stopped takes no calls once many wait."""

PART = 1 << 20
"""Bytes received at once: room is made for what came, not for what was announced."""


def connect_patiently(
    connect: Callable[[float], socket.socket], waiting: DaemonWait
) -> socket.socket:
    """A connection by ``connect``, which is given a time limit; OSError, and as ``DaemonWait``."""
    while True:
        try:
            connection = connect(TRY)
        except (TimeoutError, BlockingIOError):
            select.select([], [], [], TRY)  # a full queue is told at once
            waiting.look()
        else:
            waiting.pid = find_peer(connection).pid or None
            connection.setblocking(False)
            return connection


def exchange(connection: socket.socket, request: Request, waiting: DaemonWait) -> Response:
    """The answer to a request. OSError, and as ``DaemonWait``."""
    rest = memoryview(encode(request))
    while rest:
        waiting.for_descriptor(connection.fileno(), select.POLLOUT)
        rest = rest[connection.send(rest) :]
    return receive_answer(connection, waiting)


def receive_answer(connection: socket.socket, waiting: DaemonWait) -> Response:
    """The next answer on a connection. OSError, and as ``DaemonWait``."""
    length = decode_length(_receive(connection, LENGTH_SIZE, waiting), ANSWER_MAX)
    return decode_answer(_receive(connection, length, waiting))


def wait_for_hanging_up(connection: socket.socket, waiting: DaemonWait) -> None:
    """A daemon that ends hangs up when it is gone; AnswerTimeoutError."""
    try:
        waiting.for_descriptor(connection.fileno(), select.POLLIN)
    except AnswerTimeoutError:
        raise
    except NoAnswerError:
        return  # it has answered, and is as good as gone


def _receive(connection: socket.socket, size: int, waiting: DaemonWait) -> bytes:
    parts = bytearray()
    while len(parts) < size:
        waiting.for_descriptor(connection.fileno(), select.POLLIN)
        part = connection.recv(min(size - len(parts), PART))
        if not part:
            raise ConnectionError("it hung up")
        parts += part
    return bytes(parts)
