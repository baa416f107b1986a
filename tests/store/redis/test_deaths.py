"""Servers and processes that die, forks, and iterations beside changes."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.redis_server import RedisServer
from volfs.errors import NotFoundError, StoreError
from volfs.services.opening import RedisServices
from volfs.services.resources import DICT, QUEUE, Resources
from volfs.store.redis.address import parse_address
from volfs.store.redis.binding import bind
from volfs.store.redis.table_server import TableServer

PUTTERS, TAKERS = 3, 3


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    running = RedisServer(tmp_path / "server", "--appendonly", "yes", "--appendfsync", "always")
    yield running
    running.close()


@pytest.fixture
def kept(server: RedisServer) -> Iterator[RedisServices]:
    opened = open_at(server)
    yield opened
    opened.close()


def open_at(server: RedisServer) -> RedisServices:
    table_server = TableServer(parse_address(server.url))
    return RedisServices(table_server, bind(table_server, "a store", "/its/path"))


class Workers:
    """Threads that put and take until the server is gone."""

    def __init__(self, kept: RedisServices, of: str, enough: int) -> None:
        self.put: list[bytes] = []
        self.taken: list[bytes] = []
        self.enough = threading.Event()
        self._most = enough
        self._queues, self._of = kept.queues(), of
        self._threads = [
            *(threading.Thread(target=self._putting, args=(n,)) for n in range(PUTTERS)),
            *(threading.Thread(target=self._taking) for _ in range(TAKERS)),
        ]
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        for thread in self._threads:
            thread.join()

    def _putting(self, number: int) -> None:
        try:
            for serial in range(1_000_000):
                item = b"%d %d" % (number, serial)
                assert self._queues.put_waiting(self._of, b"", [item], 60, "put", None)
                self.put.append(item)
        except StoreError:
            pass

    def _taking(self) -> None:
        try:
            while True:
                self.taken += self._queues.take_waiting(self._of, b"", 1, None)
                if len(self.taken) >= self._most:
                    self.enough.set()
        except StoreError:
            pass


@pytest.mark.parametrize("enough", [20, 150])
def test_a_killed_server_loses_nothing_and_gives_nothing_twice(
    server: RedisServer, kept: RedisServices, enough: int
) -> None:
    of = Resources(kept, QUEUE).create("q", "main").id
    workers = Workers(kept, of, enough)
    assert workers.enough.wait(300)
    server.kill()
    workers.join()
    server.start()
    left = kept.queues().take(of, b"", 5000)
    seen = Counter(workers.taken + left)
    assert max(seen.values()) == 1
    missing = set(workers.put) - seen.keys()
    assert len(missing) <= TAKERS, "what was being handed over when the server died"
    unknown = seen.keys() - set(workers.put)
    assert len(unknown) <= PUTTERS, "what was being put when the server died"
    for number in range(PUTTERS):
        mine = [int(item.split()[1]) for item in left if item.startswith(b"%d " % number)]
        assert mine == sorted(mine)


def test_what_was_acknowledged_outlives_the_server(
    server: RedisServer, kept: RedisServices
) -> None:
    of = Resources(kept, DICT).create("d", "main").id
    large = os.urandom(8 << 20)
    kept.dicts().put(of, b"large", large, ttl=None, only_new=False)
    assert kept.dicts().put(of, b"lock", b"1", ttl=600, only_new=True)
    server.kill()
    server.start()
    assert kept.dicts().find(of, b"large") == large
    assert not kept.dicts().put(of, b"lock", b"2", ttl=600, only_new=True)
    assert Resources(kept, DICT).get("d", "main").id == of


def test_a_forked_child_connects_anew(kept: RedisServices) -> None:
    of = Resources(kept, DICT).create("d", "main").id
    dicts = kept.dicts()
    dicts.put(of, b"k", b"parent", ttl=None, only_new=False)
    children = []
    for number in range(4):
        if (pid := os.fork()) == 0:
            status = 1
            try:
                for serial in range(50):
                    dicts.put(of, b"%d" % number, b"%d" % serial, ttl=None, only_new=False)
                    assert dicts.find(of, b"%d" % number) == b"%d" % serial
                status = 0
            finally:
                os._exit(status)
        children.append(pid)
    for _ in range(200):
        assert dicts.find(of, b"k") == b"parent"
    assert [os.waitpid(pid, 0)[1] for pid in children] == [0] * 4
    assert dicts.count(of) == 5


def test_an_iteration_beside_changes_gives_each_key_once(kept: RedisServices) -> None:
    of = Resources(kept, DICT).create("d", "main").id
    dicts = kept.dicts()
    steady = [b"steady %d" % n for n in range(3_000)]
    dicts.update(of, [(key, b"v") for key in steady])
    found = []
    for serial, (key, _) in enumerate(dicts.iter_items(of)):
        found.append(key)
        if (
            serial < 2_000 and serial % 500 == 0
        ):  # the server makes its table larger, and then smaller
            dicts.update(of, [(b"%d %d" % (serial, n), b"v") for n in range(3_000)])
    assert set(steady) <= set(found)
    assert max(Counter(found).values()) == 1


def test_ten_thousand_items_keep_their_order(kept: RedisServices) -> None:
    of = Resources(kept, QUEUE).create("q", "main").id
    queues = kept.queues()
    for partition in (b"a", b"b"):
        assert queues.put(of, partition, [b"%d" % n for n in range(5_000)], 60, "put")
        assert not queues.put(of, partition, [b"more"], 60, "put")
    assert queues.get_usage(of).items == 10_000
    for partition in (b"a", b"b"):
        got = [item for _ in range(10) for item in queues.take(of, partition, 500)]
        assert got == [b"%d" % n for n in range(5_000)]


def test_a_delete_leaves_no_key(server: RedisServer, kept: RedisServices) -> None:
    before = set(server.client.keys())
    for kind in (DICT, QUEUE):
        of = Resources(kept, kind).create("n", "main").id
        if kind == DICT:
            kept.dicts().put(of, b"k", b"v", ttl=None, only_new=False)
        else:
            for partition in (b"", b"p"):
                kept.queues().put(of, partition, [b"1"], 60, "put")
        Resources(kept, kind).delete("n", "main")
    assert set(server.client.keys()) - before <= {b"{volfs}:version"}


def test_a_resource_that_goes_while_it_is_first_used(kept: RedisServices) -> None:
    """A user who saw the row before it was removed leaves no contents."""
    of = Resources(kept, DICT).create("d", "main").id
    contents = kept._contents
    rows, reads = contents._rows, []

    class Removing:
        """Rows of which another process removes one between two looks."""

        def read(self, look: object) -> object:
            found = rows.read(look)  # type: ignore[arg-type]
            if not reads:
                Resources(kept, DICT).delete("d", "main")
            reads.append(found)
            return found

    contents._rows = Removing()  # type: ignore[assignment]
    with pytest.raises(NotFoundError, match="deleted"):
        kept.dicts().put(of, b"k", b"v", ttl=None, only_new=False)
    assert kept.server.call("KEYS", f"{{{of}}}:*") == []
