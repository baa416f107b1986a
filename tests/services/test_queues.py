"""Partitions of Queues: order, room, expiry, limits."""

from __future__ import annotations

from collections import deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.services.conftest import (
    PLACES,
    Clock,
    Kept,
    MakeTables,
    count_rows,
    in_a_store,
    open_queues,
)
from volfs.errors import (
    DamagedObjectError,
    InvalidError,
    NotFoundError,
    RequestSizeError,
    ResourceExhaustedError,
)
from volfs.services import queues
from volfs.services.queues import TTL_MAX, Queues, QueueUsage
from volfs.services.resources import QUEUE, Resources
from volfs.services.service_tables import COUNTS, ITEMS, PARTITIONS
from volfs.services.table_queues import decode_partition


@pytest.fixture
def rows(tables: Kept, clock: Clock) -> Queues:
    return open_queues(tables, clock)


@pytest.fixture
def of(tables: Kept) -> str:
    return Resources(tables, QUEUE).create("q", "main").id


def put(rows: Queues, of: str, *items: bytes, partition: bytes = b"", ttl: float = TTL_MAX) -> bool:
    return rows.put(of, partition, items, ttl, "Queue.put")


@in_a_store
def test_a_partition_byte_by_byte(rows: Queues, of: str, tables: Kept, clock: Clock) -> None:
    put(rows, of, b"one", b"three", partition=b"p", ttl=1)
    rows.take(of, b"p", 1)
    key = of.encode() + b"\x01p"
    row = tables.volatile.read(lambda txn: txn.find(PARTITIONS, key))
    expires = (clock.now + 10**9).to_bytes(8, "little")
    assert row == b"\x01" + bytes(7) + b"\x02" + bytes(7) + b"\x05" + bytes(7) + expires
    number = (1).to_bytes(8, "big")
    assert tables.volatile.read(lambda txn: txn.find(ITEMS, key + number)) == b"three"
    assert tables.volatile.read(lambda txn: txn.find(COUNTS, of.encode())) == b"\1\0\0\0"
    for bad in (b"", bytes(31), b"\2" + bytes(31)):
        with pytest.raises(DamagedObjectError):
            decode_partition(bad)


def test_first_in_first_out(rows: Queues, of: str) -> None:
    put(rows, of, b"1", b"2")
    put(rows, of, b"3")
    assert rows.take(of, b"", 2) == [b"1", b"2"]
    assert rows.take(of, b"", 2) == [b"3"]
    assert rows.take(of, b"", 2) == []


def test_partitions_are_apart(rows: Queues, of: str) -> None:
    # One is the other with what might be the number of an item.
    names = [b"", b"a", b"a" + bytes(8), b"a" + bytes(7) + b"\1", b"b"]
    for name in names:
        put(rows, of, name, name, partition=name)
    assert rows.get_usage(of) == QueueUsage(5, 10)
    rows.clear(of, b"a")
    assert rows.count(of, b"a") == 0
    for name in names:
        assert rows.take(of, name, 9) == ([name, name] if name != b"a" else [])
    assert rows.get_usage(of) == QueueUsage(0, 0)


def test_clear_all_leaves_no_row(tables: Kept, rows: Queues, of: str) -> None:
    other = Resources(tables, QUEUE).create("other", "main").id
    for name in (b"", b"x", b"y"):
        put(rows, of, b"1", partition=name)
    put(rows, other, b"1")
    rows.clear_all(of)
    assert rows.get_usage(of) == QueueUsage(0, 0)
    assert count_rows(tables, PARTITIONS, ITEMS, COUNTS, volatile=True) == 3
    put(rows, of, b"2")
    assert rows.take(of, b"", 9) == [b"2"]


def test_peeking_takes_nothing(rows: Queues, of: str) -> None:
    put(rows, of, *(b"%d" % n for n in range(10)))
    items, position = rows.peek(of, b"", 0, 4)
    assert items == [b"0", b"1", b"2", b"3"]
    assert rows.peek(of, b"", position, 99)[0][0] == b"4"
    rows.take(of, b"", 6)
    assert rows.peek(of, b"", position, 1) == ([b"6"], 7), "what was taken is passed over"
    assert rows.count(of, b"") == 4
    assert rows.peek(of, b"none", 0, 1) == ([], 0)


def test_a_deleted_queue_is_gone_for_everybody(tables: Kept, rows: Queues, of: str) -> None:
    put(rows, of, b"1", partition=b"p")
    Resources(tables, QUEUE).delete("q", "main")
    assert count_rows(tables, PARTITIONS, ITEMS, COUNTS, volatile=True) == 0
    calls = [
        lambda: put(rows, of, b"1"),
        lambda: rows.take(of, b"", 1),
        lambda: rows.peek(of, b"", 0, 1),
        lambda: rows.count(of, b""),
        lambda: rows.get_usage(of),
        lambda: rows.clear(of, b""),
        lambda: rows.clear_all(of),
    ]
    for call in calls:
        with pytest.raises(NotFoundError, match="deleted"):
            call()
    assert count_rows(tables, PARTITIONS, ITEMS, COUNTS, volatile=True) == 0


