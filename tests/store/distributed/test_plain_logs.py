"""The catalog, the log of gc and the tables: a cold machine reads any of them by few requests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import pytest

from tests.store.contract import make_record
from tests.store.distributed.counted import CountedDoor
from tests.store.distributed.long_volumes import Inline
from volfs.buckets.access import Bucket, iter_objects
from volfs.buckets.answers import FailureKind, RequestFailure
from volfs.errors import DamagedObjectError
from volfs.model.logs.catalog_log import NameGiven, NameRemoved
from volfs.model.logs.gc_log import PacksCondemned, PacksDoomed
from volfs.model.logs.table_log import RowPut, RowRemoved
from volfs.store.distributed.checkpoints.due_checkpoints import (
    EVERY_FEW,
    EVERY_LINES,
    DueCheckpoints,
)
from volfs.store.distributed.checkpoints.framed_objects import FramedObjects
from volfs.store.distributed.checkpoints.log_checkpoints import PlainCheckpoints
from volfs.store.distributed.checkpoints.plain_logs import (
    CATALOG_KIND,
    GC_KIND,
    TABLES_KIND,
    PlainKind,
    PlainLogs,
    follow_plain,
)
from volfs.store.distributed.log.follower import Follower
from volfs.store.distributed.refs.facts_of_records import to_facts

LINES = 10 * EVERY_FEW + 5
MOST = 1 + 1 + EVERY_FEW + 5
"""A listing, a checkpoint, the lines after it, and the looks for the end."""


def name_one(number: int) -> Sequence[Any]:
    given = NameGiven(to_facts(make_record(number)))
    gone = [NameRemoved(make_record(number - 1).id)] if number % 3 == 2 else []
    return [given, *gone]


def collect(number: int) -> Sequence[Any]:
    if number == 0:
        return []
    packs = (f"{'a' * 22}{(number + 1) // 2:04}".translate(str.maketrans("0189", "wxyz")),)
    return [PacksCondemned(packs, swept=number - 1) if number % 2 else PacksDoomed(packs)]


def fill(number: int) -> Sequence[Any]:
    put = RowPut("secret", b"row %d" % number, bytes(number % 50))
    return [put, RowRemoved("secret", b"row %d" % (number - 1))] if number % 4 == 3 else [put]


class Plain(NamedTuple):
    kind: PlainKind[Any, Any]
    choose: Callable[[PlainLogs], Follower[Any, Any]]
    make: Callable[[int], Sequence[Any]]


LOGS = {
    "catalog": Plain(CATALOG_KIND, lambda logs: logs.catalog, name_one),
    "gc": Plain(GC_KIND, lambda logs: logs.gc, collect),
    "tables": Plain(TABLES_KIND, lambda logs: logs.tables, fill),
}


@pytest.fixture
def door() -> CountedDoor:
    return CountedDoor()


@pytest.fixture(params=LOGS)
def plain(request: pytest.FixtureRequest) -> Plain:
    return LOGS[request.param]


def open_logs(door: CountedDoor) -> PlainLogs:
    bucket = Bucket(door, world=Inline())
    return PlainLogs(bucket, DueCheckpoints(bucket.world))


def write(log: Follower[Any, Any], plain: Plain, first: int, end: int) -> None:
    for number in range(first, end):
        era = number if plain.kind is GC_KIND else None
        assert log.propose(log.known, plain.make(number), era=era) is not None


def read_cold(door: CountedDoor, plain: Plain) -> Any:
    """What a machine knows that has never seen the log, which is what the lines say."""
    log = plain.choose(open_logs(door))
    known = log.refresh()
    assert known == log.read_whole()
    return known


def list_checkpoints(door: CountedDoor, plain: Plain) -> list[str]:
    return [info.key for info in iter_objects(Bucket(door), plain.kind.place.checkpoints)]


def test_a_cold_machine_reads_what_is_new_since_the_checkpoint(
    door: CountedDoor, plain: Plain
) -> None:
    write(plain.choose(open_logs(door)), plain, 0, LINES)
    keys = list_checkpoints(door, plain)
    assert len(keys) == LINES // EVERY_FEW
    log = plain.choose(open_logs(door))
    door.asked.clear()
    known = log.refresh()
    assert known.number == LINES - 1
    assert len(door.asked) <= MOST
    assert known == log.read_whole()
    write(log, plain, LINES, LINES + 2)
    assert read_cold(door, plain).number == LINES + 1


def test_processes_that_write_one_line_each_make_checkpoints(
    door: CountedDoor, plain: Plain
) -> None:
    """As commands do: none of them lives as long as it takes to write 16 lines."""
    for number in range(2 * EVERY_FEW + 1):
        write(plain.choose(open_logs(door)), plain, number, number + 1)
    assert len(list_checkpoints(door, plain)) == 2
    read_cold(door, plain)


def test_who_only_reads_makes_one_if_it_is_long_overdue(door: CountedDoor, plain: Plain) -> None:
    writer = follow_plain(Bucket(door), plain.kind)
    write(writer, plain, 0, 2 * EVERY_LINES - 1)
    plain.choose(open_logs(door)).refresh()
    assert list_checkpoints(door, plain) == []
    write(writer, plain, 2 * EVERY_LINES - 1, 2 * EVERY_LINES)
    plain.choose(open_logs(door)).refresh()
    assert len(list_checkpoints(door, plain)) == 1
    read_cold(door, plain)


def test_a_checkpoint_that_is_wrong_is_passed_over(door: CountedDoor, plain: Plain) -> None:
    """Cut, of another log, of a line that lost: for the one before it, or for the whole log."""
    write(plain.choose(open_logs(door)), plain, 0, LINES)
    bucket, keys = Bucket(door), list_checkpoints(door, plain)
    good = bytes(bucket.get(keys[0])[1])
    other = bytes(bucket.get(keys[1])[1])
    at = bytearray(good)
    at[len(at) // 2] ^= 1
    for wrong in (good[:-1], b"", other, bytes(at), b"VOLFSCP1" + good[8:]):
        bucket.put(keys[0], wrong)
        read_cold(door, plain)
    lost = plain.choose(open_logs(door)).refresh()
    bucket.delete(plain.kind.place.checkpoint(lost.number))
    checkpoints = PlainCheckpoints(FramedObjects(bucket), plain.kind.place, plain.kind.form)
    checkpoints.write(lost._replace(digest=bytes(32)))
    read_cold(door, plain)


def test_a_damaged_line_before_the_checkpoint_stops_nobody(door: CountedDoor, plain: Plain) -> None:
    write(plain.choose(open_logs(door)), plain, 0, LINES)
    bucket = Bucket(door)
    bucket.put(plain.kind.place.line(5), b"damaged")
    assert plain.choose(open_logs(door)).refresh().number == LINES - 1
    for key in list_checkpoints(door, plain):
        bucket.delete(key)
    with pytest.raises(DamagedObjectError):
        plain.choose(open_logs(door)).refresh()


def test_a_failure_to_write_one_costs_nothing(door: CountedDoor, plain: Plain) -> None:
    def refuse(key: str) -> None:
        if key.startswith(plain.kind.place.checkpoints):
            raise RequestFailure(FailureKind.DENIED, "no", status=403)

    door.before_put = refuse
    log = plain.choose(open_logs(door))
    write(log, plain, 0, 3 * EVERY_FEW)
    assert list_checkpoints(door, plain) == []
    assert door.count("PUT", plain.kind.place.checkpoints) <= 3
    door.before_put = lambda key: None
    write(log, plain, 3 * EVERY_FEW, 5 * EVERY_FEW)
    assert list_checkpoints(door, plain)


def test_a_catalog_of_10_000_volumes_is_read_by_few_requests(door: CountedDoor) -> None:
    log = open_logs(door).catalog
    for first in range(0, 10_000, 100):
        names = [NameGiven(to_facts(make_record(n))) for n in range(first, first + 100)]
        assert log.propose(log.known, names) is not None
    door.asked.clear()
    cold = open_logs(door).catalog
    assert len(cold.refresh().state.volumes) == 10_000
    assert len(door.asked) < 60
