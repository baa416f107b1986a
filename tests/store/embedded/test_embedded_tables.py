"""What is particular to the tables of the embedded engine: forks, restarts, the directory."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from volfs.errors import OutOfSpaceError
from volfs.store.checked_lmdb import environment
from volfs.store.embedded.tables.tables import (
    BOOT,
    TABLES,
    VOLATILE,
    EmbeddedTableStore,
    OpenTables,
)
from volfs.store.embedded.tables.tables import open_embedded_tables as open_tables
from volfs.store.registry import open_store
from volfs.store.tables import Changing, TableNames, Tables
from volfs.volume.check import check_store

NAMES = TableNames(durable=("t",), volatile=("t",))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def store(path: Path) -> Iterator[EmbeddedTableStore]:
    store = open_tables(str(path), NAMES, True)
    yield store
    store.close()


def put(tables: Tables, key: bytes, value: bytes = b"") -> None:
    tables.change(lambda txn: txn.put("t", key, value))


def keys(tables: Tables) -> list[bytes]:
    return [key for key, _ in tables.read(lambda txn: txn.scan("t", b"\0", b"\xff", 1000))]


def in_fork(work: Callable[[], None]) -> bool:
    """Whether ``work`` came to its end in a forked process."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    return os.waitpid(pid, 0)[1] == 0


def test_tables_go_on_in_a_fork(store: EmbeddedTableStore) -> None:
    put(store.durable, b"a")
    assert keys(store.durable) == [b"a"]

    def child() -> None:
        for tables in (store.durable, store.volatile):
            put(tables, b"child")
        assert keys(store.durable) == [b"a", b"child"]
        assert in_fork(lambda: put(store.durable, b"grandchild"))

    assert in_fork(child)
    put(store.durable, b"b")
    assert keys(store.durable) == [b"a", b"b", b"child", b"grandchild"]
    assert keys(store.volatile) == [b"child"]


def test_forks_and_their_parent_read_at_once(store: EmbeddedTableStore) -> None:
    for tables in (store.durable, store.volatile):
        put(tables, b"a")

    def read() -> None:
        for _ in range(300):
            assert keys(store.durable) == keys(store.volatile) == [b"a"]

    def start() -> int:
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                read()
                status = 0
            finally:
                os._exit(status)
        return pid

    for _ in range(3):
        pids = [start() for _ in range(4)]
        read()
        assert [os.waitpid(pid, 0)[1] for pid in pids] == [0] * 4


def test_a_fork_waits_for_transactions_of_other_threads(store: EmbeddedTableStore) -> None:
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            put(store.volatile, b"x", b"v" * 1000)

    writers = [threading.Thread(target=write) for _ in range(2)]
    for writer in writers:
        writer.start()
    try:
        assert all(in_fork(lambda: put(store.volatile, b"child")) for _ in range(20))
    finally:
        stop.set()
        for writer in writers:
            writer.join()


def test_volatile_tables_are_empty_after_a_restart(path: Path) -> None:
    for restarted in (False, True):
        store = open_tables(str(path), NAMES, True)
        put(store.durable, b"a")
        put(store.volatile, b"a")
        store.close()
        if restarted:
            (path / TABLES / BOOT).write_text("another start of the machine")
        store = open_tables(str(path), NAMES, False)
        assert keys(store.durable) == [b"a"]
        assert keys(store.volatile) == ([] if restarted else [b"a"])
        store.close()


def test_who_names_another_start_of_the_machine_keeps_what_others_use(path: Path) -> None:
    """As a container does that has a name of its own for it."""
    store = open_tables(str(path), NAMES, True)
    put(store.volatile, b"a")
    (path / TABLES / BOOT).write_text("another start of the machine")
    assert in_fork(lambda: OpenTables(path).close())
    assert keys(store.volatile) == [b"a"]
    store.close()
    store = open_tables(str(path), NAMES, True)
    assert keys(store.volatile) == [], "nobody uses it: who has written it was of another start"
    store.close()


def test_the_directory_is_ours_alone(path: Path, store: EmbeddedTableStore) -> None:
    for item in (path / TABLES).rglob("*"):
        allowed = 0o700 if item.is_dir() else 0o600
        assert stat.S_IMODE(item.stat().st_mode) & ~allowed == 0, item
    assert (path / TABLES / VOLATILE).is_dir()


def test_a_store_with_tables_is_whole(path: Path, store: EmbeddedTableStore) -> None:
    put(store.durable, b"a")
    volumes = open_store(str(path))
    assert check_store(volumes).is_clean
    volumes.close()


def test_without_tables_a_store_is_whole_too(path: Path) -> None:
    open_store(str(path), create=True).close()
    assert not (path / TABLES).exists()
    store = open_tables(str(path), NAMES, False)
    assert keys(store.durable) == []
    store.close()


def test_a_full_disk_is_noticed_before(
    store: EmbeddedTableStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(store.durable, b"a")
    monkeypatch.setattr(environment, "RESERVE", 0)
    disk = os.statvfs("/")
    free = disk.f_bavail * disk.f_frsize

    def act(txn: Changing) -> None:
        raise AssertionError("it must not have begun")

    with pytest.raises(OutOfSpaceError, match="MiB free"):
        store.durable.change(act, adds=free)
    assert store.durable.change(lambda txn: txn.delete("t", b"a"), adds=None)
