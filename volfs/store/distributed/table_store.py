"""Handles on the small tables of a store in a bucket."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import NoReturn, TypeVar

from volfs.errors import InvalidError, StoreError
from volfs.model.logs.table_log import NO_ROWS
from volfs.store.distributed.bucket_engine import BucketStore, open_distributed
from volfs.store.distributed.tables.table_changes import TablesSeen
from volfs.store.tables import Changing, Reading, Signal, TableNames, Tables

T = TypeVar("T")
KEY_FILE = "secret-key"
"""In what a machine has of the store. Who administers the machines copies it to each of them."""


class BucketTableStore:
    """``store.tables.TableStore``: one handle, which a process that was forked may use, too."""

    keeps_contents = False

    def __init__(self, url: str, create: bool) -> None:
        self._opened: tuple[int, BucketStore] | None = (os.getpid(), open_distributed(url, create))
        self.url = self.find_store().url
        self.key_file = self.find_store().local / KEY_FILE
        self.durable: Tables = _HandleTables(self)
        self.volatile: Tables = _NoTables(self.url)

    def find_store(self) -> BucketStore:
        """The open store of this process. StoreError if the handle was closed."""
        if self._opened is None:
            raise StoreError("the tables are closed")
        process, store = self._opened
        if process != os.getpid():
            store = open_distributed(self.url, False)
            self._opened = (os.getpid(), store)
        return store

    def signal(self, name: bytes) -> Signal:
        _refuse(self.url)

    def close(self) -> None:
        opened, self._opened = self._opened, None
        if opened is not None and opened[0] == os.getpid():
            opened[1].close()


class _HandleTables:
    """The durable tables, by a handle."""

    def __init__(self, handle: BucketTableStore) -> None:
        self._handle = handle

    def read(self, look: Callable[[Reading], T]) -> T:
        return self._handle.find_store().tables.read(look)

    def change(self, act: Callable[[Changing], T], adds: int | None = 0) -> T:
        return self._handle.find_store().tables.change(act, adds)


class _NoTables:
    """The volatile tables, which are empty and stay so."""

    def __init__(self, url: str) -> None:
        self._url = url

    def read(self, look: Callable[[Reading], T]) -> T:
        return look(TablesSeen(NO_ROWS))

    def change(self, act: Callable[[Changing], T], adds: int | None = 0) -> T:
        _refuse(self._url)


def open_bucket_tables(url: str, names: TableNames, create: bool) -> BucketTableStore:
    """The tables of the store in a bucket; see ``store.registry.open_tables``. All names are
    possible."""
    return BucketTableStore(url, create)


def _refuse(url: str) -> NoReturn:
    raise InvalidError(f"store {url}: a bucket has no tables that change often; use VOLFS_TABLES")
