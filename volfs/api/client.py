"""Which store the API works on. One is opened in a process, at the first call that needs it."""

from __future__ import annotations

import os

from volfs.services.layout import open_services
from volfs.store.location import choose_store
from volfs.store.tables import TableStore


class Client:
    """A store by its address. Opens nothing until it is used; threads and forks may share it."""

    def __init__(self, store: str | None = None) -> None:
        """``store``: a directory or a URL; default: ``VOLFS_STORE``, else the user's own."""
        self.url = choose_store(store)
        self._tables: TableStore | None = None

    def __repr__(self) -> str:
        return f"Client({self.url!r})"

    def tables(self, *, create: bool = False) -> TableStore:
        """The tables; with ``create``, of a store that is made if there is none.

        NotAStoreError; UnsupportedFormatError; StoreError.
        """
        # Without a lock, which a fork might leave locked for ever: two threads
        # may both open, and then share what is open.
        if self._tables is None:
            self._tables = open_services(self.url, create=create)
        return self._tables

    def close(self) -> None:
        tables, self._tables = self._tables, None
        if tables is not None:
            tables.close()


_clients: dict[str, Client] = {}


def find_client(client: Client | None = None) -> Client:
    """The given one, or this process's for the store that the environment names now."""
    return client or _clients.setdefault(choose_store(), Client())


def default_environment(named: str | None = None) -> str:
    """The named one, else ``VOLFS_ENVIRONMENT``, ``MODAL_ENVIRONMENT``, else ``main``."""
    from_process = os.environ.get("VOLFS_ENVIRONMENT") or os.environ.get("MODAL_ENVIRONMENT")
    return named or from_process or "main"
