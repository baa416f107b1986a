"""One request over a connection, and its answer, with a wait that is never silent for long."""

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
"""Seconds for one attempt to connect: a stopped daemon accepts no calls once many are waiting."""

PART = 1 << 20
"""Bytes that are received at once. Room is made for bytes that came, not for an announced
length."""


def connect_patiently(
    connect: Callable[[float], socket.socket], waiting: DaemonWait
) -> socket.socket:
    """A connection by ``connect``, which gets a time limit. OSError, and the errors of
    ``DaemonWait``."""
    while True:
        try:
            connection = connect(TRY)
        except (TimeoutError, BlockingIOError):
            select.select([], [], [], TRY)  # The kernel reports a full queue at once.
            waiting.look()
        else:
            waiting.pid = find_peer(connection).pid or None
            connection.setblocking(False)
            return connection


def exchange(connection: socket.socket, request: Request, waiting: DaemonWait) -> Response:
    """The answer to a request. OSError, and the errors of ``DaemonWait``."""
    rest = memoryview(encode(request))
    while rest:
        waiting.for_descriptor(connection.fileno(), select.POLLOUT)
        rest = rest[connection.send(rest) :]
    return receive_answer(connection, waiting)


def receive_answer(connection: socket.socket, waiting: DaemonWait) -> Response:
    """The next answer on a connection. OSError, and the errors of ``DaemonWait``."""
    length = decode_length(_receive(connection, LENGTH_SIZE, waiting), ANSWER_MAX)
    return decode_answer(_receive(connection, length, waiting))


def wait_for_hanging_up(connection: socket.socket, waiting: DaemonWait) -> None:
    """Wait until the daemon has ended, which closes the connection. AnswerTimeoutError."""
    try:
        waiting.for_descriptor(connection.fileno(), select.POLLIN)
    except AnswerTimeoutError:
        raise
    except NoAnswerError:
        return  # The daemon has answered, so it ends in a moment.


def _receive(connection: socket.socket, size: int, waiting: DaemonWait) -> bytes:
    parts = bytearray()
    while len(parts) < size:
        waiting.for_descriptor(connection.fileno(), select.POLLIN)
        part = connection.recv(min(size - len(parts), PART))
        if not part:
            raise ConnectionError("it hung up")
        parts += part
    return bytes(parts)
