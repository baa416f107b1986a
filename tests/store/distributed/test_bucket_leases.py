"""Leases in a bucket: what renews them, what ends them, and how a session learns of its end."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from tests.store.contract import add, make_lease, make_record
from tests.store.distributed.two_engines import BucketMachine
from volfs.buckets.access import Bucket, iter_objects
from volfs.buckets.doors.memory import MemoryDoor
from volfs.errors import DamagedObjectError, LeaseLostError
from volfs.store.contract.lease import Lease, LeaseKind
from volfs.store.distributed.leases import bucket_leases
from volfs.store.distributed.leases.revocation import delete_old_lines, revoke_stale

HOUR_NS = 3600 * 10**9
DAY_NS = 24 * HOUR_NS
VOLUME = make_record().id


class Clock:
    """The store's clock."""

    def __init__(self) -> None:
        self.now_ns = 1_700_000_000 * 10**9

    def __call__(self) -> int:
        return self.now_ns


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def bucket(clock: Clock) -> Bucket:
    return Bucket(MemoryDoor("leases", clock))


@pytest.fixture
def open_machine(bucket: Bucket, tmp_path: Path) -> Iterator[Callable[[], BucketMachine]]:
    numbers, machines = itertools.count(), list[BucketMachine]()

    def open_next() -> BucketMachine:
        machines.append(BucketMachine(bucket, tmp_path / f"machine-{next(numbers)}"))
        return machines[-1]

    first = open_next()
    first.refs.create_volume(make_record(), b"manifest 0")
    yield open_next
    for machine in machines:
        machine.close()


Open = Callable[[], BucketMachine]


def make_renewed(*versions: int, **fields: object) -> Lease:
    lease = make_lease(VOLUME, *versions)
    return replace(lease, kind=LeaseKind.RENEWED, place="/mnt", host_name="box", **fields)


def test_who_renews_a_lease_keeps_it(bucket: Bucket, clock: Clock, open_machine: Open) -> None:
    """A kept lease stays however old it is, and a renewed one for 48 hours after each line."""
    here, gc = open_machine(), open_machine()
    renewed, kept = make_renewed(0), make_lease(VOLUME, 0, session="kept")
    here.leases.put(renewed)
    here.leases.put(kept)
    for _ in range(20):
        clock.now_ns += 47 * HOUR_NS
        assert revoke_stale(gc.leases.sessions, clock.now_ns) == []
        here.leases.renew(renewed)
    assert gc.leases.list_all() == [renewed, kept]
    assert [seen.renewed_ns == clock.now_ns for seen in gc.leases.list_seen()] == [True, False]
    clock.now_ns += 49 * HOUR_NS
    assert revoke_stale(gc.leases.sessions, clock.now_ns) == [renewed.session]
    assert gc.leases.list_all() == [kept]


@pytest.mark.parametrize("rests", [1, 29, 31, 100])
def test_28_a_host_that_was_away_for_days(
    bucket: Bucket, clock: Clock, open_machine: Open, rests: int
) -> None:
    """It learns that its lease was revoked, also if the log was deleted meanwhile. What it tried to
    say does not count, and its next life may have a lease."""
    here, gc = open_machine(), open_machine()
    lease = make_renewed(0)
    here.leases.put(lease)
    clock.now_ns += 3 * DAY_NS
    assert revoke_stale(gc.leases.sessions, clock.now_ns) == [lease.session]
    clock.now_ns += rests * DAY_NS
    delete_old_lines(gc.leases.sessions, clock.now_ns)
    is_deleted = not list(iter_objects(bucket, "leases/"))
    assert is_deleted == (rests > 30)
    assert not here.leases.is_in_force(lease)
    for call in (here.leases.renew, here.leases.put, here.leases.renew):
        with pytest.raises(LeaseLostError):
            call(lease)
        assert gc.leases.list_all() == []
    again = replace(lease, began_ns=lease.began_ns + 1)
    here.leases.put(again)
    here.leases.renew(again)
    assert here.leases.is_in_force(again)
    assert gc.leases.list_all() == [again]


