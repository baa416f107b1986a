"""Where Dicts and Queues are kept, in a store and on a server, and a clock that stands still until
it is told otherwise.

Each test of ``tables`` runs twice, unless it is marked ``in_a_store``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.harness.redis_server import RedisServer
from volfs.model.entry import to_storable_time
from volfs.services.dicts import Dicts
from volfs.services.opening import RedisServices, TableServices, open_services
from volfs.services.queues import Queues
from volfs.services.service_tables import COUNTS, ENTRIES, ITEMS, PARTITIONS, VALUES
from volfs.services.table_dicts import INLINE_MAX, TableDicts
from volfs.services.table_queues import TableQueues
from volfs.store.clock import Moment, Steady
from volfs.store.redis.address import parse_address
from volfs.store.redis.binding import bind
from volfs.store.redis.table_server import TableServer

Kept = TableServices | RedisServices
PLACES = ("store", "redis")
MakeTables = Callable[[str, "Clock"], Kept]
in_a_store = pytest.mark.parametrize("tables", ["store"], indirect=True)
"""A test of rows as they are in a store, or of a promise that only a store makes."""


class Clock:
    """The clocks of a machine. ``pass_`` lets seconds go by."""

    def __init__(self) -> None:
        self.now = 1_700_000_000 * 10**9
        self.run, self.up = 1, 3600 * 10**9
        self.error = 0
        """How far the wall clock is ahead, in seconds."""

    def __call__(self) -> int:
        """What the wall clock says."""
        return to_storable_time(self.now + int(self.error * 10**9))

    def moment(self) -> Moment:
        return Moment(Steady(self.run.to_bytes(16, "big"), self.up), self())

    def pass_(self, seconds: float) -> None:
        self.now += int(seconds * 10**9)
        self.up += int(seconds * 10**9)

    def restart(self, away: float = 0, up: float = 0) -> None:
        """The machine starts anew; or the store is brought to one that has run for ``up``."""
        self.now += int(away * 10**9)
        self.run, self.up = self.run + 1, int(up * 10**9)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=PLACES)
def tables(request: pytest.FixtureRequest, make_tables: MakeTables, clock: Clock) -> Iterator[Kept]:
    kept = make_tables(request.param, clock)
    yield kept
    kept.close()


@pytest.fixture(scope="session")
def make_tables(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> MakeTables:
    """Makes empty tables in a new store, or on the server."""

    def make(place: str, clock: Clock) -> Kept:
        if place == "redis":
            return open_redis(request.getfixturevalue("redis_server"), clock)
        return open_services(str(tmp_path_factory.mktemp("s") / "store"), create=True)

    return make


def open_redis(running: RedisServer, clock: Clock | None = None) -> RedisServices:
    """An empty database."""
    running.client.flushall()
    server = TableServer(parse_address(running.url))
    return RedisServices(server, bind(server, "a store", "/its/path"), clock)


def open_dicts(tables: Kept, clock: Clock) -> Dicts:
    return TableDicts(tables, clock.moment) if isinstance(tables, TableServices) else tables.dicts()


def open_queues(tables: Kept, clock: Clock) -> Queues:
    return TableQueues(tables, clock) if isinstance(tables, TableServices) else tables.queues()


def count_rows(tables: Kept, *names: str, volatile: bool = False) -> int:
    """All rows of these tables, or what stands for them on a server."""
    if not isinstance(tables, TableServices):
        return sum(_count_on_server(tables, name) for name in names)
    sort = tables.volatile if volatile else tables.durable
    return sum(
        sort.read(lambda txn: len(txn.scan(name, b"\0", b"\xff" * 9, 1 << 30)))  # noqa: B023
        for name in names
    )


def _count_on_server(tables: RedisServices, name: str) -> int:
    call = tables.server.call

    def count(command: str, pattern: str) -> int:
        return sum(call(command, key) for key in call("KEYS", pattern))

    if name == ENTRIES:
        found = count("HLEN", "{di-*}:values")
        assert count("ZCARD", "{di-*}:expiries") == found
        return found
    if name == VALUES:
        values = [value for key in call("KEYS", "{di-*}:values") for value in call("HVALS", key)]
        return sum(len(value) > INLINE_MAX for value in values)
    if name == PARTITIONS:
        return count("ZCARD", "{qu-*}:partitions")
    if name == ITEMS:
        return count("LLEN", "{qu-*}:items:*")
    if name == COUNTS:
        return len(call("KEYS", "{qu-*}:partitions"))
    return int(call("HLEN", f"{{volfs}}:rows:{name}"))
