"""A mount whose lease somebody has ended: it says so, leases its version anew, or reads on."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
from msgspec.structs import replace

from tests.harness.rig import Rig
from tests.store.distributed.two_engines import BucketMachine
from tests.vfs.conftest import NewRig
from volfs.buckets.access import Bucket
from volfs.buckets.doors.memory import MemoryDoor
from volfs.errors import LeaseLostError
from volfs.model.retention import KeepRules
from volfs.store.contract.lease import Lease, LeaseKind
from volfs.store.contract.refs import VolumeRecord
from volfs.volume.expire import expire_versions
from volfs.volume.volumes import create_volume

DATA = bytes(range(256)) * 400
pytestmark = pytest.mark.noisy("the lease was lost", "a new lease keeps")


@pytest.fixture
def door() -> MemoryDoor:
    return MemoryDoor("lost")


@pytest.fixture
def store(door: MemoryDoor, tmp_path: Path) -> Iterator[BucketMachine]:
    store = BucketMachine(Bucket(door), tmp_path / "here")
    yield store
    store.close()


@pytest.fixture
def elsewhere(door: MemoryDoor, store: BucketMachine, tmp_path: Path) -> Iterator[BucketMachine]:
    machine = BucketMachine(Bucket(door), tmp_path / "there")
    yield machine
    machine.close()


@pytest.fixture
def volume(store: BucketMachine) -> VolumeRecord:
    return create_volume(store, "data")


def take_lease(elsewhere: BucketMachine, rig: Rig) -> Lease:
    lease = elsewhere.leases.find(rig.committer.lease.session)
    assert lease is not None
    assert elsewhere.leases.revoke(lease.session, lease)
    return lease


def expire(elsewhere: BucketMachine, volume: VolumeRecord) -> list[int]:
    return expire_versions(elsewhere, volume, KeepRules(last=1))[1]


def learn(rig: Rig) -> str:
    """Let the mount say something to the store. Why it has no lease; empty if it has one."""
    keeper = rig.committer.keeper
    keeper.lease = keeper.make()
    keeper._put_at = float("-inf")  # As after a pause.
    keeper._stored = keeper.make_blank()
    trio.run(rig.committer.settle_lease)
    return keeper.lost


def test_a_version_that_is_there_is_leased_anew(
    store: BucketMachine,
    elsewhere: BucketMachine,
    volume: VolumeRecord,
    rig: Rig,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Also with changes that lie on its files. The mount is as safe as before, and said so."""
    rig.write((b"f",), DATA)
    rig.commit()
    rig.write((b"f",), b"more", 7)
    before = take_lease(elsewhere, rig)
    with caplog.at_level(logging.WARNING):
        assert learn(rig) == ""
    assert "the lease was lost: somebody else has ended it" in caplog.text
    assert "a new lease keeps version 1" in caplog.text
    (lease,) = elsewhere.leases.list_all()
    assert (lease.session, lease.versions) == (before.session, (1,))
    assert lease.began_ns != before.began_ns
    assert expire(elsewhere, volume) == []
    rig.commit()
    assert rig.read((b"f",)) == DATA[:7] + b"more" + DATA[11:]


def test_a_version_that_is_gone_is_read_on_and_not_committed(
    store: BucketMachine, elsewhere: BucketMachine, volume: VolumeRecord, rig: Rig, new_rig: NewRig
) -> None:
    """The overlay stays. Without changes, a reload is a way out."""
    rig.write((b"f",), DATA)
    rig.commit()
    other = new_rig()
    other.write((b"g",), b"theirs")
    other.commit()
    rig.write((b"f",), b"more", 7)
    take_lease(elsewhere, rig)
    take_lease(elsewhere, other)
    assert expire(elsewhere, volume) == [1]
    assert "somebody else has ended it" in learn(rig)
    assert rig.read((b"f",)) == DATA[:7] + b"more" + DATA[11:]
    for _ in range(2):
        with pytest.raises(LeaseLostError, match="version 1, on which this mount stands, is not"):
            rig.commit()
        assert not rig.state.overlay.is_clean
    with pytest.raises(LeaseLostError):
        trio.run(rig.committer.reload)
    clean = new_rig()
    take_lease(elsewhere, clean)
    third = new_rig()
    third.write((b"h",), b"3")
    third.commit()
    trio.run(clean.committer.reload)
    assert clean.committer.keeper.lost == ""
    assert clean.read((b"h",)) == b"3"
    kept = {one.session: one.versions for one in elsewhere.leases.list_all()}
    assert kept[clean.committer.lease.session] == (3,)


def test_a_version_that_has_not_all_is_no_base(
    store: BucketMachine, elsewhere: BucketMachine, volume: VolumeRecord, rig: Rig, new_rig: NewRig
) -> None:
    """A view that was merged with others' changes is in no version. Only the lease keeps it."""
    rig.write((b"f",), DATA)
    rig.commit()
    other = new_rig()
    other.write((b"f",), DATA * 2)
    other.commit()
    rig.write((b"g",), b"ours")
    rig.commit()
    assert (
        rig.state.view.snapshot
        != rig.state.view.reader.load_manifest(rig.state.view.head.manifest).snapshot
    )
    take_lease(elsewhere, rig)
    assert learn(rig) != ""
    rig.write((b"g",), b"again")
    with pytest.raises(LeaseLostError):
        rig.commit()


def test_a_renewed_lease_is_renewed_in_time(
    store: BucketMachine, elsewhere: BucketMachine, rig: Rig
) -> None:
    keeper, now = rig.committer.keeper, [0]
    keeper._clock = lambda: now[0]
    keeper.lease = replace(keeper.lease, kind=LeaseKind.RENEWED, place="/mnt")
    trio.run(keeper.put_again)
    log = store.leases.sessions.open(keeper.lease.session)
    for hours, written in ((0, 0), (5, 0), (6, 1), (11, 0), (12, 1)):
        assert log.owned is not None
        before, now[0] = log.owned.number, hours * 3600 * 10**9
        trio.run(rig.committer.settle_lease)
        assert log.owned.number - before == written, hours
