"""Calls over a socket, without containers."""

from __future__ import annotations

import math
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import volfs as modal
from tests.harness.mounted import wait_until
from volfs.api.apps.spawned import Spawned
from volfs.containers.answers import TAKEN_STEP, Answer, CallFailedError
from volfs.containers.connection import AHEAD, Connection, Incoming
from volfs.containers.remote_errors import RemoteTraceback, dump_fault, load_fault
from volfs.containers.retries import Retries
from volfs.errors import InvalidError, RemoteError

Serve = Callable[[Incoming], None]


@pytest.fixture
def connect() -> Iterator[Callable[[Serve], tuple[Connection, Connection]]]:
    """Two ends; ``serve`` answers at the second one."""
    ends: list[Connection] = []
    readers: list[threading.Thread] = []

    def make(serve: Serve) -> tuple[Connection, Connection]:
        lines = socket.socketpair()
        both = (Serve_nothing, serve)
        for line, answer in zip(lines, both, strict=True):
            end = Connection(line, answer, lambda: b"gone")
            ends.append(end)
            readers.append(threading.Thread(target=end.read))
            readers[-1].start()
        return ends[0], ends[1]

    yield make
    for end in ends:
        end.close()
    for reader in readers:
        reader.join()
    for end in ends:
        end.release()


def Serve_nothing(incoming: Incoming) -> None:  # noqa: N802
    raise AssertionError(incoming.body)


def test_items_come_before_the_result(connect) -> None:
    def serve(incoming: Incoming) -> None:
        for number in range(3):
            incoming.item(b"%d" % number)
        incoming.done(incoming.body * 2)

    ours, _ = connect(serve)
    answer = ours.call(b"x")
    assert list(answer.iter_items()) == [b"0", b"1", b"2"]
    assert answer.wait() == b"xx"


def give_items(count: int, given: list[int]) -> Serve:
    """Serves items of 1 MiB, in a thread."""

    def give(incoming: Incoming) -> None:
        for number in range(count):
            if incoming.is_cancelled:
                break
            incoming.item(bytes(1 << 20))
            given.append(number)
        incoming.done(b"")

    return lambda incoming: threading.Thread(target=give, args=(incoming,)).start()


def test_who_gives_items_waits_for_who_reads_them(connect) -> None:
    given: list[int] = []
    ours, _ = connect(give_items(100, given))
    answer = ours.call(b"")
    for number, _item in enumerate(answer.iter_items()):
        assert len(given) <= number + (AHEAD >> 20) + (TAKEN_STEP >> 20) + 1
    assert len(given) == 100


@pytest.mark.parametrize("end", ["cancel", "close"])
def test_who_waits_is_let_go_at_the_end(connect, end: str) -> None:
    given: list[int] = []
    ours, _ = connect(give_items(100, given))
    answer = ours.call(b"")
    wait_until(lambda: len(given) >= AHEAD >> 20, "the limit")
    assert len(given) <= (AHEAD >> 20) + 1
    if end == "cancel":
        answer.cancel()
        answer.wait(60)
    else:
        ours.close()
        wait_until(lambda: len(given) == 100, "the last item")


def test_items_that_need_not_be_read(connect) -> None:
    given: list[int] = []
    ours, _ = connect(give_items(40, given))
    assert ours.call(b"", Answer(is_unlimited=True)).wait(60) == b""


def test_many_calls_are_told_apart(connect) -> None:
    held: list[Incoming] = []

    def serve(incoming: Incoming) -> None:
        held.append(incoming)
        if len(held) == 50:
            for one in reversed(held):
                one.done(one.body)

    ours, _ = connect(serve)
    answers = [ours.call(b"%d" % number) for number in range(50)]
    assert [answer.wait() for answer in answers] == [b"%d" % number for number in range(50)]


def test_large_bodies_both_ways_do_not_wait_for_each_other(connect) -> None:
    body = bytes(range(256)) * (1 << 14)

    def serve(incoming: Incoming) -> None:
        threading.Thread(target=incoming.done, args=(incoming.body,)).start()

    ours, _ = connect(serve)
    answers = [ours.call(body) for _ in range(8)]
    assert all(answer.wait() == body for answer in answers)


def test_the_other_ends_end_fails_calls_before_and_after(connect) -> None:
    ours, theirs = connect(lambda incoming: theirs.close())
    answer = ours.call(b"")
    with pytest.raises(CallFailedError) as before:
        answer.wait()
    with pytest.raises(CallFailedError) as after:
        ours.call(b"").wait()
    assert before.value.body == after.value.body == b"gone"


def test_a_cancelled_call_tells_the_other_end(connect) -> None:
    told = threading.Event()

    def serve(incoming: Incoming) -> None:
        incoming.when_cancelled(told.set)

    ours, _ = connect(serve)
    ours.call(b"").cancel()
    assert told.wait(10)


