"""How many requests are on their way, how long one waits, and when none is tried."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from volfs.buckets.access import Bucket
from volfs.buckets.answers import TABLE, FailureKind, RequestFailure, to_error
from volfs.buckets.calls import RequestSender
from volfs.buckets.doors.memory import MemoryDoor
from volfs.buckets.throttle import (
    FIRST,
    IN_A_ROW,
    LEAST,
    MOST,
    PAUSE_MOST,
    PROBE,
    WITHIN,
    Outage,
    Throttle,
    pause_before,
)
from volfs.errors import StoreError, VolfsError
from volfs.system.world import RealWorld


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def fill(throttle: Throttle, entered: list[object]) -> None:
    """Take places until there are no more."""
    while True:
        slot = throttle.slot(0)
        try:
            slot.__enter__()
        except TimeoutError:
            return
        entered.append(slot)


def leave(entered: list[object], count: int) -> None:
    for _ in range(count):
        entered.pop().__exit__(None, None, None)  # type: ignore[attr-defined]


def test_one_more_a_second_and_half_when_asked() -> None:
    clock = Clock()
    throttle = Throttle(clock)
    entered: list[object] = []
    fill(throttle, entered)
    assert throttle.flying == len(entered) == FIRST
    for more in range(1, 4):
        clock.now += 1
        fill(throttle, entered)
        assert throttle.limit == len(entered) == FIRST + more
    for _ in range(MOST):
        clock.now += 1
        fill(throttle, entered)
    assert throttle.limit == len(entered) == MOST
    throttle.slow_down()
    assert throttle.limit == MOST // 2
    throttle.slow_down()
    assert throttle.limit == MOST // 2, "what was sent before counts once"
    leave(entered, MOST // 2)
    with pytest.raises(TimeoutError), throttle.slot(0):
        pass
    for _ in range(10):
        clock.now += 1
        throttle.slow_down()
    assert throttle.limit == LEAST
    leave(entered, len(entered))
    with throttle.slot(0):
        assert throttle.flying == 1


def test_who_waits_gets_the_place_that_becomes_free() -> None:
    throttle = Throttle(Clock())
    entered: list[object] = []
    fill(throttle, entered)
    got = threading.Event()

    def wait() -> None:
        with throttle.slot(60):
            got.set()

    thread = threading.Thread(target=wait)
    thread.start()
    leave(entered, 1)
    assert got.wait(60)
    thread.join()


def test_a_service_that_is_away_is_probed() -> None:
    clock = Clock()
    outage = Outage(clock)
    for _ in range(IN_A_ROW):
        assert outage.may_try()
        outage.fail()
    assert not outage.may_try()
    clock.now += PROBE
    assert [outage.may_try(), outage.may_try()] == [True, False]
    outage.fail()
    clock.now += PROBE
    assert outage.may_try()
    assert outage.since_ns is not None
    outage.succeed()
    assert outage.since_ns is None
    assert outage.may_try()


def test_failures_that_are_far_apart_are_no_outage() -> None:
    clock = Clock()
    outage = Outage(clock)
    for _ in range(3 * IN_A_ROW):
        outage.fail()
        clock.now += WITHIN + 1
    assert outage.may_try()


@given(st.integers(1, 10_000), st.none() | st.floats(0, 10_000))
def test_pauses_are_bounded(attempt: int, asked: float | None) -> None:
    pause = pause_before(attempt, asked)
    assert 0 < pause <= 2 * PAUSE_MOST
    assert asked is None or pause >= min(asked, 2 * PAUSE_MOST)


def test_every_failure_has_its_line_and_says_what_and_where() -> None:
    assert TABLE.keys() == set(FailureKind)
    for kind, row in TABLE.items():
        error = to_error(RequestFailure(kind, "detail"), "s3://bucket: GET key")
        assert isinstance(error, VolfsError)
        assert str(error).startswith(f"s3://bucket: GET key: {row.text}")
        assert str(error).endswith("(detail)")


class StuckDoor(MemoryDoor):
    def head(self, key: str, timeout: float) -> None:  # type: ignore[override]
        raise RequestFailure(FailureKind.SERVER, status=500)


def test_closing_ends_all_waiting() -> None:
    bucket = Bucket(StuckDoor(), deadline=3600)
    outcome: list[BaseException] = []

    def ask() -> None:
        try:
            bucket.head("x")
        except VolfsError as error:
            outcome.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    bucket.close()
    thread.join(60)
    assert [type(error) for error in outcome] == [StoreError]
    with pytest.raises(StoreError, match="closed"):
        bucket.head("x")


class PatientWorld(RealWorld):
    """A world in which a pause takes no time, except by its clock."""

    def __init__(self) -> None:
        self.clock = Clock()

    def now(self) -> float:
        return self.clock.now

    def pause(self, seconds: float, ended: threading.Event) -> bool:
        self.clock.now += seconds
        return ended.is_set()


SILENT, FAULT = RequestFailure(FailureKind.TIMEOUT), RequestFailure(FailureKind.SERVER, status=500)


@given(st.lists(st.sampled_from([SILENT, FAULT]), min_size=1, max_size=30))
def test_only_the_last_requests_without_an_answer_count(script: list[RequestFailure]) -> None:
    """A call that is given up counts the requests at its end that had no answer, or itself."""
    sender, sent = RequestSender("memory", 5.0, PatientWorld()), list[RequestFailure]()

    def send(timeout: float) -> None:
        sent.append(script[len(sent) % len(script)])
        raise sent[-1]

    with pytest.raises(RequestFailure):
        sender.attempt("GET", "key", send)
    silent = 0
    for failure in sent:
        silent = 0 if failure.status else silent + 1
    assert len(sent) >= IN_A_ROW
    assert sender.outage.is_away == (silent >= IN_A_ROW)
