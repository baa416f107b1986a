"""Tables of the embedded engine: two LMDB environments beside that of the index.

They are not in the environment of the index, so that publishing a version and ``put`` of a queue
do not wait for each other's transactions, and so that an index can be made again without touching
the tables (docs/decisions/0012-tables-beside-the-index.md).
"""

from __future__ import annotations

import fcntl
import os
import shutil
import threading
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import TypeVar
from uuid import UUID

from volfs.errors import StoreError, StoreReplacedError
from volfs.store.checked_lmdb.access import is_writable
from volfs.store.checked_lmdb.ballast import Ballast
from volfs.store.checked_lmdb.environment import (
    RESERVE,
    LmdbEnvironment,
    Table,
    Transaction,
    store_errors,
)
from volfs.store.clock import read_boot
from volfs.store.embedded.place.handle import Proof, StoreHandle, find_intact
from volfs.store.embedded.place.layout import INDEX, create_store, open_handle, why_former
from volfs.store.embedded.tables.signals import FutexSignal, Signals
from volfs.store.owner import make_directory, open_for_owner
from volfs.store.tables import Changing, Reading, TableNames, Tables
from volfs.system.directories import Identity
from volfs.system.locks import try_lock

T = TypeVar("T")
TABLES, DURABLE, VOLATILE = "tables", "durable", "volatile"
SIGNALS, BOOT, IN_USE = "signals", "boot", "in-use"


