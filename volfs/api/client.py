"""The store that the API works on. A process opens it at the first call that needs it."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from typing import Any
from weakref import WeakSet

from volfs.api.twins import blocking, blocking_class
from volfs.errors import InvalidError, UnimplementedError
from volfs.services.opening import SharedStore, TableServices, open_services, open_shared
from volfs.store.address import find_local_path
from volfs.store.contract.store import Store
from volfs.store.location import choose_environment, choose_store
from volfs.store.redis.address import describe_variables, find_address
from volfs.store.registry import open_store

_SERVERS = {"stub", "get_stub", "get_input_plane_metadata", "verify", "from_oauth_credentials"}


class Client:
    """A store by its address. A client opens nothing until it is used. Threads and forks may share
    it."""

    def __init__(self, store: str | None = None) -> None:
        """``store`` is a directory or a URL. The default is ``VOLFS_STORE``, else the user's own
        store."""
        self.url = choose_store(store)
        self._tables: TableServices | None = None
        self._shared: dict[tuple[str | None, ...], SharedStore] = {}
        self._store: Store | None = None
        self._borrowers = 0
        with _lock:
            _clients_made.add(self)

    def __repr__(self) -> str:
        return f"Client({self.url!r})"

    def tables(self, *, create: bool = False) -> TableServices:
        """The tables of the store. With ``create``, a store is made if there is none.

        NotAStoreError; UnsupportedFormatError; StoreError.
        """
        # There is no lock here, because a fork might leave it locked for ever. Two threads may
        # both open the tables, and then share what is open.
        if self._tables is None:
            self._tables = open_services(self.url, create=create)
        return self._tables

    def shared(self, *, create: bool = False) -> SharedStore:
        """Where the Dicts and Queues of the store are: its tables, or what ``VOLFS_TABLES`` names.

        Errors as of ``tables``; InvalidError for an address that is none, or if the store keeps no
        Dicts and nothing is named; ConflictError if the server keeps those of another store.
        """
        found = self.find_shared(create=create)
        if found is None:
            raise InvalidError(
                f"store {self.url}: its Dicts and Queues are on a Redis or Valkey server; name it, "
                "as in VOLFS_TABLES=redis://HOST"
            )
        return found

    def find_shared(self, *, create: bool = False) -> SharedStore | None:
        """As ``shared``; None if the store keeps no Dicts and nothing is named."""
        said = describe_variables()
        opened = self._shared.get(said)
        if opened is None:
            address, store = find_address(), self.tables(create=create)
            if address is None:
                return store if store.keeps_contents else None
            opened = self._shared[said] = open_shared(address, store)
        return opened

    @contextmanager
    def store(self, *, create: bool = False) -> Iterator[Store]:
        """Lend the volumes' store to a ``with`` block. Errors as of ``tables``.

        The store stays open for the next block. A block must not fork, unless its child leaves the
        store of the block alone.
        """
        process = os.getpid()
        with _lock:
            store = self._store = self._store or open_store(self.url, create=create)
            self._borrowers += 1
        try:
            yield store
        finally:
            if process == os.getpid():  # A child has lent nothing.
                with _lock:
                    self._borrowers -= 1

    # --- methods of Modal's Client ---------------------------------------

    @blocking_class
    @classmethod
    def from_env(cls) -> Client:
        """This process's client for the store that the environment names."""
        return find_client()

    @blocking_class
    @classmethod
    def from_credentials(cls, token_id: str, token_secret: str) -> Client:
        """As ``from_env``. Whoever may open the store's directory needs no token."""
        return find_client()

    @blocking_class
    @classmethod
    def anonymous(cls, server_url: str) -> Client:
        """As ``from_env``."""
        return find_client()

    def is_closed(self) -> bool:
        """Whether the client has nothing open. The next use opens the store again."""
        return self._tables is None and self._store is None

    @blocking
    def hello(self) -> None:
        """Open the store. NotAStoreError; StoreError."""
        self.tables()

    def __getattr__(self, name: str) -> Any:
        """Modal's connections to its servers. UnimplementedError."""
        if name in _SERVERS:
            raise UnimplementedError(f"Client.{name}: there is no server, a Client is a store")
        raise AttributeError(f"'Client' object has no attribute {name!r}")

    def close(self) -> None:
        tables, self._tables = self._tables, None
        shared, self._shared = self._shared, {}
        for opened in shared.values():
            opened.close()
        if tables is not None:
            tables.close()
        with _lock:
            self._close_store()

    def _close_store(self) -> None:
        store, self._store = self._store, None
        if store is not None:
            store.close()


# --- one client of each store in a process; forks ---------------------------

_clients: dict[str, Client] = {}
_clients_made: WeakSet[Client] = WeakSet()
_lock = threading.Lock()


def find_client(client: Client | None = None) -> Client:
    """The given client, or this process's client for the store that the environment names now."""
    return client or client_of(choose_store())


def client_of(url: str) -> Client:
    """This process's client for the store at an address."""
    return _clients.get(url) or _clients.setdefault(url, Client(url))


_held = ExitStack()


def _before_fork() -> None:
    """Close the stores that a child could do nothing with: those in directories, for a process
    cannot open one that it has inherited. Those that are in use stay open all the same."""
    _held.enter_context(_lock)
    for client in _clients_made:
        if not client._borrowers and find_local_path(client.url) is not None:
            client._close_store()


def _after_fork_in_child() -> None:
    """Forget stores in buckets without closing them, because the parent still uses them. The child
    opens its own."""
    for client in _clients_made:
        client._borrowers = 0
        if find_local_path(client.url) is None:
            client._store = None
    _held.close()


os.register_at_fork(
    before=_before_fork, after_in_parent=_held.close, after_in_child=_after_fork_in_child
)


_of_app: ContextVar[str | None] = ContextVar("volfs.environment", default=None)


def default_environment(named: str | None = None) -> str:
    """The environment that was named, else that of the app whose container is being made, else the
    one in force.

    The last is found as by ``choose_environment``.
    """
    return choose_environment(named or _of_app.get())


def app_environment() -> str | None:
    """The environment of the app whose container is being made; None if none is being made."""
    return _of_app.get()


@contextmanager
def in_environment(name: str) -> Iterator[None]:
    """For the block, names that are looked up belong to this environment unless they name
    another."""
    token = _of_app.set(name)
    try:
        yield
    finally:
        _of_app.reset(token)
