"""Names, environments, ephemeral resources, and what is left of those that go."""

from __future__ import annotations

import struct

import pytest

from tests.services.conftest import Clock, Kept, count_rows
from volfs.errors import AlreadyExistsError, InvalidError, NotFoundError
from volfs.services.resources import DICT, EPHEMERAL_NS, QUEUE, Resources
from volfs.services.service_tables import ENTRIES, EPHEMERAL, NAMES, REMAINS, RESOURCES, VALUES


@pytest.fixture
def dicts(tables: Kept, clock: Clock) -> Resources:
    return Resources(tables, DICT, clock, clock.moment)


def test_a_resource_is_found_by_name_and_id(dicts: Resources) -> None:
    made = dicts.create("n", "main")
    assert made.id.startswith("di-")
    assert len(made.id) == 25
    assert dicts.get("n", "main") == made == dicts.get_by_id(made.id)
    assert dicts.create("n", "main", allow_existing=True) == made
    with pytest.raises(AlreadyExistsError, match="Dict 'n' already exists in environment 'main'"):
        dicts.create("n", "main")


def test_names_belong_to_environments_and_kinds(tables: Kept, dicts: Resources) -> None:
    queues = Resources(tables, QUEUE)
    ids = {
        dicts.create("n", "main").id,
        dicts.create("n", "test").id,
        queues.create("n", "main").id,
    }
    assert len(ids) == 3
    assert [r.environment for r in dicts.list_all("test")] == ["test"]
    with pytest.raises(NotFoundError, match="Queue 'n' not found in environment 'test'"):
        queues.get("n", "test")
    with pytest.raises(NotFoundError, match="not found"):
        queues.get_by_id(dicts.get("n", "main").id)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "ä", "x" * 65, "n\n", "ap-" + "0" * 22])
def test_bad_names(dicts: Resources, name: str) -> None:
    with pytest.raises(InvalidError, match="Invalid Dict name"):
        dicts.create(name, "main")
    with pytest.raises(InvalidError, match="Invalid Environment name"):
        dicts.create("n", name)


def test_newest_first(dicts: Resources, clock: Clock) -> None:
    for name in ("b", "a", "c"):
        dicts.create(name, "main")
        clock.pass_(1)
    assert [r.name for r in dicts.list_all("main")] == ["c", "a", "b"]
    assert dicts.list_all("mai") == []


def test_deleting_leaves_nothing(tables: Kept, dicts: Resources) -> None:
    rows = tables.dicts()
    for name in ("a", "b"):
        made = dicts.create(name, "main")
        rows.put(made.id, b"small", b"v", ttl=None, only_new=False)
        rows.put(made.id, b"large", b"v" * 5000, ttl=None, only_new=False)
    dicts.delete("a", "main")
    assert count_rows(tables, RESOURCES, NAMES) == 2
    assert count_rows(tables, ENTRIES, VALUES) == 3
    with pytest.raises(NotFoundError):
        dicts.delete("a", "main")
    dicts.delete_by_id(dicts.get("b", "main").id)
    assert count_rows(tables, RESOURCES, NAMES, ENTRIES, VALUES, REMAINS) == 0


def test_what_a_crash_left_as_remains_is_removed_by_the_next(
    tables: Kept, dicts: Resources
) -> None:
    made = dicts.create("a", "main")
    rows = tables.dicts()
    rows.put(made.id, b"k", b"v" * 5000, ttl=None, only_new=False)
    # As far as the first transaction of a deletion gets.
    tables.durable.change(lambda txn: txn.put(REMAINS, made.id.encode(), b""))
    dicts.create("b", "main")
    assert count_rows(tables, ENTRIES, VALUES, REMAINS) == 0


def test_ephemeral_ones_are_not_listed_and_lapse(
    tables: Kept, dicts: Resources, clock: Clock
) -> None:
    first = dicts.create_ephemeral("main")
    assert dicts.list_all("main") == []
    clock.pass_(EPHEMERAL_NS / 1e9 - 1)
    dicts.renew(first.id)
    clock.pass_(EPHEMERAL_NS / 1e9 - 1)
    second = dicts.create_ephemeral("main")
    assert dicts.get_by_id(first.id) == first
    clock.pass_(2)
    dicts.create_ephemeral("main")
    with pytest.raises(NotFoundError):
        dicts.get_by_id(first.id)
    with pytest.raises(NotFoundError):
        dicts.renew(first.id)
    assert dicts.get_by_id(second.id) == second
    assert count_rows(tables, EPHEMERAL) == 2


def test_a_clock_that_is_set_and_other_runs_end_no_ephemeral_resource(
    tables: Kept, dicts: Resources, clock: Clock
) -> None:
    made = dicts.create_ephemeral("main")
    for error in (10**9, -(10**9), 0):
        clock.error = error
        dicts.remove_lapsed()
    clock.restart(up=10**6)  # of a container that names another run of the machine
    clock.error = 10**9
    dicts.remove_lapsed()
    dicts.renew(made.id)
    clock.pass_(EPHEMERAL_NS / 1e9 - 1)
    dicts.remove_lapsed()
    assert dicts.get_by_id(made.id) == made
    clock.restart(10**6)
    dicts.remove_lapsed()
    clock.pass_(EPHEMERAL_NS / 1e9)
    dicts.remove_lapsed()
    assert count_rows(tables, EPHEMERAL, RESOURCES) == 0


def test_an_ephemeral_resource_of_an_older_volfs(
    tables: Kept, dicts: Resources, clock: Clock
) -> None:
    made = dicts.create_ephemeral("main")
    row = struct.pack("<Q16s", clock.up + EPHEMERAL_NS, clock.run.to_bytes(16, "big"))
    tables.durable.change(lambda txn: txn.put(EPHEMERAL, made.id.encode(), row))
    clock.pass_(EPHEMERAL_NS / 1e9 - 1)
    dicts.remove_lapsed()
    assert dicts.get_by_id(made.id) == made
    clock.restart(10**9)
    dicts.remove_lapsed()
    clock.pass_(1)
    dicts.remove_lapsed()
    assert dicts.get_by_id(made.id) == made, "in a run that it does not know it has its time again"
    clock.pass_(EPHEMERAL_NS / 1e9)
    dicts.remove_lapsed()
    assert count_rows(tables, EPHEMERAL) == 0
