"""The control server of a mount, which takes requests over a unix socket and passes them to a
handler."""

from __future__ import annotations

import logging
import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import trio

from volfs.control.protocol import (
    LENGTH_SIZE,
    Failure,
    Request,
    Response,
    decode_length,
    decode_request,
    encode,
    to_failure,
)
from volfs.control.sockets import Bound, find_peer
from volfs.daemon.task_guard import log_error, surviving
from volfs.errors import MountError

log = logging.getLogger(__name__)

REQUEST_TIMEOUT = 10.0
LAST_ANSWERS = 2.0
"""Seconds after the end in which other answers can still be given."""
TOLD_IN_ANY_CASE = ("commit", "unmount")
"""Requests whose callers wait for the fate of data. They are answered however long the end takes:
the kernel, for example, takes seconds to forget a million inodes when everything else is done."""
CONNECTIONS = 64
"""The most open connections. For a new one, the connection that has waited longest with half a
request is closed."""
ANSWER_TIMEOUT = 60.0
"""Seconds for a client to read its answer."""
LOOK_AGAIN = 0.2
"""Seconds after an error until connections are accepted again."""
AnswerRequest = Callable[[Request], Awaitable[msgspec.Struct]]


def listen(path: Path) -> trio.SocketListener:
    """A listening socket that only its owner can reach. It replaces one that was left behind."""
    return make_listener(Bound(path))


def make_listener(bound: Bound) -> trio.SocketListener:
    return trio.SocketListener(trio.socket.from_stdlib_socket(bound.socket))


class _Room:
    """Room for ``size`` connections. If there is none, connections with half a request go
    first."""

    def __init__(self, size: int) -> None:
        self._free = trio.Semaphore(size)
        self._receiving: dict[trio.CancelScope, None] = {}
        """The scopes of connections that wait for the rest of a request, the longest wait
        first."""

    async def take(self) -> None:
        if not self._free.value and self._receiving:
            next(iter(self._receiving)).cancel()
        await self._free.acquire()

    def give_back(self) -> None:
        self._free.release()

    @contextmanager
    def receiving(self) -> Iterator[None]:
        """Limit a block that receives a request. TooSlowError if it takes too long, or others need
        the room."""
        with trio.fail_after(REQUEST_TIMEOUT) as scope:
            self._receiving[scope] = None
            try:
                yield
            finally:
                del self._receiving[scope]


async def _accept_for_ever(
    listener: trio.SocketListener, room: _Room, hand_on: Callable[[trio.SocketStream], None]
) -> None:
    """Hand on each connection when there is room for it. An error only delays the next one.

    A lasting error, for example that no descriptor is free, is logged once.
    """
    failing = False
    async with listener:
        while True:
            try:
                hand_on(await _accept(listener, room))
                failing = False
            except Exception as error:  # noqa: BLE001 - other clients must still be served
                if not failing:
                    log_error("accepting control requests", error)
                failing = True
                await trio.sleep(LOOK_AGAIN)


async def _accept(listener: trio.SocketListener, room: _Room) -> trio.SocketStream:
    stream = await listener.accept()
    try:
        await room.take()
    except BaseException:
        await trio.aclose_forcefully(stream)
        raise
    return stream


async def serve(
    listener: trio.SocketListener,
    handle: AnswerRequest,
    finished: trio.Event,
    connections: int = CONNECTIONS,
) -> None:
    """Answer requests until ``finished``. Requests under way then have a moment to be answered.

    Commits and unmounts are answered whenever they are done.
    """
    room, end = _Room(connections), _End()
    async with trio.open_nursery() as answering, trio.open_nursery() as accepting:

        async def answer(stream: trio.SocketStream) -> None:
            try:
                with surviving("control request"):
                    async with stream:
                        await _answer(stream, handle, room, end)
            finally:
                room.give_back()

        def hand_on(stream: trio.SocketStream) -> None:
            answering.start_soon(answer, stream)

        accepting.start_soon(_accept_for_ever, listener, room, hand_on)
        await finished.wait()
        accepting.cancel_scope.cancel()
        end.begin()


class _End:
    """The end of serving. After it, requests have a moment, except those that are answered in any
    case."""

    def __init__(self) -> None:
        self._scopes: set[trio.CancelScope] = set()
        self._has_come = False

    def begin(self) -> None:
        self._has_come = True
        for scope in self._scopes:
            scope.deadline = trio.current_time() + LAST_ANSWERS

    @contextmanager
    def limited(self) -> Iterator[None]:
        """Limit a block, which the end cuts off after a moment."""
        scope = trio.CancelScope()
        if self._has_come:  # The connection was accepted right before the end.
            scope.deadline = trio.current_time() + LAST_ANSWERS
        self._scopes.add(scope)
        try:
            with scope:
                yield
        finally:
            self._scopes.discard(scope)


async def _answer(stream: trio.SocketStream, handle: AnswerRequest, room: _Room, end: _End) -> None:
    body = await _make_answer(stream, handle, room, end)
    if body is None:
        return
    try:
        with trio.move_on_after(ANSWER_TIMEOUT):
            await stream.send_all(body)
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        log.debug("control client hung up before its answer")


async def _make_answer(
    stream: trio.SocketStream, handle: AnswerRequest, room: _Room, end: _End
) -> bytes | None:
    """The answer to the caller, whatever fails; None if the caller has gone, or is cut off."""
    try:
        lasting = None
        with end.limited():
            with room.receiving():
                request = await _receive(stream)
            # This comes after the read: a hang-up before it would lose the answer.
            _check_peer(stream)
            if request.verb not in TOLD_IN_ANY_CASE:
                return _encode_result(await handle(request))
            lasting = request
        return _encode_result(await handle(lasting)) if lasting else None
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        return None
    except trio.TooSlowError:
        return _encode_error(MountError("control request: half of it, for too long"))
    except Exception as error:
        if not isinstance(error, MountError):
            log.debug("control request failed", exc_info=error)
        return _encode_error(error)


def _encode_result(result: msgspec.Struct) -> bytes:
    return encode(Response(result=msgspec.to_builtins(result)))


def _encode_error(error: Exception) -> bytes:
    try:
        return encode(Response(error=to_failure(error)))
    except Exception:  # noqa: BLE001 - the request's own error may be one of memory
        return encode(Response(error=Failure(MountError.code, "the answer cannot be made")))


def _check_peer(stream: trio.SocketStream) -> None:
    """MountError unless the caller is this process's user, or root."""
    if find_peer(stream.socket).uid not in (0, os.geteuid()):
        raise MountError("the mount belongs to another user")


async def _receive(stream: trio.SocketStream) -> Request:
    length = decode_length(await _receive_exactly(stream, LENGTH_SIZE))
    return decode_request(await _receive_exactly(stream, length))


async def _receive_exactly(stream: trio.SocketStream, size: int) -> bytes:
    parts = bytearray()
    while len(parts) < size:
        part = await stream.receive_some(size - len(parts))
        if not part:
            raise MountError("control request cut off")
        parts += part
    return bytes(parts)
