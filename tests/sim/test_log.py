"""The log: interleavings that have a name, and thousands that have a number.

``VOLFS_SEED`` says the first schedule and ``VOLFS_ROUNDS`` how many; ``VOLFS_PROVE=long`` runs a
hundred times as many.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

import pytest

from tests.sim.by_hand import finish, step, step_until
from tests.sim.faults import Fate
from tests.sim.log_actions import PLACE, Appender, Ledger, find_bug, judge, open_log, run_appenders
from tests.sim.scheduler import count_schedules, run_schedules
from tests.sim.simulation import Client, Simulation
from tests.sim.world import SimWorld
from volfs.buckets.answers import FailureKind, RequestFailure
from volfs.errors import (
    DamagedObjectError,
    StoreDeniedError,
    StoreError,
    StoreUnavailableError,
    StoreUncertainError,
)
from volfs.model.logs.line import NO_LINE, Line, digest_line, encode_line
from volfs.store.distributed.log.appending import Appending
from volfs.store.distributed.log.log import NO_NUMBER, Log

SCHEDULES = 1400
T = TypeVar("T")


class Stage:
    """Clients whose actions have the names ``a 0``, ``a 1``, ``b 0`` …"""

    def __init__(self, *actions: int, seconds: float = 60.0) -> None:
        self.sim, self.ledger = Simulation(), Ledger()
        self.sim.watchers.append(self.ledger.watch)
        self.appenders = [
            Appender(name, count, self.ledger, seconds)
            for name, count in zip("abcd", actions, strict=False)
        ]
        self.clients = [
            self.sim.add(name, appender.live)
            for name, appender in zip("abcd", self.appenders, strict=False)
        ]

    def judge(self) -> list[str]:
        """The names of the actions in the log."""
        return [line.body.decode() for line in judge(self.sim, self.ledger)]

    def count(self, verb: str) -> int:
        return sum(f" {verb} " in text for text in self.sim.trace)


def test_01_two_appends_to_one_number() -> None:
    """The loser reads on and appends to the next number."""
    stage = Stage(1, 1)
    a, b = stage.clients
    step_until(a, "PUT", PLACE.line(0))
    step_until(b, "PUT", PLACE.line(0))
    finish(b, a)
    assert stage.judge() == ["b 0", "a 0"]
    assert stage.ledger.acknowledged == {b"b 0": 0, b"a 0": 1}


def test_02_the_answer_gets_lost_and_another_wins_the_next_number() -> None:
    stage = Stage(1, 1)
    a, b = stage.clients
    step_until(a, "PUT", PLACE.line(0))
    step(a, Fate.UNANSWERED)
    finish(b, a)
    assert stage.judge() == ["a 0", "b 0"]
    assert stage.ledger.acknowledged == {b"a 0": 0, b"b 0": 1}


def test_02_a_request_is_delivered_twice_and_only_the_second_is_answered() -> None:
    stage = Stage(1)
    (a,) = stage.clients
    step_until(a, "PUT")
    step(a, Fate.TWICE)
    finish(a)
    assert stage.judge() == ["a 0"]
    assert stage.ledger.acknowledged == {b"a 0": 0}


def give_up(client: Client) -> None:
    """Let the first write of the client get on its way, and nothing else, until it gives up."""
    step_until(client, "PUT")
    step(client, Fate.LATE)
    while not client.is_done:
        step(client, Fate.LOST)
    if client.main.error is not None:
        raise client.main.error


def test_03_a_write_arrives_after_its_sender_gave_up() -> None:
    """Nobody was told that it was done, nor that it was not. It is a line like any other."""
    stage = Stage(1, 1, seconds=20.0)
    a, b = stage.clients
    give_up(a)
    assert not stage.ledger.acknowledged
    assert not stage.ledger.refused
    step_until(b, "PUT", PLACE.line(0))
    stage.sim.land()
    finish(b)
    assert stage.judge() == ["a 0", "b 0"]


def test_03_a_write_arrives_when_its_number_is_taken() -> None:
    stage = Stage(1, 1, seconds=20.0)
    a, b = stage.clients
    give_up(a)
    finish(b)
    stage.sim.land()
    assert stage.judge() == ["b 0"]


@pytest.mark.parametrize("first", ["the old write", "the new write"])
def test_03_a_write_arrives_after_its_sender_was_replaced(first: str) -> None:
    stage = Stage(2)
    (a,) = stage.clients
    step_until(a, "PUT", PLACE.line(0))
    stage.sim.kill(a, keep_disk=True, arrives=None)
    stage.sim.revive(a)
    step_until(a, "PUT", PLACE.line(0))
    if first == "the old write":
        stage.sim.land()
    finish(a)
    if first == "the new write":
        stage.sim.land()
    assert stage.judge() == (["a 0", "a 1"] if first == "the old write" else ["a 1"])
    assert stage.ledger.acknowledged[b"a 1"] == len(stage.judge()) - 1


@pytest.mark.parametrize("fate", [Fate.CONFLICT, Fate.BUSY, Fate.FAULT], ids=lambda it: it.name)
def test_04_a_refusal_after_which_nothing_is_there(fate: Fate) -> None:
    """409, 429 and 500 say nothing. The same bytes are sent again, to the same number."""
    stage = Stage(1)
    (a,) = stage.clients
    for _ in range(2):
        step_until(a, "PUT", PLACE.line(0))
        step(a, fate)
    finish(a)
    assert stage.judge() == ["a 0"]
    assert stage.count("PUT") == 3
    assert stage.count("GET") == 2


def test_21_lines_come_while_the_tail_is_read_in_parallel() -> None:
    """Line 3 is seen and line 2 was not: line 2 is asked for again."""
    stage = Stage(2, 4)
    a, b = stage.clients
    step_until(a, "PUT", PLACE.line(0))
    for number in range(2):
        step_until(b, "PUT", PLACE.line(number))
        step(b)
    step(a)  # The number is taken, so the client reads on.
    step_until(a, "GET", PLACE.line(2))
    step(a)
    finish(b)
    before = len(stage.sim.trace)
    finish(a)
    assert stage.sim.trace[before + 1].endswith(f"GET {PLACE.line(3)} -> DONE")
    assert stage.sim.trace[before + 3].endswith(f"GET {PLACE.line(2)} -> DONE")
    assert stage.judge() == ["b 0", "b 1", "b 2", "b 3", "a 0", "a 1"]


def test_a_commit_alone_is_one_request() -> None:
    stage = Stage(3)
    finish(*stage.clients)
    assert len(stage.judge()) == stage.count("PUT") == 3
    assert stage.count("GET") == 0


def test_a_lost_race_costs_three_requests() -> None:
    """Two reads, the second of which finds the end, and the next write. The line that won is read
    once more, because only a whole look at the tail follows the log."""
    stage = Stage(1, 1)
    a, b = stage.clients
    step_until(a, "PUT")
    finish(b)
    before = len(stage.sim.trace)
    finish(a)
    asked = [text.split(": ")[1].split()[0] for text in stage.sim.trace[before:]]
    assert asked == ["PUT", "GET", "GET", "GET", "PUT"]


class Lone:
    """A client that appends one line, and notes what it is told."""

    def __init__(self, then: Callable[[Log], None] = lambda log: None) -> None:
        self.error: BaseException | None = None
        self.log: Log | None = None
        self._then = then

    def live(self, client: Client) -> None:
        self.log = Log(client.bucket, PLACE, 20.0)
        try:
            self.log.append(0, self.log.make_line(NO_LINE, 0, b"first"))
        except StoreError as error:
            self.error = error
        self._then(self.log)


@pytest.mark.parametrize("late", [True, False])
def test_an_append_in_doubt_is_remembered(late: bool) -> None:
    """The next append to the number begins with a look, and sends nothing if the line is there."""

    def again(log: Log) -> None:
        client.world.pause(10.0, threading.Event())  # until the service is tried again
        line = log.make_line(NO_LINE, 0, b"second")
        told.append(log.append(0, line).body)

    told: list[bytes] = []
    sim, lone = Simulation(), Lone(again)
    client = sim.add("a", lone.live)
    step_until(client, "PUT")
    step(client, Fate.LATE)
    while lone.error is None:
        step(client, Fate.LOST)
    assert isinstance(lone.error, StoreUncertainError)
    assert lone.log is not None
    assert lone.log.doubts == {0}
    assert "catalog/0000000000000000: it is not known whether" in str(lone.error)
    if late:
        sim.land()
    step(client)  # It has waited.
    before = len(sim.trace)
    finish(client)
    assert ["PUT" in text for text in sim.trace[before:]] == [False] + [True] * (not late)
    assert told == [b"first" if late else b"second"]
    assert lone.log.doubts == frozenset()


@pytest.mark.parametrize("before", [None, Fate.LATE], ids=["alone", "after a silence"])
def test_a_refusal_is_certain_only_if_nothing_was_sent_before(before: Fate | None) -> None:
    sim, lone = Simulation(), Lone()
    client = sim.add("a", lone.live)
    if before is not None:
        step_until(client, "PUT")
        step(client, before)
    step_until(client, "PUT")
    step(client, Fate.DENIED)
    finish(client)
    assert lone.log is not None
    if before is None:
        assert isinstance(lone.error, StoreDeniedError)
        assert lone.log.doubts == frozenset()
    else:
        assert isinstance(lone.error, StoreUncertainError)
        assert lone.log.doubts == {0}


def test_a_service_that_is_away_is_told_at_once_and_nothing_is_in_doubt() -> None:
    told: list[BaseException] = []

    def live(client: Client) -> None:
        for _ in range(3):
            with pytest.raises(StoreError):
                client.bucket.get("x")
        log = Log(client.bucket, PLACE)
        try:
            log.append(0, log.make_line(NO_LINE, 0, b"first"))
        except StoreUnavailableError as error:
            told.append(error)
        assert log.doubts == frozenset()

    sim = Simulation()
    client = sim.add("a", live, deadline=5.0)
    while not client.is_done:
        step(client, Fate.LOST)
    if client.main.error is not None:
        raise client.main.error
    assert not isinstance(told[0], StoreUncertainError)
    assert "nothing has answered for some time" in str(told[0])
    assert not any("PUT" in text for text in sim.trace)


def fill(sim: Simulation, count: int) -> list[Line]:
    """Lines that are there before anybody reads."""
    log, lines = Log(sim.direct_bucket(), PLACE), list[Line]()
    for number in range(count):
        prev = digest_line(lines[-1]) if lines else NO_LINE
        lines.append(log.make_line(prev, 0, str(number).encode()))
        assert log.append(number, lines[-1]) is lines[-1]
    return lines


@pytest.mark.parametrize(
    ("known", "count", "waves"),
    [
        (NO_NUMBER, 0, [5]),
        (NO_NUMBER, 5, [5, 4]),
        (NO_NUMBER, 64, [5, 64]),
        (NO_NUMBER, 100, [5, 64, 16, 17, 4]),
        (98, 100, [5]),
    ],
)
def test_who_reads_far_needs_few_round_trips(known: int, count: int, waves: list[int]) -> None:
    sim, asked = Simulation(), list[int]()
    lines = fill(sim, count)
    gather = SimWorld.gather

    class Counted(SimWorld):
        def gather(self, calls: Sequence[Callable[[], T]]) -> list[T]:
            asked.extend([len(calls)] if calls else [])
            return gather(self, calls)

    def live(client: Client) -> None:
        client.bucket.world = Counted(client)
        log = Log(client.bucket, PLACE)
        assert list(log.read_to_end(known)) == list(enumerate(lines))[known + 1 :]

    finish(sim.add("a", live))
    assert asked == waves


def test_a_log_that_somebody_has_changed() -> None:
    """A gap, a line that does not follow, and bytes that are no line are told by their names."""
    sim = Simulation()
    lines = fill(sim, 4)
    bucket = sim.direct_bucket()
    log = Log(bucket, PLACE)
    with pytest.raises(DamagedObjectError, match=f"{PLACE.line(2)}: .* does not follow"):
        list(log.read_after(1, digest_line(lines[0])))
    bucket.put(PLACE.line(1), encode_line(lines[1]._replace(prev=bytes(31) + b"1")))
    with pytest.raises(DamagedObjectError, match=f"{PLACE.line(1)}: .* does not follow"):
        list(log.read_after(NO_NUMBER))
    bucket.put(PLACE.line(1), b"x")
    with pytest.raises(DamagedObjectError, match=PLACE.line(1)):
        list(log.read_after(NO_NUMBER))
    with pytest.raises(DamagedObjectError, match=PLACE.line(1)):
        log.append(1, log.make_line(digest_line(lines[0]), 0, b""))
    bucket.delete(PLACE.line(1))
    with pytest.raises(DamagedObjectError, match=f"{PLACE.line(1)}: the line is gone"):
        list(log.read_to_end(NO_NUMBER))
    with pytest.raises(ValueError, match="follows"):
        log.append(1, log.make_line(NO_LINE, 0, b""))


def test_schedules() -> None:
    """Every acknowledged append is in the log once; numbers have no gaps; nonces one number."""
    steps = run_schedules(count_schedules(SCHEDULES), run_appenders)
    assert steps > 10 * count_schedules(SCHEDULES)


# --- mutations of the code ----------------------------------------------------------


class TrustsRefusals(Appending):
    """A refusal with "exists" means that another has won."""

    def _look(self, failure: RequestFailure) -> Line | None:
        if failure.kind is FailureKind.EXISTS:
            return Line(bytes(16), self._line.prev, 0, b"another's")
        return super()._look(failure)


class TrustsSilence(Appending):
    """No answer means that nothing was written."""

    def _look(self, failure: RequestFailure) -> Line | None:
        if failure.row.unclear:
            raise StoreUnavailableError("no answer")
        return super()._look(failure)


class NewNonce(Appending):
    """Each attempt has a nonce of its own."""

    def _send(self) -> RequestFailure | None:
        nonce = self._bucket.world.random_bytes(16)
        self._line = self._line._replace(nonce=nonce)
        self._bytes = encode_line(self._line)
        return super()._send()


class NextNumber(Appending):
    """An attempt in doubt is made again with the next number."""

    def _wait(self, failure: RequestFailure, attempt: int) -> None:
        super()._wait(failure, attempt)
        self._number += 1
        self._key = PLACE.line(self._number)


class Overwrites(Appending):
    """Writes without the condition."""

    def _send(self) -> RequestFailure | None:
        self._bucket.put(self._key, self._bytes)
        return None


class SureOfRefusals(Appending):
    """After a refusal, what was sent before is forgotten."""

    def _send(self) -> RequestFailure | None:
        self._may_be_there = False
        return super()._send()


class SkipsGaps(Log):
    """What was not seen is left out."""

    def _read_wave(self, first: int, size: int) -> list[Line]:
        return [line for line in self._read_many(range(first, first + size)) if line]


class StopsAtGaps(Log):
    """What was not seen at once is damage."""

    def _insist(self, number: int, line: Line | None) -> Line:
        assert line is not None, f"line {number} is gone"
        return line


IN_APPENDS = [TrustsRefusals, TrustsSilence, NewNonce, NextNumber, Overwrites, SureOfRefusals]


@pytest.mark.parametrize("mutant", IN_APPENDS, ids=lambda mutant: mutant.__name__)
def test_mutations_of_appending_are_found(
    mutant: type[Appending], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("volfs.store.distributed.log.log.Appending", mutant)
    assert find_bug(open_log, 300) is not None


@pytest.mark.parametrize("mutant", [SkipsGaps, StopsAtGaps], ids=lambda mutant: mutant.__name__)
def test_mutations_of_reading_are_found(mutant: type[Log]) -> None:
    assert find_bug(lambda client, seconds: mutant(client.bucket, PLACE, seconds), 300) is not None
