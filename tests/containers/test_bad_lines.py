"""What goes wrong on the line between an app and its containers ends one call, not all."""

from __future__ import annotations

import pickle
import socket
import struct
import threading
from collections.abc import Iterator

import pytest

from tests.harness.mounted import wait_until
from volfs.containers.answers import Answer, CallFailedError
from volfs.containers.connection import Connection, Incoming
from volfs.containers.messages import Invoke
from volfs.containers.pool import Pool, PoolOptions
from volfs.containers.remote_errors import dump_fault, load_fault
from volfs.containers.worker_container import Running
from volfs.errors import RemoteError, SerializationError

LOSS = dump_fault(RemoteError("lost"))
HEADER = struct.Struct(">BQQ")


class MuteError(Exception):
    def __str__(self) -> str:
        raise ZeroDivisionError

    def __reduce__(self) -> tuple[object, ...]:
        raise ZeroDivisionError


def answer_or_fail(incoming: Incoming) -> None:
    if incoming.body == b"mute":
        raise MuteError
    incoming.done(incoming.body)


@pytest.fixture
def ends() -> Iterator[tuple[Connection, Connection, socket.socket]]:
    """Two ends, both read in threads, and the socket of the first."""
    ours, theirs = socket.socketpair()
    pair = [Connection(line, answer_or_fail, lambda: LOSS) for line in (ours, theirs)]
    threads = [threading.Thread(target=end.read) for end in pair]
    for thread in threads:
        thread.start()
    yield pair[0], pair[1], ours
    for end in pair:
        end.close()
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()
    for end in pair:
        end.release()


def wait(answer: Answer) -> bytes:
    try:
        return answer.wait(20)
    except CallFailedError as error:
        raise load_fault(error.body) from None


def test_a_call_that_cannot_be_served_fails_alone(
    ends: tuple[Connection, Connection, socket.socket],
) -> None:
    with pytest.raises(RemoteError, match="MuteError"):
        wait(ends[0].call(b"mute"))
    assert wait(ends[0].call(b"well")) == b"well"


@pytest.mark.parametrize("kind", [0, 2, 3, 4, 5, 6, 9, 255])
def test_frames_of_calls_that_nobody_made_mean_nothing(
    ends: tuple[Connection, Connection, socket.socket], kind: int
) -> None:
    ends[2].sendall(HEADER.pack(kind, 77, 8) + bytes(8))
    assert wait(ends[0].call(b"well")) == b"well"


@pytest.mark.parametrize(
    "frame",
    [HEADER.pack(1, 1, 1 << 63), HEADER.pack(2, 1, (1 << 64) - 1), HEADER.pack(6, 1, 3) + b"abc"],
)
def test_what_cannot_be_read_ends_the_line_and_fails_all_calls(
    ends: tuple[Connection, Connection, socket.socket],
    frame: bytes,
    capfd: pytest.CaptureFixture[str],
) -> None:
    held = threading.Event()
    ends[1]._serve = lambda incoming: held.set()
    answer = ends[0].call(b"waits")
    held.wait(20)
    ends[2].sendall(frame)
    with pytest.raises(RemoteError, match="lost"):
        wait(answer)
    wait_until(lambda: ends[1].is_lost, "the other end to notice")


def test_a_listener_that_fails_keeps_nobody_waiting(capfd: pytest.CaptureFixture[str]) -> None:
    answer, told = Answer(), []

    def fail() -> None:
        raise MuteError

    answer.when_done(fail)
    answer.when_done(lambda: told.append("told"))
    answer.finish(b"done")
    assert told == ["told"]
    assert answer.wait(0) == b"done"
    assert "MuteError" in capfd.readouterr().err


def test_an_error_that_can_be_neither_said_nor_pickled_is_a_fault() -> None:
    error = load_fault(dump_fault(MuteError()))
    assert isinstance(error, RemoteError)
    assert "MuteError" in str(error)
    from volfs.containers.pickling import dump

    with pytest.raises(SerializationError, match="MuteError"):
        dump(MuteError(), "an error")


class Broken:
    """What stands for a container whose calls fail in a way that nobody thought of."""

    def __init__(self) -> None:
        self.used = 0
        self.is_dead = False

    def call(self, message: Invoke, answer: Answer) -> Answer:
        if message.method == "mute":
            raise MuteError
        answer.finish(pickle.dumps(message.method))
        return answer

    def commit_changes(self) -> None: ...

    def kill_if_broken(self) -> None: ...

    def terminate(self) -> None: ...

    def end(self, *, now: bool = False) -> None: ...


@pytest.mark.parametrize("lanes", [1, 3])
def test_a_pool_answers_every_call(lanes: int) -> None:
    def start() -> Running:
        return Broken()  # type: ignore[return-value]

    pool = Pool(PoolOptions("f", containers=1, lanes=lanes), start)
    try:
        for _ in range(3):
            with pytest.raises(RemoteError, match="MuteError"):
                wait(pool.submit(Invoke("mute", b"", "1")))
            assert pickle.loads(wait(pool.submit(Invoke("well", b"", "2")))) == "well"
    finally:
        pool.close()
