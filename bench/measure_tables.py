"""A Queue on a server: put, get, and the wake of a waiting get, beside the bare scripts.

The bare contender sends the same scripts by redis-py, with an item that is pickled in the same way,
and waits as volfs does: BLPOP on the bell, then the script that takes. The two take turns in one
run, on a Redis server of the bench on loopback.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import shutil
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from multiprocessing.connection import Connection
from typing import Any, Protocol

from bench.figures import Figure, FigureTarget
from bench.measure_services import running_redis
from bench.workplace import Workplace, timed

PROGRAM = "redis-server"
WARM = 5
RATIO = FigureTarget(1.3)
MIDDLE = FigureTarget(0.5)
"""Milliseconds."""


class Contender(Protocol):
    """A connection to the Queue."""

    def put(self, item: object) -> None: ...

    def get(self) -> Any:
        """Remove the first item, or wait for one."""


class Volfs:
    queue: Any

    def __init__(self, store: str, port: int) -> None:
        import volfs

        os.environ["VOLFS_TABLES"] = f"redis://127.0.0.1:{port}/0"
        client = volfs.Client(store)
        self.queue = volfs.Queue.from_name("bench", create_if_missing=True, client=client)
        self.queue.hydrate()

    def put(self, item: object) -> None:
        self.queue.put(item)

    def get(self) -> Any:
        return self.queue.get()


class Bare:
    """The scripts and commands that volfs sends, on another Queue of the same store."""

    def __init__(self, queue_id: str, port: int) -> None:
        import redis

        from volfs.services import queues
        from volfs.store.redis import queue_scripts

        self.server: Any = redis.Redis(port=port, protocol=2)
        self.keys = queue_scripts.queue_keys(queue_id, b"bare")
        self.limits = (
            queues.TTL_MAX * 1000,
            queues.PARTITION_ITEMS_MAX,
            queues.PARTITION_BYTES_MAX,
            queues.PARTITIONS_MAX,
        )
        self.put_script = self.server.script_load(queue_scripts.PUT.text)
        self.take_script = self.server.script_load(queue_scripts.TAKE.text)

    def put(self, item: object) -> None:
        self._run(self.put_script, *self.limits, 1, pickle.dumps(item))

    def get(self) -> Any:
        while not (taken := self._run(self.take_script, 1)):
            self.server.blpop([self.keys[4]], 1)
        return pickle.loads(taken[0])

    def _run(self, script: str, *words: Any) -> Any:
        return self.server.evalsha(script, len(self.keys), *self.keys, "", b"bare", *words)


def measure_tables(place: Workplace) -> Iterator[Figure]:
    if not shutil.which(PROGRAM):
        print(f"skipped: {PROGRAM} is not installed … ", end="", flush=True, file=sys.stderr)
        return
    before = os.environ.get("VOLFS_TABLES")
    try:
        with running_redis(place.directory / "tables-server", synced=False) as port:
            yield from _measure(place, port)
    finally:
        os.environ.pop("VOLFS_TABLES", None)
        if before is not None:
            os.environ["VOLFS_TABLES"] = before


def _measure(place: Workplace, port: int) -> Iterator[Figure]:
    store = str(place.directory / "tables-store")
    ours = Volfs(store, port)
    ours.put("first")  # volfs says to the server that the Queue is there.
    ours.get()
    bare = Bare(ours.queue.object_id, port)
    contenders: tuple[Contender, Contender] = (ours, bare)
    yield Figure("load when tables were measured", os.getloadavg()[0], "")
    puts, gets = _measure_calls(contenders, place.sizes.writes // 10)
    yield from _report("put", *puts)
    yield from _report("get", *gets)
    makers: tuple[Callable[[], Contender], ...] = (
        lambda: Volfs(store, port),
        lambda: Bare(ours.queue.object_id, port),
    )
    count = max(place.sizes.writes // 20, 20)
    yield from _report("wake of a waiting get", *_measure_wakes(contenders, makers, count))


def _measure_calls(
    contenders: tuple[Contender, ...], count: int
) -> tuple[tuple[list[float], ...], tuple[list[float], ...]]:
    """Seconds of each put, and of each get, which follows a put and so never waits."""
    puts: tuple[list[float], ...] = tuple([] for _ in contenders)
    gets: tuple[list[float], ...] = tuple([] for _ in contenders)
    for serial in range(count + WARM):
        for one, put, get in zip(contenders, puts, gets, strict=True):
            spent = timed(partial(one.put, "x" * 64)), timed(one.get)
            if serial >= WARM:
                put.append(spent[0])
                get.append(spent[1])
    return puts, gets


def _measure_wakes(
    contenders: tuple[Contender, ...], makers: tuple[Callable[[], Contender], ...], count: int
) -> tuple[list[float], ...]:
    """Seconds from before the put in this process until the get in another has returned."""
    takers = [_Taker(make) for make in makers]
    found: tuple[list[float], ...] = tuple([] for _ in contenders)
    probe = contenders[1].server  # type: ignore[attr-defined]
    try:
        for serial in range(count + WARM):
            for one, taker, samples in zip(contenders, takers, found, strict=True):
                taker.begin()
                while probe.info("clients")["blocked_clients"] == 0:
                    pass
                one.put(time.monotonic())
                spent = taker.end()
                if serial >= WARM:
                    samples.append(spent)
    finally:
        for taker in takers:
            taker.close()
    return found


class _Taker:
    """A process that takes an item each time it is told to."""

    def __init__(self, make: Callable[[], Contender]) -> None:
        # Forked, because the time that Python takes to start is not measured.
        context = multiprocessing.get_context("fork")
        self._mine, theirs = context.Pipe()
        self._process = context.Process(target=_take, args=(make, theirs), daemon=True)
        self._process.start()

    def begin(self) -> None:
        self._mine.send(True)

    def end(self) -> float:
        if not self._mine.poll(60):
            raise RuntimeError("a waiting get was not woken")
        spent: float = self._mine.recv()
        return spent

    def close(self) -> None:
        self._process.kill()
        self._process.join()


def _take(make: Callable[[], Contender], told: Connection) -> None:
    contender = make()
    while told.recv():
        sent = contender.get()
        told.send(time.monotonic() - sent)


def _report(what: str, ours: list[float], bare: list[float]) -> Iterator[Figure]:
    mine, theirs = (statistics.median(each) * 1000 for each in (ours, bare))
    name = f"Queue on a server, {what}"
    yield Figure(f"{name}: volfs / bare script", mine / theirs, "x", RATIO)
    yield Figure(f"  {name}, p50", mine, "ms", MIDDLE, note=f"bare script {theirs:.3f} ms")
