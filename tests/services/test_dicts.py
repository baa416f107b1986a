"""Entries of Dicts: atomic changes, expiry, limits."""

from __future__ import annotations

import os
import random
import subprocess
import sys

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
    open_dicts,
)
from volfs.errors import (
    DamagedObjectError,
    InvalidError,
    NotFoundError,
    RequestSizeError,
    StoreDeniedError,
)
from volfs.services import dicts
from volfs.services.dicts import Dicts
from volfs.services.lifetimes import IDLE_NS, OVERDUE_NS, SLACK_NS, DictEntry, Flag, decode_entry
from volfs.services.resources import DICT, Resources
from volfs.services.service_tables import ENTRIES, VALUES
from volfs.services.table_dicts import INLINE_MAX, row_key
from volfs.store.clock import Steady, uptime_ns
from volfs.store.elapsed import Wait
from volfs.store.tables import Tables

DAY = 24 * 3600


@pytest.fixture
def rows(tables: Kept, clock: Clock) -> Dicts:
    return open_dicts(tables, clock)


@pytest.fixture
def of(tables: Kept) -> str:
    return Resources(tables, DICT).create("d", "main").id


def put(rows: Dicts, of: str, key: bytes, value: bytes = b"v", ttl: float | None = None) -> bool:
    return rows.put(of, key, value, ttl=ttl, only_new=False)


i64 = st.integers(-(1 << 63), (1 << 63) - 1)
waits = st.builds(Wait, st.builds(Steady, st.binary(min_size=16, max_size=16), i64), i64, i64)


@given(
    st.integers(0, (1 << 64) - 1),
    st.none() | waits,
    st.sampled_from([Flag(0), Flag.TTL, Flag.APART, Flag.TTL | Flag.APART]),
    st.binary(),
    st.binary(max_size=99),
)
def test_entries_are_decoded_as_encoded(
    term_ns: int, wait: Wait | None, flags: Flag, key: bytes, value: bytes
) -> None:
    entry = DictEntry(term_ns, wait, flags, key, value)
    assert decode_entry(entry.encode()) == entry


def test_an_entry_byte_by_byte() -> None:
    wait = Wait(Steady(b"B" * 16, 1), 2, 3)
    row = DictEntry(0x0102030405060708, wait, Flag.TTL, b"key", b"value").encode()
    assert row[:16].hex(" ", 4) == "08070605 04030201 05000000 03000000"
    assert row[16:56] == b"B" * 16 + b"".join(n.to_bytes(8, "little") for n in (1, 2, 3))
    assert row[56:] == b"keyvalue"
    for size in range(58):
        with pytest.raises(DamagedObjectError):
            decode_entry(row[:size])


def test_an_entry_of_an_older_volfs_byte_by_byte() -> None:
    row = DictEntry(0x0102030405060708, None, Flag.TTL, b"key", b"value").encode()
    assert row.hex(" ", 4) == "08070605 04030201 01000000 03000000 6b657976 616c7565"
    for size in range(18):
        with pytest.raises(DamagedObjectError):
            decode_entry(row[:size])


@pytest.mark.parametrize("size", [0, 1, INLINE_MAX, INLINE_MAX + 1, 3 << 20])
def test_values_of_all_sizes(rows: Dicts, of: str, size: int) -> None:
    value = random.Random(size).randbytes(size)
    key = value[:700]
    assert put(rows, of, key, value)
    assert rows.find(of, key) == value
    assert list(rows.iter_items(of)) == [(key, value)]
    assert rows.pop(of, key) == value
    assert rows.find(of, key) is None


@in_a_store
def test_a_value_that_shrinks_leaves_nothing_apart(rows: Dicts, of: str, tables: Kept) -> None:
    put(rows, of, b"k", b"v" * 5000)
    put(rows, of, b"k", b"v")
    assert count_rows(tables, ENTRIES) == 1
    assert count_rows(tables, VALUES) == 0


def test_only_new(rows: Dicts, of: str, clock: Clock) -> None:
    assert rows.put(of, b"lock", b"a", ttl=60, only_new=True)
    assert not rows.put(of, b"lock", b"b", ttl=60, only_new=True)
    assert rows.find(of, b"lock") == b"a"
    clock.pass_(60)
    assert rows.put(of, b"lock", b"b", ttl=60, only_new=True)