def test_a_line_whose_answer_got_lost_is_ours(
    open_machine: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was another lease of this session that won, and nobody has taken anything."""
    here, other = open_machine(), open_machine()
    add(other, VOLUME, b"1")
    lease = make_renewed(0)
    here.leases.put(lease)
    log = here.leases.sessions.open(lease.session)
    before = log.owned
    here.leases.renew(lease)
    log.owned = before  # As after a StoreUncertainError.
    here.leases.renew(lease)
    wide = replace(lease, versions=(0, 1))
    here.leases.put(wide)
    assert other.leases.find(lease.session) == wide


def test_24_two_machines_of_one_name(open_machine: Open) -> None:
    """A machine that was cloned while it had a mount: the second to speak takes the lease, and the
    first learns it the next time it says anything, or commits."""
    here, clone = open_machine(), open_machine()
    lease = make_renewed(0)
    here.leases.put(lease)
    clone.leases.put(lease)
    assert clone.leases.is_in_force(lease)
    assert not here.leases.is_in_force(lease)
    for call in (here.leases.put, here.leases.renew):
        with pytest.raises(LeaseLostError, match="somebody else"):
            call(lease)
    clone.leases.renew(lease)


def test_old_lines_go_and_the_newest_two_stay(
    bucket: Bucket, clock: Clock, open_machine: Open
) -> None:
    here, gc = open_machine(), open_machine()
    lease = make_renewed(0)
    for _ in range(5):
        here.leases.put(lease)
    here.leases.put(make_lease(VOLUME, session="over"))
    here.leases.drop("over")
    assert delete_old_lines(gc.leases.sessions, clock.now_ns) == 3 + 2
    assert delete_old_lines(gc.leases.sessions, clock.now_ns) == 0
    here.leases.renew(lease)
    assert open_machine().leases.list_all() == [lease]
    assert open_machine().leases.find(lease.session) == lease
    here.leases.put(make_lease(VOLUME, session="over"))
    assert len(gc.leases.list_all()) == 2
    assert len(list(iter_objects(bucket, "leases/"))) == 3 + 1


def test_a_mutation_that_forgets_to_look_back_is_found(
    clock: Clock, open_machine: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the look at line n, a lease whose log was deleted seems to be in force again."""
    here, gc = open_machine(), open_machine()
    lease = make_renewed(0)
    here.leases.put(lease)
    clock.now_ns += 3 * DAY_NS
    revoke_stale(gc.leases.sessions, clock.now_ns)
    clock.now_ns += 31 * DAY_NS
    delete_old_lines(gc.leases.sessions, clock.now_ns)
    log = here.leases.sessions.open(lease.session)
    monkeypatch.setattr(log, "check_stays", lambda before: None)
    here.leases.renew(lease)
    assert gc.leases.list_all() == [lease]


def test_what_a_widening_asks(
    bucket: Bucket, open_machine: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One round trip for the line, and one for the two looks after it."""
    here, other = open_machine(), open_machine()
    lease = make_renewed(0)
    here.leases.put(lease)
    add(other, VOLUME, b"1")
    here.refs.get_head(VOLUME)
    asked: list[str] = []
    door = bucket.door

    def count(name: str, call: Callable[..., object]) -> Callable[..., object]:
        def ask(*arguments: object) -> object:
            asked.append(name)
            return call(*arguments)

        return ask

    for name in ("get", "put", "list_page"):
        monkeypatch.setattr(door, name, count(name, getattr(door, name)))
    here.leases.put(replace(lease, versions=(0, 1)))
    assert asked == ["put", "get", "get"]
    assert here.leases.pause == bucket_leases.PAUSE


@pytest.mark.parametrize("mends", ["put", "put by another life", "drop"])
def test_a_damaged_line_is_mended_by_the_next(
    bucket: Bucket, open_machine: Open, mends: str
) -> None:
    here, gc = open_machine(), open_machine()
    lease = make_renewed(0)
    here.leases.put(lease)
    here.leases.put(lease)
    (*_, newest) = iter_objects(bucket, "leases/")
    bucket.put(newest.key, b"not a line")
    assert gc.leases.list_damaged() == [lease.session]
    for call in (gc.leases.list_all, lambda: gc.leases.find(lease.session)):
        with pytest.raises(DamagedObjectError):
            call()
    if mends == "drop":
        gc.leases.drop(lease.session)
    else:
        (here if mends == "put" else gc).leases.put(lease)
    assert gc.leases.list_damaged() == []
    assert open_machine().leases.list_all() == ([] if mends == "drop" else [lease])