def test_who_stops_iterating_cancels() -> None:
    cancelled = threading.Event()
    answer = Answer()
    answer.work_on(cancelled.set)
    answer.add(b"1")
    items = answer.iter_items()
    assert next(items) == b"1"
    items.close()
    assert cancelled.is_set()


def test_results_that_nobody_holds_are_dropped_the_oldest_first() -> None:
    spawned = Spawned(calls=3, size=100)
    held = Answer()
    spawned.add("held", held)
    for number in range(4):
        answer = Answer()
        spawned.add(f"{number}", answer)
        assert spawned.find(f"{number}") is answer
        answer.finish(b"x" * 10)
        del answer
    held.finish(b"h")
    known = [name for name in ("0", "1", "2", "3", "held") if spawned.find(name)]
    assert known == ["2", "3", "held"]
    large = Answer()
    large.add(b"i" * 60)
    spawned.add("large", large)
    large.finish(b"x" * 60)
    assert spawned.find("large") is large
    del large
    assert [name for name in ("2", "3", "held", "large") if spawned.find(name)] == ["held"]


def test_waiting_has_a_deadline() -> None:
    with pytest.raises(TimeoutError):
        Answer().wait(0)


class CodedError(Exception):
    """``args`` are not what its ``__init__`` takes."""

    def __init__(self, code: int, *, what: str) -> None:
        super().__init__(f"{code}: {what}")
        self.code = code


class PickyError(Exception):
    """Cannot be made from its pickle."""

    def __reduce__(self) -> tuple[object, ...]:
        return PickyError.fromhex, ("no",)

    @staticmethod
    def fromhex(text: str) -> Exception:
        raise ValueError(text)


def _catch(error: Exception) -> Exception:
    try:
        raise error
    except Exception as caught:  # noqa: BLE001
        return load_fault(dump_fault(caught))


def test_errors_come_back_as_themselves() -> None:
    error = _catch(KeyError("k"))
    assert type(error) is KeyError
    assert error.args == ("k",)
    assert isinstance(error.__cause__, RemoteTraceback)
    assert "in _catch" in str(error.__cause__)


def test_errors_with_parameters_of_their_own_come_back() -> None:
    raised = CodedError(404, what="gone")
    raised.add_note("noted")
    error = _catch(raised)
    assert type(error) is CodedError
    assert (str(error), error.code, error.__notes__) == ("404: gone", 404, ["noted"])


def test_errors_that_cannot_be_made_again_are_remote_errors() -> None:
    error = _catch(PickyError("picky"))
    assert type(error) is RemoteError
    assert "PickyError: picky" in str(error)
    unpicklable = ValueError(threading.Lock())
    assert type(_catch(unpicklable)) is RemoteError


def test_an_exit_is_no_exit_of_the_caller() -> None:
    assert type(load_fault(dump_fault(SystemExit(3)))) is RemoteError


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"max_retries": -1}, "Invalid retries number: -1. Function retries must be non-neg"),
        ({"max_retries": "2"}, "Invalid retries number: 2"),
        ({"max_delay": 0.5}, "Invalid max_delay: 0.5. max_delay must be at least 1 second"),
        ({"max_delay": 61}, "Invalid max_delay argument: 61. Must be between 1-60 seconds"),
        ({"max_delay": math.nan}, "Invalid max_delay: nan"),
        ({"initial_delay": -0.1}, "Invalid initial_delay argument: -0.1. Delay must be positive"),
        ({"initial_delay": 60.5}, "Invalid initial_delay argument: 60.5. Must be between 0-60"),
        ({"backoff_coefficient": 0.9}, "Invalid backoff_coefficient: 0.9. Coefficient must be"),
        ({"backoff_coefficient": 11}, "Invalid backoff_coefficient: 11"),
    ],
)
def test_retries_have_modals_bounds(options: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidError, match=said):
        Retries(**{"max_retries": 1, **options})


def test_retries_as_an_option() -> None:
    app = modal.App()
    for wrong, said in ((-1, "Invalid retries number: -1"), ("2", "must be an integer or inst")):
        with pytest.raises(InvalidError, match=said):
            app.function(retries=wrong)
    app.function(retries=20)
    assert Retries(0, 1.0, 0.0, 1.0) == Retries(0, 1.0, 0.0, 1.0)
    assert Retries(9, 10.0, 60, 60).delay(3) == 60


def test_delays_grow_to_a_limit() -> None:
    retries = Retries(5, backoff_coefficient=2.0, initial_delay=1.0, max_delay=5.0)
    assert [retries.delay(n) for n in (1, 2, 3, 4)] == [1.0, 2.0, 4.0, 5.0]