# --- expiry -----------------------------------------------------------------


def test_a_partition_expires_after_its_last_put(rows: Queues, of: str, clock: Clock) -> None:
    put(rows, of, b"1")
    clock.pass_(TTL_MAX - 1)
    put(rows, of, b"2")
    clock.pass_(TTL_MAX - 1)
    rows.take(of, b"", 1)
    assert rows.count(of, b"") == 1
    clock.pass_(1)
    assert rows.count(of, b"") == 0
    assert rows.take(of, b"", 9) == []
    assert rows.peek(of, b"", 0, 9)[0] == []
    put(rows, of, b"3")
    assert rows.take(of, b"", 9) == [b"3"]


def test_the_last_ttl_counts(rows: Queues, of: str, clock: Clock) -> None:
    put(rows, of, b"1")
    put(rows, of, b"2", ttl=10)
    clock.pass_(10)
    assert rows.count(of, b"") == 0
    for ttl in (0, -1, TTL_MAX + 1):
        with pytest.raises(InvalidError, match="partition_ttl"):
            put(rows, of, b"1", ttl=ttl)


def test_expired_partitions_are_swept_by_new_ones(
    rows: Queues, of: str, clock: Clock, tables: Kept
) -> None:
    for number in range(20):
        put(rows, of, b"x", b"y", partition=b"old%d" % number, ttl=1)
    clock.pass_(2)
    for number in range(20):
        put(rows, of, b"x", partition=b"new%d" % number)
    assert count_rows(tables, PARTITIONS, volatile=True) == 20
    assert count_rows(tables, ITEMS, volatile=True) == 20


# --- limits -----------------------------------------------------------------


def test_a_full_partition(rows: Queues, of: str) -> None:
    assert put(rows, of, *[b"x"] * 4_999)
    assert not put(rows, of, b"1", b"2")
    assert rows.count(of, b"") == 4_999, "all or none"
    assert put(rows, of, b"1")
    assert not put(rows, of, b"2")
    assert put(rows, of, b"2", partition=b"other")
    rows.take(of, b"", 1)
    assert put(rows, of, b"2")


def test_a_partition_full_of_bytes(rows: Queues, of: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queues, "PARTITION_BYTES_MAX", 1000)
    assert put(rows, of, b"x" * 600)
    assert not put(rows, of, b"x" * 401)
    assert put(rows, of, b"x" * 400)
    rows.take(of, b"", 1)
    assert put(rows, of, b"x" * 600)


def test_what_could_never_fit(rows: Queues, of: str) -> None:
    assert put(rows, of, b"x" * (1 << 20))
    with pytest.raises(RequestSizeError, match=r"Queue\.put request is too large: an item of"):
        put(rows, of, b"x" * ((1 << 20) + 1))
    with pytest.raises(RequestSizeError, match="5,001 items of 5,001 bytes"):
        put(rows, of, *[b"x"] * 5_001)


def test_too_many_partitions(
    rows: Queues, of: str, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queues, "PARTITIONS_MAX", 3)
    for number in range(3):
        put(rows, of, b"x", partition=b"%d" % number, ttl=10 if number == 0 else TTL_MAX)
    with pytest.raises(ResourceExhaustedError, match="3 partitions"):
        put(rows, of, b"x", partition=b"z")
    put(rows, of, b"x", partition=b"1")
    clock.pass_(10)
    put(rows, of, b"x", partition=b"z")
    with pytest.raises(ResourceExhaustedError):
        put(rows, of, b"x", partition=b"y")


@pytest.mark.parametrize("place", PLACES)
@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["put", "take", "clear", "clear_all", "peek"]),
            st.sampled_from([b"", b"a", b"ab"]),
            st.integers(0, 5),
        ),
        max_size=40,
    )
)
def test_does_what_deques_do(
    place: str, make_tables: MakeTables, steps: list[tuple[str, bytes, int]]
) -> None:
    clock = Clock()
    store = make_tables(place, clock)
    rows, of = open_queues(store, clock), Resources(store, QUEUE).create("q", "main").id
    model: dict[bytes, deque[bytes]] = {name: deque() for name in (b"", b"a", b"ab")}
    for serial, (step, partition, count) in enumerate(steps):
        mine = model[partition]
        if step == "put":
            items = [b"%d %d" % (serial, n) for n in range(count)]
            put(rows, of, *items, partition=partition)
            mine.extend(items)
        elif step == "take":
            taken = [mine.popleft() for _ in range(min(count, len(mine)))]
            assert rows.take(of, partition, count) == taken
        elif step == "clear":
            rows.clear(of, partition)
            mine.clear()
        elif step == "clear_all":
            rows.clear_all(of)
            for each in model.values():
                each.clear()
        else:
            assert rows.peek(of, partition, 0, count)[0] == list(mine)[:count]
        assert rows.count(of, partition) == len(mine)
    assert rows.get_usage(of).items == sum(map(len, model.values()))
    store.close()
