"""Opening what keeps Dicts, Queues and Secrets.

Secrets, environments and the lifetimes of ephemeral volumes are in the tables of the store. Dicts
and Queues are there too, unless ``VOLFS_TABLES`` names a server. Then they are on that server, with
the rows of their names.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from volfs.services.dicts import Dicts
from volfs.services.queues import Queues
from volfs.services.resources import ResourceStore, ServiceStore
from volfs.services.service_tables import ALL, COUNTS, ENTRIES, IDENTITY, ITEMS, PARTITIONS, VALUES
from volfs.services.table_dicts import TableDicts
from volfs.services.table_queues import TableQueues
from volfs.store.clock import Moment, Steady, read_moment
from volfs.store.identity import make_id
from volfs.store.registry import open_tables
from volfs.store.tables import Changing, Signal, Tables, TableStore, end_of_prefix

if TYPE_CHECKING:
    from volfs.store.redis.address import TablesAddress
    from volfs.store.redis.table_server import TableServer

_PIECE = 1000
_KEY = b"store"
_SERVER_RUN = b"clock of server\0"
"""The server's clock is taken for one run of a machine that never ends."""


class SharedStore(ResourceStore, Protocol):
    """Where the Dicts and Queues of a store are kept."""

    def dicts(self) -> Dicts: ...

    def queues(self) -> Queues: ...

    def close(self) -> None: ...


def open_services(url: str, *, create: bool = False) -> TableServices:
    """Open the tables of the store at an address. Raises what ``open_store`` raises."""
    return TableServices(open_tables(url, ALL, create=create))


def open_shared(address: TablesAddress, store: ServiceStore) -> RedisServices:
    """Open the Dicts and Queues of a store on a server. StoreError; ConflictError if those of
    another store are there."""
    from volfs.store.redis.binding import bind
    from volfs.store.redis.table_server import TableServer

    server = TableServer(address)
    try:
        server.check_fit()
        tag = bind(server, "" if address.space else _identify(store), store.url)
    except BaseException:
        server.close()
        raise
    return RedisServices(server, tag)


class TableServices:
    """``SharedStore`` in the tables of a store, and those tables."""

    def __init__(self, store: TableStore) -> None:
        self._store = store
        self.url = store.url
        self.key_file = store.key_file
        self.keeps_contents = store.keeps_contents
        self.durable: Tables = store.durable
        self.volatile: Tables = store.volatile

    def signal(self, name: bytes) -> Signal:
        return self._store.signal(name)

    def close(self) -> None:
        self._store.close()

    def dicts(self) -> Dicts:
        return TableDicts(self)

    def queues(self) -> Queues:
        return TableQueues(self)

    def read_moment(self) -> Moment:
        return read_moment()

    def remove_contents(self, resource_id: str) -> None:
        """Remove rows in short transactions."""
        for tables, names in (
            (self.durable, (ENTRIES, VALUES)),
            (self.volatile, (PARTITIONS, ITEMS, COUNTS)),
        ):
            for name in names:
                _remove_all(tables, name, resource_id.encode())


def _remove_all(tables: Tables, name: str, prefix: bytes) -> None:
    end = end_of_prefix(prefix)
    if not tables.read(lambda txn: txn.scan(name, prefix, end, 1)):
        return
    while tables.change(lambda txn: txn.delete_range(name, prefix, end, _PIECE), adds=None):
        pass


class RedisServices:
    """``SharedStore`` on a server. ``tag`` begins the keys of names."""

    def __init__(self, server: TableServer, tag: str, now: Callable[[], int] | None = None) -> None:
        """``now``, in nanoseconds since 1970, takes the place of the server's clock."""
        from volfs.services.redis_contents import RedisContents
        from volfs.store.redis.shared_rows import RedisTables

        self.server = server
        self.durable: Tables = RedisTables(server, tag)
        self._contents = RedisContents(server, self.durable, now)

    def dicts(self) -> Dicts:
        from volfs.services.redis_dicts import RedisDicts

        return RedisDicts(self._contents)

    def queues(self) -> Queues:
        from volfs.services.redis_queues import RedisQueues

        return RedisQueues(self._contents)

    def read_moment(self) -> Moment:
        """Now, by the server's clock, which is the same for all machines."""
        ns = self.server.read_time_ns()
        return Moment(Steady(_SERVER_RUN, ns), ns)

    def remove_contents(self, resource_id: str) -> None:
        self._contents.remove(resource_id)

    def close(self) -> None:
        self.server.close()


def _identify(store: ServiceStore) -> str:
    """The identity by which a server knows the store. It is made when it is first needed."""
    known = store.durable.read(lambda txn: txn.find(IDENTITY, _KEY))
    if known is not None:
        return known.decode()

    def act(txn: Changing) -> bytes:
        known = txn.find(IDENTITY, _KEY)
        if known is None:
            known = make_id("ts").encode()
            txn.put(IDENTITY, _KEY, known)
        return known

    return store.durable.change(act).decode()