def test_swap(rows: Dicts, of: str) -> None:
    assert not rows.swap(of, b"k", b"", b"1")
    assert rows.swap(of, b"k", None, b"1")
    assert not rows.swap(of, b"k", None, b"2")
    assert not rows.swap(of, b"k", b"2", b"3")
    assert rows.swap(of, b"k", b"1", b"2")
    assert rows.find(of, b"k") == b"2"


def test_dicts_are_apart(tables: Kept, rows: Dicts, of: str) -> None:
    other = Resources(tables, DICT).create("other", "main").id
    put(rows, of, b"k", b"1")
    put(rows, other, b"k", b"2")
    put(rows, other, b"l", b"3" * 5000)
    rows.clear(other)
    assert dict(rows.iter_items(of)) == {b"k": b"1"}
    assert rows.count(other) == 0
    assert count_rows(tables, ENTRIES, VALUES) == 1


def test_a_deleted_dict_is_gone_for_everybody(tables: Kept, rows: Dicts, of: str) -> None:
    Resources(tables, DICT).delete("d", "main")
    calls = [
        lambda: rows.find(of, b"k"),
        lambda: rows.contains(of, b"k"),
        lambda: put(rows, of, b"k"),
        lambda: rows.swap(of, b"k", None, b"v"),
        lambda: rows.pop(of, b"k"),
        lambda: rows.update(of, [(b"k", b"v")]),
        lambda: rows.clear(of),
        lambda: rows.count(of),
    ]
    for call in calls:
        with pytest.raises(NotFoundError, match="deleted"):
            call()


# --- expiry -----------------------------------------------------------------


def test_an_entry_expires_after_seven_days_without_use(rows: Dicts, of: str, clock: Clock) -> None:
    put(rows, of, b"k")
    clock.pass_(7 * DAY)
    assert rows.contains(of, b"k")
    clock.pass_(SLACK_NS / 1e9)
    assert not rows.contains(of, b"k")
    assert rows.find(of, b"k") is None
    assert rows.pop(of, b"k") is None
    assert rows.count(of) == 0


def test_reading_puts_the_expiry_off(rows: Dicts, of: str, clock: Clock) -> None:
    put(rows, of, b"k")
    for _ in range(5):
        clock.pass_(7 * DAY)
        assert rows.find(of, b"k") == b"v"
    clock.pass_(1800)
    rows.find(of, b"k")  # so soon after the last read that it is not recorded
    clock.pass_(7 * DAY - 1)
    assert rows.find(of, b"k") == b"v"


def test_contains_and_iteration_are_no_use(rows: Dicts, of: str, clock: Clock) -> None:
    put(rows, of, b"k")
    clock.pass_(7 * DAY)
    assert rows.contains(of, b"k")
    assert list(rows.iter_keys(of)) == [b"k"]
    clock.pass_(3600)
    assert rows.count(of) == 0


def test_a_ttl_replaces_the_expiry_by_disuse(rows: Dicts, of: str, clock: Clock) -> None:
    put(rows, of, b"short", ttl=10)
    put(rows, of, b"long", ttl=30 * DAY)
    clock.pass_(9)
    assert rows.find(of, b"short") == b"v"
    clock.pass_(1)
    assert rows.find(of, b"short") is None
    clock.pass_(29 * DAY)
    assert rows.find(of, b"long") == b"v"
    put(rows, of, b"long")
    clock.pass_(2 * DAY)
    assert rows.find(of, b"long") == b"v", "a new put has a new expiry"


@pytest.mark.parametrize("ttl", [0, -1, float("inf"), float("nan")])
def test_a_ttl_must_make_sense(rows: Dicts, of: str, ttl: float) -> None:
    with pytest.raises(InvalidError, match="ttl"):
        put(rows, of, b"k", ttl=ttl)


def test_what_expired_is_swept_by_writing(rows: Dicts, of: str, clock: Clock, tables: Kept) -> None:
    for number in range(50):
        put(rows, of, b"old %d" % number, b"v" * 2000, ttl=1)
    clock.pass_(2)
    for number in range(200):
        put(rows, of, b"new %d" % number)
    assert count_rows(tables, ENTRIES) < 200 + 25
    assert count_rows(tables, VALUES) < 25


