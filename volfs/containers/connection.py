"""Calls over a socket: each end may call the other, many calls at once.

A frame is its kind (1 byte), the number of the call (8 bytes), a length (8 bytes), and a body of
that length, which this module does not read. In CALL and CANCEL the sender of the frame has chosen
the number. ITEM, DONE and FAILED answer with the same number. TAKEN says how many bytes of items
have been read: the end that gives items waits when it is too far ahead of the end that reads them.
"""

from __future__ import annotations

import socket
import struct
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from enum import IntEnum
from itertools import count

from volfs.containers.answers import TAKEN_STEP, UNLIMITED, Answer, compute_cost
from volfs.containers.remote_errors import dump_fault

_HEADER = struct.Struct(">BQQ")
_AMOUNT = struct.Struct(">Q")
AHEAD = 4 * TAKEN_STEP
"""The bytes of items that may be under way."""


class FrameKind(IntEnum):
    CALL = 1
    ITEM = 2
    DONE = 3
    FAILED = 4
    CANCEL = 5
    TAKEN = 6


class Incoming:
    """A call from the other end. End it with ``done`` or ``failed``, after any ``item``."""

    def __init__(self, connection: Connection, number: int, body: bytes) -> None:
        self.body = body
        self._on_cancel: Callable[[], None] | None = None
        self.is_cancelled = False
        self._connection = connection
        self._number = number
        self._flow = threading.Condition()
        self._ahead = 0

    def item(self, body: bytes) -> None:
        """Send an item. Wait while too much is under way, unless the call is cancelled."""
        with self._flow:
            while self._ahead >= AHEAD and not self.is_cancelled:
                self._flow.wait()
            self._ahead += compute_cost(body)
        self._connection.send(FrameKind.ITEM, self._number, body)

    @property
    def has_room(self) -> bool:
        """Whether ``item`` would not wait."""
        return self._ahead < AHEAD or self.is_cancelled

    def taken(self, amount: int) -> None:
        with self._flow:
            self._ahead -= amount
            self._flow.notify_all()

    def done(self, body: bytes) -> None:
        self._end(FrameKind.DONE, body)

    def failed(self, body: bytes) -> None:
        self._end(FrameKind.FAILED, body)

    def _end(self, kind: FrameKind, body: bytes) -> None:
        self._connection.forget(self._number)
        self._connection.send(kind, self._number, body)

    def cancel(self) -> None:
        self.is_cancelled = True
        self.taken(0)
        if self._on_cancel is not None:
            self._on_cancel()

    def when_cancelled(self, listener: Callable[[], None] | None) -> None:
        """Set the one listener to call when the other end does not want the call any more."""
        self._on_cancel = listener


class Connection:
    """One end of a line.

    ``serve`` gets the calls of the other end in the reading thread, and must not block it. When
    the other end has gone, ``explain`` returns the fault that our open calls fail with.
    """

    def __init__(
        self,
        line: socket.socket,
        serve: Callable[[Incoming], None],
        explain: Callable[[], bytes],
    ) -> None:
        self._line = line
        self._serve = serve
        self._explain = explain
        self._sending = threading.Lock()
        self._numbers = count(1)
        self._answers: dict[int, Answer] = {}
        self._incoming: dict[int, Incoming] = {}
        self._registering = threading.Lock()
        self._loss: bytes | None = None

    @property
    def is_lost(self) -> bool:
        return self._loss is not None

    def call(self, body: bytes, answer: Answer | None = None) -> Answer:
        """Call the other end."""
        answer = answer or Answer()
        number = next(self._numbers)
        answer.work_on(
            lambda: self.send(FrameKind.CANCEL, number, b""),
            on_taken=lambda amount: self.send(FrameKind.TAKEN, number, _AMOUNT.pack(amount)),
        )
        with self._registering:
            if self._loss is not None:
                answer.fail(self._loss)
                return answer
            self._answers[number] = answer
        self.send(FrameKind.CALL, number, body)
        if answer.is_unlimited:
            answer.tell_taken(UNLIMITED)
        return answer

    def send(self, kind: FrameKind, number: int, body: bytes) -> None:
        """Send a frame. If the other end has gone, do nothing: ``read`` will notice."""
        with self._sending, suppress(OSError):
            self._line.sendall(_HEADER.pack(kind, number, len(body)))
            self._line.sendall(body)

    def forget(self, number: int) -> None:
        self._incoming.pop(number, None)

    def read(self) -> None:
        """Take frames until the other end has gone. Then all open calls fail."""
        try:
            self._read_frames()
        except Exception:  # noqa: BLE001 - no later frame can be understood
            traceback.print_exc()
            self.close()
        loss = self._explain()
        with self._registering:
            self._loss = loss
        for answer in list(self._answers.values()):
            answer.fail(loss)
        for incoming in list(self._incoming.values()):
            incoming.taken(UNLIMITED)  # nobody reads the items any more

    def _read_frames(self) -> None:
        with suppress(OSError), self._line.makefile("rb") as file:
            while len(header := file.read(_HEADER.size)) == _HEADER.size:
                kind, number, length = _HEADER.unpack(header)
                body = file.read(length)
                if len(body) < length:
                    break
                self._take(kind, number, body)

    def _take(self, kind: int, number: int, body: bytes) -> None:
        match kind:
            case FrameKind.CALL:
                incoming = Incoming(self, number, body)
                self._incoming[number] = incoming
                self._serve_one(incoming)
            case FrameKind.CANCEL:
                if (found := self._incoming.get(number)) is not None:
                    found.cancel()
            case FrameKind.TAKEN:
                if (found := self._incoming.get(number)) is not None:
                    found.taken(*_AMOUNT.unpack(body))
            case _ if (answer := self._answers.get(number)) is not None:
                self._take_answer(kind, number, body, answer)

    def _take_answer(self, kind: int, number: int, body: bytes, answer: Answer) -> None:
        match kind:
            case FrameKind.ITEM:
                answer.add(body)
            case FrameKind.DONE:
                del self._answers[number]
                answer.finish(body)
            case FrameKind.FAILED:
                del self._answers[number]
                answer.fail(body)

    def _serve_one(self, incoming: Incoming) -> None:
        """Serve a call. One that cannot be served fails, and the others go on."""
        try:
            self._serve(incoming)
        except Exception as error:  # noqa: BLE001 - the error is for the caller
            incoming.failed(dump_fault(error))

    def close(self) -> None:
        """End the line. The other end sees that nothing more comes; so does the thread that
        reads."""
        with suppress(OSError):
            self._line.shutdown(socket.SHUT_RDWR)

    def release(self) -> None:
        """Close the descriptor, when no thread reads any more."""
        self._line.close()
