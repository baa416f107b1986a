"""The simulation itself: it makes each kind of fault, a seed is a schedule, planted bugs show."""

from __future__ import annotations

import threading

import pytest

from tests.sim.by_hand import finish, step
from tests.sim.faults import DISTURBANCES, Fate
from tests.sim.log_actions import PLACE, find_bug, run_appenders
from tests.sim.scheduler import ScheduleError, Scheduler
from tests.sim.simulation import Client, Simulation
from tests.sim.tasks import Died, StuckError
from volfs.buckets.answers import FailureKind, RequestFailure
from volfs.errors import ObjectNotFoundError, StoreUnavailableError
from volfs.model.logs.line import encode_line
from volfs.store.distributed.log.log import Log
from volfs.system.world import World

KEYS = ["x", "y"]


class Told:
    """A client that creates one object and notes what it was told."""

    def __init__(self, key: str = "x") -> None:
        self.key = key
        self.said: list[str] = []

    def live(self, client: Client) -> None:
        try:
            client.bucket.create_once(self.key, f"{client.lives}".encode(), 10.0)
        except RequestFailure as failure:
            self.said.append(failure.kind.name)
        else:
            self.said.append("done")


def list_keys(sim: Simulation) -> list[str]:
    return [info.key for info in sim.direct_bucket().list_page("").objects]