class Rows:
    """``store.tables.Changing`` in a transaction that writes; ``Reading`` in one that reads."""

    def __init__(self, txn: Transaction, tables: dict[str, Table]) -> None:
        self._txn = txn
        self._tables = tables

    def find(self, table: str, key: bytes) -> bytes | None:
        return self._txn.get(key, db=self._tables[table])

    def scan(self, table: str, first: bytes, end: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        rows: list[tuple[bytes, bytes]] = []
        with self._txn.cursor(self._tables[table]) as cursor:
            if not cursor.set_range(first):
                return rows
            for _, (key, row) in zip(range(limit), cursor, strict=False):
                if key >= end:
                    break
                rows.append((key, row))
        return rows

    def put(self, table: str, key: bytes, value: bytes) -> None:
        self._txn.put(key, value, db=self._tables[table])

    def delete(self, table: str, key: bytes) -> bool:
        return self._txn.delete(key, db=self._tables[table])

    def delete_range(self, table: str, first: bytes, end: bytes, limit: int | None = None) -> int:
        count = 0
        with self._txn.cursor(self._tables[table]) as cursor:
            while count != limit and cursor.set_range(first) and cursor.key() < end:
                cursor.delete()
                count += 1
        return count


class EmbeddedTables:
    """``store.tables.Tables`` over one environment, which is opened at the first use."""

    def __init__(self, handle: StoreHandle, name: str, refused: str, *, durable: bool) -> None:
        self._path = handle.base / name
        self._name = name
        self._ballast = Ballast(handle.base / INDEX)
        self._proof = Proof(handle)
        self._is_durable = durable
        self._refused = refused
        """Why nothing may be changed. Empty if changes are allowed."""
        self._names: set[str] = set()
        self._tables: dict[str, Table] = {}
        self._environment: LmdbEnvironment | None = None
        self._closed = False
        self._seen = False
        # Locks are taken in this order. Readers of one process wait for each other. A fork waits
        # for all, because it must not happen inside a transaction.
        self.writing = threading.Lock()
        self.reading = threading.Lock()
        self._opening = threading.Lock()

    def add_names(self, names: Iterable[str]) -> None:
        """Make the tables of these names usable."""
        with self.writing, self.reading:
            self._names.update(names)
            self._open()

    def _open(self) -> LmdbEnvironment:
        with self._opening:
            if self._closed:
                raise StoreError(f"tables {self._path}: closed")
            environment = self._environment or self._make_environment()
            for name in self._names - self._tables.keys():
                self._tables[name] = environment.open_table(name.encode())
            # This comes last: any thread that sees the environment takes it for ready.
            self._environment = environment
            return environment

    def _make_environment(self) -> LmdbEnvironment:
        with store_errors(f"tables {self._path}"):
            if is_writable(self._path):
                make_directory(self._path)
        prove = self._proof.check
        environment = LmdbEnvironment(
            self._path,
            durable=self._is_durable,
            seen=self._seen,
            prove=prove,
            ballast=self._ballast,
            refused=self._refused,
        )
        self._seen = True
        try:
            if environment.is_writable:
                self._proof.watch_environment(self._name)
            prove()
        except BaseException:
            self._close(environment)
            raise
        return environment

    def read(self, look: Callable[[Reading], T]) -> T:
        with self.reading:
            usable = self._environment or self._open()
            return usable.run(lambda txn: look(Rows(txn, self._tables)), write=False)

    def change(self, act: Callable[[Changing], T], adds: int | None = 0) -> T:
        # Twice the size, because LMDB writes new pages before it frees those that they replace.
        reserve = 0 if adds is None else RESERVE + 2 * adds
        with self.writing:
            usable = self._environment or self._open()
            return usable.run(lambda txn: act(Rows(txn, self._tables)), write=True, reserve=reserve)

    def check_files(self) -> None:
        """StoreReplacedError if other files are now in the place of the opened ones."""
        self._proof.check_files()

    def close(self) -> None:
        with self.writing, self.reading:
            self.suspend()
            self._closed = True

    def suspend(self) -> None:
        """Close the environment until the next use. The caller holds ``writing`` and
        ``reading``."""
        self._tables.clear()
        if self._environment is not None:
            self._close(self._environment)
            self._environment = None

    def _close(self, environment: LmdbEnvironment) -> None:
        environment.close()
        self._proof.close()


class OpenTables:
    """The tables of one store, shared by all their handles in this process."""

    def __init__(self, address: Path) -> None:
        self.handle = open_handle(address)
        self.path = self.handle.path
        self.handles = 0
        self._use = ExitStack()
        try:
            directory = self.handle.base / TABLES
            with store_errors(f"tables {directory}"):
                if is_writable(directory):
                    make_directory(directory)
                    self._use.callback(os.close, _begin_use(directory))
            why = why_former(self.handle)
            self.durable = EmbeddedTables(self.handle, f"{TABLES}/{DURABLE}", why, durable=True)
            self.volatile = EmbeddedTables(self.handle, f"{TABLES}/{VOLATILE}", why, durable=False)
            self.signals = Signals(directory / SIGNALS)
        except BaseException:
            self._use.close()
            self.handle.close()
            raise

    @property
    def both(self) -> tuple[EmbeddedTables, EmbeddedTables]:
        """Both sorts in the order of locking: a change of volatile tables may look into durable
        ones."""
        return self.volatile, self.durable

    def close(self) -> None:
        for tables in self.both:
            tables.close()
        self._use.close()
        self.handle.close()

    @property
    def is_intact(self) -> bool:
        """Whether the directory still has the files that were opened."""
        try:
            for tables in self.both:
                tables.check_files()
        except StoreReplacedError:
            return False
        return True


def _begin_use(directory: Path) -> int:
    """A descriptor whose lock shows, until it is closed, that somebody uses the tables.

    If nobody uses them, the volatile tables from before the machine last started are removed. If
    somebody does, the machine has not started since, whatever a container says.
    """
    fd = open_for_owner(directory / IN_USE)
    try:
        if try_lock(fd):
            _forget_after_restart(directory)
        fcntl.flock(fd, fcntl.LOCK_SH)
    except BaseException:
        os.close(fd)
        raise
    return fd


def _forget_after_restart(directory: Path) -> None:
    """Remove the volatile tables, which were written without syncing, if the machine has started
    since."""
    fd = open_for_owner(directory / BOOT)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        now = f"{UUID(bytes=read_boot())}\n".encode()
        if os.read(fd, len(now)) != now:
            shutil.rmtree(directory / VOLATILE, ignore_errors=True)
            # No sync: any content that survives a power cut is of another start.
            os.pwrite(fd, now, 0)
    finally:
        os.close(fd)


class EmbeddedTableStore:
    """``store.tables.TableStore``: one handle on the tables."""

    keeps_contents = True

    def __init__(self, engine: OpenTables, address: Path) -> None:
        self._address = address
        self.url = str(engine.path)
        self.key_file = engine.path.with_name(engine.path.name + ".secret-key")
        self.durable: Tables = engine.durable
        self.volatile: Tables = engine.volatile
        self._engine = engine
        self._closed = False

    def signal(self, name: bytes) -> FutexSignal:
        return self._engine.signals.get(name)

    def close(self) -> None:
        """Close the handle; may be repeated. The last handle in the process closes the tables."""
        if self._closed:
            return
        self._closed = True
        with _lock:
            self._engine.handles -= 1
            self._engine.handle.drop_address(self._address)
            if self._engine.handles == 0:
                if _engines.get(self._engine.handle.identity) is self._engine:
                    del _engines[self._engine.handle.identity]
                self._engine.close()


# --- one engine per store and process; forks --------------------------------

_engines: dict[Identity, OpenTables] = {}
_lock = threading.Lock()


def open_embedded_tables(location: str, names: TableNames, create: bool) -> EmbeddedTableStore:
    """The tables of the store in a directory; see ``store.registry.open_tables``."""
    address = Path(location).absolute()
    with _lock:
        if create:
            create_store(address)
        known = find_intact(_engines, address)
        engine = known or OpenTables(address)
        engine.durable.add_names(names.durable)
        engine.volatile.add_names(names.volatile)
        if known is not None:
            engine.handle.add_address(address)
        _engines[engine.handle.identity] = engine
        engine.handles += 1
        return EmbeddedTableStore(engine, address)


_held = ExitStack()


def _before_fork() -> None:
    """Close what a fork must not inherit, when no thread is using it.

    A child could neither use the parent's environments nor close them: closing would free the
    parent's slots in LMDB's table of readers.
    """
    _held.enter_context(_lock)
    for engine in _engines.values():
        for tables in engine.both:
            _held.enter_context(tables.writing)
            _held.enter_context(tables.reading)
            tables.suspend()


def _after_fork() -> None:
    _held.close()


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)
