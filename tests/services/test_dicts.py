"""Entries of Dicts: atomic changes, expiry, limits."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.services.conftest import Clock, count_rows
from volfs.errors import DamagedObjectError, InvalidError, NotFoundError, RequestSizeError
from volfs.services import dicts
from volfs.services.dicts import IDLE_NS, INLINE_MAX, SLACK_NS, Dicts, Entry, Flag, decode_entry
from volfs.services.layout import ENTRIES, VALUES
from volfs.services.resources import DICT, Resources
from volfs.store.tables import TableStore

DAY = 24 * 3600


@pytest.fixture
def rows(tables: TableStore, clock: Clock) -> Dicts:
    return Dicts(tables, clock)


@pytest.fixture
def of(tables: TableStore) -> str:
    return Resources(tables, DICT).create("d", "main").id


def put(rows: Dicts, of: str, key: bytes, value: bytes = b"v", ttl: float | None = None) -> bool:
    return rows.put(of, key, value, ttl=ttl, only_new=False)


@given(
    st.integers(0, (1 << 64) - 1), st.sampled_from(list(Flag)), st.binary(), st.binary(max_size=99)
)
def test_entries_are_decoded_as_encoded(
    expires_ns: int, flags: Flag, key: bytes, value: bytes
) -> None:
    entry = Entry(expires_ns, flags, key, value)
    assert decode_entry(entry.encode()) == entry


def test_an_entry_byte_by_byte() -> None:
    row = Entry(0x0102030405060708, Flag.TTL, b"key", b"value").encode()
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


def test_a_value_that_shrinks_leaves_nothing_apart(
    rows: Dicts, of: str, tables: TableStore
) -> None:
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


def test_dicts_are_apart(tables: TableStore, rows: Dicts, of: str) -> None:
    other = Resources(tables, DICT).create("other", "main").id
    put(rows, of, b"k", b"1")
    put(rows, other, b"k", b"2")
    put(rows, other, b"l", b"3" * 5000)
    rows.clear(other)
    assert dict(rows.iter_items(of)) == {b"k": b"1"}
    assert rows.count(other) == 0
    assert count_rows(tables, ENTRIES, VALUES) == 1


def test_a_deleted_dict_is_gone_for_everybody(tables: TableStore, rows: Dicts, of: str) -> None:
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


def test_what_expired_is_swept_by_writing(
    rows: Dicts, of: str, clock: Clock, tables: TableStore
) -> None:
    for number in range(50):
        put(rows, of, b"old %d" % number, b"v" * 2000, ttl=1)
    clock.pass_(2)
    for number in range(200):
        put(rows, of, b"new %d" % number)
    assert count_rows(tables, ENTRIES) < 200 + 25
    assert count_rows(tables, VALUES) < 25


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
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, bytes, bytes]]
) -> None:
    from volfs.services.layout import open_services

    store = open_services(str(tmp_path_factory.mktemp("s") / "store"), create=True)
    clock, model = Clock(), dict[bytes, bytes]()
    rows, of = Dicts(store, clock), Resources(store, DICT).create("d", "main").id
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