@pytest.mark.parametrize(
    ("fate", "said", "is_there"),
    [
        (Fate.DONE, {"done"}, True),
        (Fate.LOST, {"TIMEOUT", "RESET"}, False),
        (Fate.UNANSWERED, {"TIMEOUT", "RESET"}, True),
        (Fate.LATE, {"TIMEOUT", "RESET"}, False),
        (Fate.TWICE, {"EXISTS"}, True),
        (Fate.ECHO, {"done"}, True),
        (Fate.CONFLICT, {"RACE"}, False),
        (Fate.BUSY, {"BUSY"}, False),
        (Fate.FAULT, {"SERVER"}, False),
        (Fate.DENIED, {"DENIED"}, False),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_each_fate(fate: Fate, said: set[str], is_there: bool) -> None:
    sim, told = Simulation(), Told()
    client = sim.add("a", told.live)
    step(client)
    assert list_keys(sim) == [], "a request that was sent has not arrived"
    step(client, fate)
    assert client.is_done
    assert set(told.said) <= said
    assert (list_keys(sim) == ["x"]) is is_there
    assert bool(sim.flying) is (fate in (Fate.LATE, Fate.ECHO))
    if sim.flying:
        sim.land()
        assert list_keys(sim) == ["x"]


@pytest.mark.parametrize("arrives", [True, False, None])
def test_a_client_dies_with_a_request_on_its_way(arrives: bool | None) -> None:
    sim, told = Simulation(), Told()
    client = sim.add("a", told.live)
    client.disk["kept"] = True
    step(client)
    sim.kill(client, keep_disk=arrives is True, arrives=arrives)
    assert told.said == []
    assert isinstance(client.main.error, Died)
    assert (list_keys(sim) == ["x"]) is (arrives is True)
    assert client.disk == ({"kept": True} if arrives else {})
    sim.revive(client)
    step(client)
    if arrives is None:
        sim.land()
    step(client)
    assert told.said == ["done" if arrives is False else "EXISTS"]


def test_whoever_has_died_sends_nothing_more() -> None:
    """Also not while it cleans up."""

    def live(client: Client) -> None:
        try:
            client.bucket.put("x", b"1")
        finally:
            client.bucket.put("y", b"2")

    sim = Simulation()
    client = sim.add("a", live)
    step(client)
    sim.kill(client, keep_disk=False, arrives=True)
    assert list_keys(sim) == ["x"]


def test_tasks_of_a_client_go_on_in_any_order() -> None:
    """So do their requests, and the error of the first is raised when all have ended."""

    def live(client: Client) -> None:
        world: World = client.world
        assert world.gather([]) == []
        assert world.gather([lambda: 1, lambda: 2, lambda: 3]) == [1, 2, 3]
        puts = [lambda key=key: client.bucket.put(key, b"") for key in KEYS]
        assert [info.key for info in world.gather(puts)] == KEYS
        with pytest.raises(ObjectNotFoundError):
            world.gather([lambda: client.bucket.get("none"), lambda: client.bucket.put("z", b"")])
        client.bucket.get("z")

    orders = set()
    for seed in range(20):
        sim = Simulation(seed)
        sim.add("a", live, deadline=1e6)
        Scheduler(sim, seed, kinds=[Fate.BUSY], deaths=False).run()
        assert list_keys(sim) == [*KEYS, "z"]
        orders.add(tuple(line.partition("PUT")[2][:2] for line in sim.trace if "PUT" in line))
    assert len(orders) > 1


def test_a_lock_that_waits_lets_the_others_go_on() -> None:
    seen: list[bool] = []

    def live(client: Client) -> None:
        condition, flag = threading.Condition(), threading.Event()

        def waits() -> None:
            with condition:
                seen.append(client.world.wait_for(condition, flag.is_set, 5.0))
                seen.append(client.world.wait_for(condition, lambda: False, 5.0))

        def sets() -> None:
            client.bucket.put("x", b"")
            with condition:
                flag.set()
            client.bucket.put("y", b"")

        client.world.gather([waits, sets])

    sim = Simulation()
    finish(sim.add("a", live))
    assert seen == [True, False]
    assert sim.now > 5.0


def test_time_passes_only_in_the_simulation() -> None:
    """A service that never answers: a minute and more, in no time."""

    def live(client: Client) -> None:
        with pytest.raises(StoreUnavailableError):
            client.bucket.get("x")

    sim = Simulation()
    client = sim.add("a", live, deadline=3600.0)
    while not client.is_done:
        step(client, Fate.FAULT)
    if client.main.error:
        raise client.main.error
    assert 3500 < sim.now < 3700


def test_a_thread_from_elsewhere_is_refused() -> None:
    def live(client: Client) -> None:
        errors: list[BaseException] = []

        def work() -> None:
            try:
                client.bucket.put("x", b"")
            except StuckError as error:
                errors.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        assert errors

    sim = Simulation()
    finish(sim.add("a", live))


def test_a_seed_is_a_schedule() -> None:
    traces = [[run_appenders(seed).trace for seed in range(1, 31)] for _ in range(2)]
    assert traces[0] == traces[1]
    assert len({tuple(trace) for trace in traces[0]}) == 30


def test_schedules_meet_every_fault() -> None:
    text = "\n".join(line for seed in range(1, 201) for line in run_appenders(seed).trace)
    for fate in (*DISTURBANCES, Fate.DENIED):
        assert f"-> {fate.name}" in text, fate
    for words in ("dies, and keeps", "dies, and loses", "arrives late", "lives again", "pauses"):
        assert words in text, words


class Believer(Log):
    """A planted bug: the status decides."""

    def append(self, number, line):  # type: ignore[no-untyped-def]
        try:
            self._bucket.create_once(self.place.line(number), encode_line(line), 10.0)
        except RequestFailure as failure:
            if failure.kind is FailureKind.EXISTS:
                return self._read(number)
            raise self._bucket.to_error(failure, "PUT", "") from None
        return line


def open_believer(client: Client, seconds: float) -> Log:
    return Believer(client.bucket, PLACE, seconds)


def test_a_planted_bug_is_found_and_told_with_its_seed() -> None:
    found = find_bug(open_believer, 50)
    assert found is not None
    text = str(found)
    assert f"VOLFS_SEED={found.seed} VOLFS_ROUNDS=1" in text
    assert "a: begins" in text
    with pytest.raises(ScheduleError) as again:
        run_appenders(found.seed, open_believer)
    assert str(again.value) == text