# --- clocks -----------------------------------------------------------------


@in_a_store
@pytest.mark.parametrize("error", [-(10**9), 3600, 10**9, 10**11])
def test_a_clock_that_is_set_hides_and_removes_nothing(
    rows: Dicts, of: str, clock: Clock, tables: Kept, error: int
) -> None:
    for number in range(20):
        put(rows, of, b"idle %d" % number)
        put(rows, of, b"ttl %d" % number, ttl=60)
    for ahead in (error, 0, error):
        clock.error = ahead
        put(rows, of, b"new %d" % ahead)
        assert rows.find(of, b"ttl 0") == rows.find(of, b"idle 0") == b"v"
        assert rows.contains(of, b"ttl 1")
        assert not rows.put(of, b"ttl 2", b"w", ttl=9, only_new=True)
        assert not rows.swap(of, b"ttl 3", None, b"w")
        assert rows.count(of) == len(set(rows.iter_keys(of))) >= 41
    assert count_rows(tables, ENTRIES) == 42
    clock.pass_(60)
    assert rows.find(of, b"ttl 0") is None
    assert rows.count(of) == 22


@in_a_store
@pytest.mark.parametrize("error", [0, 10**9, -(10**9)])
@pytest.mark.parametrize("up", [0, 10**7])
def test_another_run_or_machine_counts_for_half_of_a_term_at_most(
    rows: Dicts, of: str, clock: Clock, error: int, up: int
) -> None:
    put(rows, of, b"lock", ttl=60)
    clock.pass_(20)
    clock.restart(5, up=up)
    clock.error = error
    assert not rows.put(of, b"lock", b"w", ttl=60, only_new=True)
    clock.pass_(29)
    assert rows.contains(of, b"lock")
    clock.pass_(31)
    assert rows.put(of, b"lock", b"w", ttl=60, only_new=True)
    assert rows.find(of, b"lock") == b"w"


@pytest.mark.parametrize("look", ["find", "contains", "count", "only_new", "swap", "sweep"])
def test_what_was_seen_to_be_gone_stays_gone(
    rows: Dicts, of: str, clock: Clock, tables: Kept, look: str
) -> None:
    put(rows, of, b"k", b"v" * 2000, ttl=60)
    clock.pass_(60)
    looks = {
        "find": lambda: rows.find(of, b"k"),
        "contains": lambda: rows.contains(of, b"k"),
        "count": lambda: rows.count(of),
        "only_new": lambda: rows.put(of, b"k", b"w", ttl=1, only_new=True) and rows.pop(of, b"k"),
        "swap": lambda: rows.swap(of, b"k", b"v" * 2000, b"w"),
        "sweep": lambda: [put(rows, of, b"%d" % n) for n in range(40)],
    }
    looks[look]()
    clock.restart()
    assert rows.find(of, b"k") is None
    assert count_rows(tables, VALUES) == 0


@in_a_store
def test_two_containers_that_name_different_runs_of_the_machine(
    rows: Dicts, of: str, clock: Clock
) -> None:
    """They look in turn, each in a run that the other does not know."""
    put(rows, of, b"lock", ttl=60)
    for second in range(1, 60):
        clock.pass_(1)
        clock.run = 1 + second % 2
        assert rows.contains(of, b"lock"), second
    clock.pass_(1)
    clock.run = 1
    assert not rows.contains(of, b"lock")


@in_a_store
@pytest.mark.parametrize("error", [-(10**8), 0, 10**9])
def test_entries_of_an_older_volfs_begin_a_term_when_they_are_first_seen(
    rows: Dicts, of: str, clock: Clock, tables: Kept, error: int
) -> None:
    def put_older(key: bytes, seconds: float, flags: Flag) -> None:
        row = DictEntry(clock() + int(seconds * 1e9), None, flags, key, b"v").encode()
        tables.durable.change(lambda txn: txn.put(ENTRIES, row_key(of, key), row))

    put_older(b"ttl", 30 * DAY, Flag.TTL)
    put_older(b"over", -1, Flag.TTL)
    put_older(b"idle", 5 * DAY, Flag(0))
    clock.error = error
    put(rows, of, b"new")
    assert rows.count(of) == 4
    assert rows.find(of, b"ttl") == b"v"
    clock.error = 0
    clock.pass_(OVERDUE_NS / 1e9)
    assert rows.contains(of, b"over") == (error < 0), "until then, where the clock is behind"
    assert rows.contains(of, b"ttl") == (error <= 0)
    clock.pass_(1)
    if error == 0:
        clock.pass_(5 * DAY)
        assert sorted(rows.iter_keys(of)) == [b"new", b"ttl"]
        clock.pass_(25 * DAY)
        assert not rows.contains(of, b"ttl")


