"""Clients that append to one log, and what must be true of the log afterwards."""

from __future__ import annotations

import random
from collections.abc import Callable

from tests.sim.door import Request
from tests.sim.faults import DISTURBANCES, Fate
from tests.sim.scheduler import ScheduleError, Scheduler, telling_schedule
from tests.sim.simulation import Client, Simulation
from volfs.errors import StoreError, StoreUncertainError
from volfs.model.logs.line import NO_LINE, Line, decode_line, digest_line
from volfs.store.distributed.log.log import NO_NUMBER, Log
from volfs.store.distributed.place.object_keys import catalog_log

PLACE = catalog_log()
DEADLINES = (5.0, 15.0, 60.0)

OpenLog = Callable[[Client, float], Log]


def open_log(client: Client, seconds: float) -> Log:
    return Log(client.bucket, PLACE, seconds)


class Ledger:
    """What the clients were told, by a name for each action; and what they sent."""

    def __init__(self) -> None:
        self.acknowledged: dict[bytes, int] = {}
        self.begun: list[bytes] = []
        self.refused: set[bytes] = set()
        """Actions of which a client was told that they were not done."""
        self.seen: list[tuple[int, bytes]] = []
        """What readers saw: numbers and nonces."""
        self.sent: dict[bytes, tuple[str, bytes]] = {}

    def watch(self, client: Client, request: Request) -> None:
        """N3: a nonce is sent to one number, and always with the same bytes."""
        if request.verb != "PUT" or PLACE.find_number(request.key) is None:
            return
        nonce = decode_line(request.body).nonce
        before = self.sent.setdefault(nonce, (request.key, request.body))
        assert before == (request.key, request.body), f"a nonce was sent twice: {request.key}"


class Appender:
    """One client: it appends its actions one after the other, in as many lives as it takes."""

    def __init__(
        self, name: str, actions: int, ledger: Ledger, seconds: float, make: OpenLog = open_log
    ) -> None:
        self._names = [f"{name} {number}".encode() for number in range(actions)]
        self._ledger = ledger
        self._seconds = seconds
        self._make = make
        self._next = 0

    def live(self, client: Client) -> None:
        log = self._make(client, self._seconds)
        reader = Reader(log, self._ledger)
        while self._next < len(self._names):
            name = self._names[self._next]
            self._next += 1
            self._ledger.begun.append(name)
            try:
                self._do(log, reader, name)
            except StoreUncertainError:
                pass
            except StoreError:
                if not reader.has(name):
                    self._ledger.refused.add(name)

    def _do(self, log: Log, reader: Reader, name: bytes) -> None:
        while True:
            line = log.make_line(reader.digest, 0, name)
            number = reader.number + 1
            found = log.append(number, line)
            if found.nonce == line.nonce:
                reader.take(number, line)
                self._ledger.acknowledged[name] = number
                return
            reader.go_on()


class Reader:
    """What one life of a client knows of the log."""

    def __init__(self, log: Log, ledger: Ledger) -> None:
        self._log = log
        self._ledger = ledger
        self._names: set[bytes] = set()
        self.number = NO_NUMBER
        self.line: Line | None = None

    @property
    def digest(self) -> bytes:
        return NO_LINE if self.line is None else digest_line(self.line)

    def has(self, name: bytes) -> bool:
        return name in self._names

    def take(self, number: int, line: Line) -> None:
        assert number == self.number + 1, "a gap was read over"
        self.number, self.line = number, line
        self._names.add(line.body)
        self._ledger.seen.append((number, line.nonce))

    def go_on(self) -> None:
        digest = None if self.line is None else digest_line(self.line)
        for number, line in self._log.read_after(self.number, digest):
            self.take(number, line)


def judge(sim: Simulation, ledger: Ledger) -> list[Line]:
    """Check the log as it lies in the bucket: N1 to N3, and that clients were told the truth."""
    lines = list(Log(sim.direct_bucket(), PLACE).read_to_end(NO_NUMBER))
    keys = [info.key for info in sim.direct_bucket().list_page("", delimiter=False).objects]
    assert keys == [PLACE.line(number) for number, _ in lines], "N1: no gaps"
    names = [line.body for _, line in lines]
    assert len(set(names)) == len(names), f"an action was done twice: {names}"
    for name, number in ledger.acknowledged.items():
        assert number < len(names), f"{name!r} was acknowledged and is not there"
        assert names[number] == name, f"{name!r} was acknowledged as {number}"
    assert set(names) <= set(ledger.begun), "nobody wrote this"
    assert not ledger.refused & set(names), "told as not done, and done"
    nonces = [line.nonce for _, line in lines]
    for number, nonce in ledger.seen:
        assert nonces[number] == nonce, f"line {number} has changed since it was read"
    return [line for _, line in lines]


def run_appenders(seed: int, make: OpenLog = open_log) -> Simulation:
    """One schedule: two to four clients with some actions each. ``ScheduleError``."""
    chance = random.Random(f"appenders {seed}")
    sim, ledger = Simulation(seed), Ledger()
    sim.watchers.append(ledger.watch)
    for name in "abcd"[: chance.randint(2, 4)]:
        appender = Appender(name, chance.randint(1, 3), ledger, chance.choice(DEADLINES), make)
        sim.add(name, appender.live, deadline=60.0)
    with telling_schedule(sim, seed):
        Scheduler(sim, seed, kinds=(*DISTURBANCES, Fate.DENIED)).run()
        judge(sim, ledger)
    return sim


def find_bug(make: OpenLog, schedules: int) -> ScheduleError | None:
    """The first schedule in which clients with another ``Log`` do wrong."""
    for seed in range(1, schedules + 1):
        try:
            run_appenders(seed, make)
        except ScheduleError as error:
            return error
    return None
