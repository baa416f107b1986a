"""Dict and Queue with 1, 4 and 16 processes, beside Redis on loopback and diskcache.

Redis runs twice, as it comes and syncing its log at each write (``appendfsync
always``), for that is what a Dict promises. All values are pickled, by the same
library; all processes do the same work on one Dict or one queue.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import random
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from bench.figures import Figure, show_number
from bench.workplace import Workplace

PROCESSES = (1, 4, 16)
SMOKE_PROCESSES = (1, 4)
SMOKE_WRITES = 1_000
KEYS = 1000
VALUE = {"id": 1, "text": "x" * 64, "done": False}


class Contender(Protocol):
    """What is measured of each."""

    def put(self, key: str) -> None: ...

    def get(self, key: str) -> None: ...

    def pass_on(self, key: str) -> None:
        """Put an item into the queue, and take one out."""


class Volfs:
    def __init__(self, address: str) -> None:
        import volfs

        client = volfs.Client(address)
        self.dict = volfs.Dict.from_name("bench", create_if_missing=True, client=client).hydrate()
        self.queue = volfs.Queue.from_name("bench", create_if_missing=True, client=client).hydrate()

    def put(self, key: str) -> None:
        self.dict[key] = VALUE

    def get(self, key: str) -> None:
        self.dict.get(key)

    def pass_on(self, key: str) -> None:
        self.queue.put(VALUE)
        self.queue.get()


class Redis:
    def __init__(self, address: str) -> None:
        import redis

        self.server: Any = redis.Redis(port=int(address))

    def put(self, key: str) -> None:
        self.server.set(key, pickle.dumps(VALUE))

    def get(self, key: str) -> None:
        data = self.server.get(key)
        if data is not None:
            pickle.loads(data)

    def pass_on(self, key: str) -> None:
        self.server.rpush("queue", pickle.dumps(VALUE))
        pickle.loads(self.server.blpop("queue")[1])


class Diskcache:
    def __init__(self, address: str) -> None:
        import diskcache

        self.cache: Any = diskcache.Cache(address + "/cache", timeout=60)
        self.deque: Any = diskcache.Deque(directory=address + "/deque")

    def put(self, key: str) -> None:
        self.cache[key] = VALUE

    def get(self, key: str) -> None:
        self.cache.get(key)

    def pass_on(self, key: str) -> None:
        self.deque.append(VALUE)
        self.deque.popleft()


class ContenderPlace(NamedTuple):
    """An engine, and where it is."""

    name: str
    engine: Callable[[str], Contender]
    address: str


OPERATIONS: tuple[tuple[str, str], ...] = (
    ("put", "Dict: put"),
    ("get", "Dict: get"),
    ("pass_on", "Queue: put and get"),
)


def measure_services(place: Workplace) -> Iterator[Figure]:
    smoke = place.sizes.writes <= SMOKE_WRITES
    counts = {"put": place.sizes.reads // 2, "get": place.sizes.writes}
    counts["pass_on"] = place.sizes.writes // 2
    with ExitStack() as stack:
        places = list(_start_all(place, stack))
        for processes in SMOKE_PROCESSES if smoke else PROCESSES:
            rates = [_measure(each, processes, counts) for each in places]
            for operation, title in OPERATIONS:
                ours, *others = (rate[operation] for rate in rates)
                named = zip(places[1:], others, strict=True)
                note = ", ".join(f"{each.name} {show_number(rate)}" for each, rate in named)
                yield Figure(f"{title}, processes: {processes}", ours, "/s", note=note)


def _start_all(place: Workplace, stack: ExitStack) -> Iterator[ContenderPlace]:
    yield ContenderPlace("volfs", Volfs, str(place.directory / "services-store"))
    Volfs(str(place.directory / "services-store"))
    if shutil.which("redis-server"):
        for name, synced in (("Redis", False), ("Redis synced", True)):
            directory = place.directory / name.replace(" ", "-")
            yield ContenderPlace(
                name, Redis, str(stack.enter_context(running_redis(directory, synced)))
            )
    yield ContenderPlace("diskcache", Diskcache, str(place.directory / "diskcache"))


@contextmanager
def running_redis(directory: Path, synced: bool) -> Iterator[int]:
    """The port of a server of our own."""
    directory.mkdir()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    options = ["--port", str(port), "--bind", "127.0.0.1", "--dir", str(directory), "--save", ""]
    options += ["--appendonly", "yes", "--appendfsync", "always"] if synced else []
    server = subprocess.Popen(
        ["redis-server", *options],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "LC_ALL": "C"},
    )
    try:
        assert server.stdout is not None
        for line in server.stdout:
            if "Ready to accept connections" in line:
                break
        else:
            raise RuntimeError("redis-server did not start")
        yield port
    finally:
        server.terminate()
        server.communicate()


def _measure(place: ContenderPlace, processes: int, counts: dict[str, int]) -> dict[str, float]:
    """Operations a second of all processes together."""
    # Forked, because the time that Python takes to start is not measured.
    context = multiprocessing.get_context("fork")
    barrier, results = context.Barrier(processes), context.Queue()
    arguments = (place, processes, counts, barrier, results)
    workers = [
        context.Process(target=_work, args=(number, *arguments)) for number in range(processes)
    ]
    for worker in workers:
        worker.start()
    spans = [results.get(timeout=600) for _ in workers]
    for worker in workers:
        worker.join()
    return {
        operation: count
        // processes
        * processes
        / (max(span[operation][1] for span in spans) - min(span[operation][0] for span in spans))
        for operation, count in counts.items()
    }


def _work(
    number: int,
    place: ContenderPlace,
    processes: int,
    counts: dict[str, int],
    barrier: Barrier,
    results: Any,
) -> None:
    engine = place.engine(place.address)
    spans = {}
    for operation, count in counts.items():
        names = random.Random(number).choices(range(KEYS), k=count // processes)
        call = getattr(engine, operation)
        call("warm")
        barrier.wait(600)
        began = time.monotonic()
        for name in names:
            call(f"key {name}")
        spans[operation] = (began, time.monotonic())
    results.put(spans)
