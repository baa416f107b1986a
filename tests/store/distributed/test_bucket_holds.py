"""Holds that last get a lease, which other machines see. Time is that of a world of the test's."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.store.contract import add, make_record
from tests.store.distributed.two_engines import BucketMachine
from volfs.buckets.access import Bucket
from volfs.buckets.doors.memory import MemoryDoor
from volfs.sessions.liveness import drop_stale_leases
from volfs.store.contract.refs import Head
from volfs.store.distributed.leases.bucket_holds import LEASED_AFTER
from volfs.system.world import RealWorld

VOLUME = make_record().id
HOUR = 3600.0


class HoldWorld(RealWorld):
    """A world whose tasks wait for the test, which says how much time passes."""

    def __init__(self) -> None:
        self.time = 1000.0
        self.pauses: list[float] = []
        """How long the task that was begun last has waited, each time."""
        self._task: threading.Thread | None = None
        self._goes_on = threading.Semaphore(0)
        self._waits = threading.Semaphore(0)

    def pause(self, seconds: float, ended: threading.Event) -> bool:
        if threading.current_thread() is not self._task:
            return super().pause(seconds, ended)
        self.pauses.append(seconds)
        self._waits.release()
        self._goes_on.acquire()
        return ended.is_set()

    def start(self, work: Callable[[], None]) -> None:
        self._task = threading.Thread(target=work)
        self._task.start()
        self._waits.acquire()

    def wake(self) -> None:
        """Let the wait of the task be over, and return when it waits again."""
        self._goes_on.release()
        self._waits.acquire()

    def finish(self) -> None:
        self._goes_on.release()
        assert self._task is not None
        self._task.join(60)


@pytest.fixture
def world() -> HoldWorld:
    return HoldWorld()


@pytest.fixture
def machines(tmp_path: Path, world: HoldWorld) -> Iterator[tuple[BucketMachine, BucketMachine]]:
    door = MemoryDoor("holds")
    here = BucketMachine(Bucket(door, world=world), tmp_path / "here")
    there = BucketMachine(Bucket(door), tmp_path / "there")
    here.refs.create_volume(make_record(), b"manifest 0")
    for number in range(3):
        add(here, VOLUME, b"%d" % number)
    yield here, there
    for each in (here, there):
        each.close()


def find_head(store: BucketMachine, version: int) -> Head:
    manifest = store.refs.find_version(VOLUME, version)
    assert manifest is not None
    return Head(version, manifest)


def test_a_hold_that_lasts_gets_a_lease(
    machines: tuple[BucketMachine, BucketMachine], world: HoldWorld
) -> None:
    """A short one asks the bucket for nothing. The lease is renewed, keeps the version on other
    machines, outlasts the cleaning up of this one, and ends with the hold."""
    here, there = machines
    with here.leases.hold(VOLUME, find_head(here, 1)):
        assert world.pauses == [LEASED_AFTER]
        assert there.leases.list_all() == []
        world.wake()
        (lease,) = there.leases.list_all()
        assert (lease.versions, lease.is_hold, lease.host) == ((1,), True, here.leases.host)
        assert world.pauses[1:] == [6 * HOUR]
        before = here.leases.sessions.open(lease.session).owned
        world.wake()
        assert here.leases.sessions.open(lease.session).owned != before
        assert drop_stale_leases(here) == drop_stale_leases(there) == [lease]
        assert there.refs.remove_versions(VOLUME, [0, 1, 2]) == [0, 2]
    world.finish()
    assert there.leases.list_all() == []
    assert there.refs.remove_versions(VOLUME, [1]) == [1]


def test_a_hold_whose_lease_was_revoked_puts_another(
    machines: tuple[BucketMachine, BucketMachine], world: HoldWorld
) -> None:
    here, there = machines
    with here.leases.hold(VOLUME, find_head(here, 1)):
        world.wake()
        (lease,) = there.leases.list_all()
        assert there.leases.revoke(lease.session, lease)
        world.wake()
        world.wake()
        (again,) = there.leases.list_all()
        assert (again.session, again.versions) == (lease.session, (1,))
        assert again.began_ns != lease.began_ns
    world.finish()
    assert there.leases.list_all() == []


def test_a_hold_whose_version_is_gone_reads_on(
    machines: tuple[BucketMachine, BucketMachine], world: HoldWorld
) -> None:
    """Until gc has removed the content, for which it waits for its grace."""
    here, there = machines
    with here.leases.hold(VOLUME, find_head(here, 1)):
        assert there.refs.remove_versions(VOLUME, [1]) == [1]
        world.wake()
        assert there.leases.list_all() == []
    world.finish()


def test_what_a_reader_left_that_was_killed_is_dropped_on_its_machine(
    machines: tuple[BucketMachine, BucketMachine], world: HoldWorld
) -> None:
    """Its lock is gone. Another machine cannot know, and leaves the lease to its ttl."""
    here, there = machines
    hold = here.leases.hold(VOLUME, find_head(here, 1))
    hold.__enter__()
    world.wake()
    (lease,) = there.leases.list_all()
    hold.__exit__(None, None, None)
    world.finish()
    here.leases.put(lease)
    assert drop_stale_leases(there) == [lease]
    assert drop_stale_leases(here) == []


def test_a_volume_that_is_read_can_be_deleted(
    machines: tuple[BucketMachine, BucketMachine], world: HoldWorld
) -> None:
    """What the reader holds stays until it ends, as in every store."""
    here, there = machines
    with here.leases.hold(VOLUME, find_head(here, 1)):
        world.wake()
        there.refs.delete_volume(make_record().name)
        assert [lease.versions for lease in there.leases.list_all()] == [(1,)]
    world.finish()
    assert there.leases.list_all() == []
