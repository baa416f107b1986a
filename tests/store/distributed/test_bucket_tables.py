"""What every engine's tables promise, for the small tables of a store in a bucket."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.bucket_servers import secret_of
from tests.harness.servers import SeaweedServer
from tests.store import test_tables_contract as suite
from tests.store.test_tables_contract import NAMES, finish, put, rows_of, start
from volfs.buckets.access import Bucket
from volfs.errors import ConflictError, InvalidError
from volfs.model.logs.table_log import NO_ROWS, RowPut, RowRemoved, apply
from volfs.store.distributed.checkpoints.plain_logs import TABLES_KIND, follow_plain
from volfs.store.distributed.tables.bucket_tables import LogTables
from volfs.store.registry import open_tables
from volfs.store.tables import Changing, Tables, TableStore

VOLATILE = {
    # A bucket has no volatile tables, and no signals.
    "test_tables_are_apart",
    "test_what_is_put_is_there_when_opened_again",
    "test_a_wake_after_the_ticket_ends_the_wait_at_once",
    "test_a_wait_ends_with_its_time",
    "test_a_wake_reaches_waiting_processes",
    # Half of them is about volatile tables. Below is what a log makes of the other half.
    "test_processes_lose_no_change",
    "test_what_was_reported_outlives_kill",
    # About stores in directories.
    "test_no_store_there",
}
PROMISES = {
    name: promise
    for name, promise in vars(suite).items()
    if name.startswith("test_") and name not in VOLATILE
}
globals().update(PROMISES)


@pytest.fixture
def url(
    seaweed: SeaweedServer, bucket_name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> str:
    for name, value in secret_of(seaweed).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("VOLFS_STATE_DIR", str(tmp_path / "state"))
    place = f"{tmp_path.name}-{os.urandom(4).hex()}"
    return f"s3://{bucket_name}/{place}?endpoint={seaweed.endpoint}&region=us-east-1"


@pytest.fixture
def store(url: str) -> Iterator[TableStore]:
    store = open_tables(url, NAMES, create=True)
    yield store
    store.close()


@pytest.fixture
def tables(store: TableStore) -> Tables:
    return store.durable


def test_every_promise_is_tried() -> None:
    assert len(PROMISES) == 11
    assert vars(suite).keys() >= VOLATILE


def test_processes_lose_no_change(url: str, store: TableStore) -> None:
    code = """
        for _ in range(12):
            print(tables.change(count))
    """
    said = [finish(process) for process in [start(url, "durable", code) for _ in range(3)]]
    assert sorted(int(each) for one in said for each in one.split()) == list(range(1, 37))
    assert rows_of(store.durable) == {b"n": b"36"}


def test_rows_are_there_when_opened_again(url: str) -> None:
    for number in range(3):
        store = open_tables(url, NAMES, create=True)
        assert rows_of(store.durable) == {b"%d" % n: b"" for n in range(number)}
        put(store.durable, {b"%d" % number: b""})
        store.close()
        store.close()


def test_there_are_no_volatile_tables(store: TableStore) -> None:
    assert not store.keeps_contents
    assert rows_of(store.volatile) == {}
    for call in (lambda: put(store.volatile, {b"a": b""}), lambda: store.signal(b"s")):
        with pytest.raises(InvalidError, match="VOLFS_TABLES"):
            call()


def test_a_process_that_was_forked_uses_them(store: TableStore) -> None:
    put(store.durable, {b"a": b"1"})
    child = os.fork()
    if child == 0:
        try:
            put(store.durable, {b"b": b"2"})
            store.close()
        finally:
            os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert rows_of(store.durable) == {b"a": b"1", b"b": b"2"}


def test_a_change_that_changes_nothing_writes_no_line(memory: Bucket) -> None:
    tables = LogTables(follow_plain(memory, TABLES_KIND))

    def act(txn: Changing) -> bool:
        txn.put("t", b"a", b"1")
        txn.put("t", b"b", b"2")
        return txn.delete("t", b"b")

    for _ in range(2):
        assert tables.change(act)
    assert len(memory.list_page("secrets/").objects) == 1


def test_what_cannot_follow_is_refused() -> None:
    put_row, remove = RowPut("t", b"k", b"v"), RowRemoved("t", b"k")
    state = apply(NO_ROWS, 0, 0, (put_row,))
    assert apply(state, 1, 0, (remove, put_row)).rows == state.rows
    for number, era, changes in ((2, 0, (put_row,)), (1, 1, (put_row,)), (1, 0, ())):
        with pytest.raises(ConflictError):
            apply(state, number, era, changes)
    with pytest.raises(ConflictError, match="not there"):
        apply(state, 1, 0, (remove, remove))