class Frozen:
    """Tables that can only be read."""

    def __init__(self, tables: Tables) -> None:
        self.read = tables.read

    def change(self, act: object, adds: int | None = 0) -> None:
        raise StoreDeniedError("it is on a read-only file system")


@in_a_store
def test_time_goes_on_for_whoever_reads_a_store_that_cannot_be_written(
    rows: Dicts, of: str, clock: Clock
) -> None:
    put(rows, of, b"ttl", ttl=60)
    put(rows, of, b"idle")
    rows._tables = Frozen(rows._tables)  # type: ignore[assignment]
    clock.pass_(2 * 3600)
    assert rows.find(of, b"ttl") is None
    assert rows.find(of, b"idle") == b"v"
    clock.restart(3600)
    assert b"idle" in rows.iter_keys(of)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes a time namespace")
def test_the_clock_of_a_run_is_the_same_in_every_container() -> None:
    code = "from volfs.store.clock import uptime_ns; print(uptime_ns())"
    apart = ["unshare", "--time", "--fork", f"--boottime={10**8}", sys.executable, "-c", code]
    done = subprocess.run(apart, capture_output=True, text=True, check=True)
    assert 0 <= uptime_ns() - int(done.stdout) < 600 * 10**9


# --- limits -----------------------------------------------------------------


def test_too_large_a_value(rows: Dicts, of: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dicts, "VALUE_MAX", 1000)
    put(rows, of, b"k", b"v" * 1000)
    with pytest.raises(RequestSizeError, match=r"Dict\.put request is too large: 1,001 bytes"):
        put(rows, of, b"k", b"v" * 1001)
    with pytest.raises(RequestSizeError, match=r"Dict\.update request is too large"):
        rows.update(of, [(b"a", b"v"), (b"b", b"v" * 1001)])
    assert rows.count(of) == 1


def test_an_update_is_whole_or_not_at_all(rows: Dicts, of: str) -> None:
    items = [(b"%d" % number, b"v") for number in range(10_001)]
    with pytest.raises(RequestSizeError, match="10,001 entries, at most 10,000 at once"):
        rows.update(of, items)
    assert rows.count(of) == 0
    rows.update(of, items[:10_000])
    assert rows.count(of) == 10_000
    assert set(rows.iter_keys(of)) == {key for key, _ in items[:10_000]}


@pytest.mark.parametrize("place", PLACES)
@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["put", "new", "pop", "clear", "update", "swap", "wait"]),
            st.sampled_from([b"a", b"b", b"c"]),
            st.sampled_from([b"", b"1", b"2" * 2000]),
        ),
        max_size=30,
    )
)
def test_does_what_a_dict_does(
    place: str, make_tables: MakeTables, steps: list[tuple[str, bytes, bytes]]
) -> None:
    clock, model = Clock(), dict[bytes, bytes]()
    store = make_tables(place, clock)
    rows, of = open_dicts(store, clock), Resources(store, DICT).create("d", "main").id
    for step, key, value in steps:
        if step == "put":
            put(rows, of, key, value)
            model[key] = value
        elif step == "new":
            assert rows.put(of, key, value, ttl=None, only_new=True) == (key not in model)
            model.setdefault(key, value)
        elif step == "pop":
            assert rows.pop(of, key) == model.pop(key, None)
        elif step == "clear":
            rows.clear(of)
            model.clear()
        elif step == "update":
            rows.update(of, [(key, value), (b"a", value)])
            model |= {key: value, b"a": value}
        elif step == "swap":
            assert rows.swap(of, key, value, b"swapped") == (model.get(key) == value)
            if model.get(key) == value:
                model[key] = b"swapped"
        else:
            clock.pass_((IDLE_NS + SLACK_NS) / 1e9)
            model.clear()
        assert dict(rows.iter_items(of)) == model
    store.close()
