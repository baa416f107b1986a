"""A mount's lease: it keeps what the mount can still read, and not much more."""

from __future__ import annotations

import random

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from tests.harness.leased import check_leased
from tests.harness.rig import Rig
from tests.vfs.conftest import NewRig
from volfs.errors import OutOfSpaceError
from volfs.model.objects import Kind
from volfs.store.contract.lease import Lease
from volfs.store.contract.refs import VolumeRecord
from volfs.store.contract.store import Store
from volfs.volume.commit import CommitNote
from volfs.volume.history import load_manifest
from volfs.volume.leases import snapshot_needs
from volfs.volume.restore import restore_version

DATA = random.Random(1).randbytes(200_000)
"""More than three chunks of it are not inline anywhere."""


def lease_of(rig: Rig) -> Lease:
    """What the store has once the mount had a moment."""
    trio.run(rig.committer.settle_lease)
    lease = rig.store._store.leases.find(rig.committer.lease.session)
    assert lease == rig.committer.lease
    return lease


def test_a_new_mount_leases_the_version_it_shows(rig: Rig) -> None:
    rig.write((b"f",), DATA)
    rig.commit()
    assert lease_of(rig).versions == (1,)
    check_leased(rig)


def test_a_commit_lets_go_of_the_version_before(rig: Rig) -> None:
    for number in range(3):
        rig.write((b"f",), b"%d" % number)
        rig.commit()
        assert lease_of(rig).versions == (number + 1,)


def test_a_commit_leaves_it_to_the_next_to_let_go(store: Store, rig: Rig) -> None:
    """One transaction less for each; until then the version before stays as well."""
    versions = []
    for number in range(3):
        rig.write((b"f",), b"%d" % number)
        rig.commit()
        check_leased(rig)
        (lease,) = store.leases.list_all()
        versions.append(lease.versions)
    assert versions == [(0, 1), (1, 2), (2, 3)]


def test_nothing_to_commit_moves_to_no_version_that_is_not_leased(
    store: Store, volume: VolumeRecord, rig: Rig, other: Rig, new_rig: NewRig
) -> None:
    """A restored version is equal to what this mount shows; it may be expired all the same."""
    other.write((b"f",), DATA)
    old = other.commit().head
    rig.reload()
    other.write((b"f",), b"changed")
    other.commit()
    restored = restore_version(store, volume, old).head
    rig.commit()
    rig.write((b"mine",), b"not committed")
    rig.flush()
    other.write((b"g",), b"later")
    other.commit()
    store.refs.remove_versions(volume.id, [restored.version])
    again = new_rig(again=rig)
    assert again.read((b"mine",)) == b"not committed"
    assert again.read((b"f",)) == DATA


async def test_nothing_is_let_go_while_a_commit_is_under_way(store: Store, rig: Rig) -> None:
    """The store's lease may be wider by then, for the tree that is to be the view."""
    rig.write((b"f",), DATA)
    await rig.committer.commit(CommitNote())
    before = store.leases.list_all()
    async with rig.committer._lock, trio.open_nursery() as nursery:
        nursery.start_soon(rig.committer.settle_lease)
        await wait_all_tasks_blocked()
        assert store.leases.list_all() == before
    await rig.committer.settle_lease()
    assert store.leases.list_all() == [rig.committer.lease] != before


def test_a_merged_commit_leases_the_local_tree(
    store: Store, volume: VolumeRecord, rig: Rig, other: Rig
) -> None:
    """It is no version's; the mount still stands on the version that it had."""
    other.write((b"theirs",), DATA)
    other.commit()
    rig.write((b"ours",), DATA[::-1])
    assert rig.commit().head.version == 2
    lease = lease_of(rig)
    assert lease.versions == (0,)
    assert lease.needs == snapshot_needs(rig.state.view.snapshot)
    roots = {
        load_manifest(store.objects_of(volume.id), head.manifest).root
        for head in store.refs.iter_versions(volume.id)
    }
    assert rig.state.view.snapshot.root not in roots
    check_leased(rig)


def test_a_reload_leases_the_new_version_alone(rig: Rig, other: Rig) -> None:
    other.write((b"f",), DATA)
    other.commit()
    rig.reload()
    lease = lease_of(rig)
    assert lease.versions == (1,)
    assert lease.needs == snapshot_needs(rig.state.view.snapshot)


def test_a_changed_file_keeps_the_content_that_it_lies_on(rig: Rig, other: Rig) -> None:
    rig.write((b"f",), DATA)
    rig.commit()
    other.reload()
    other.write((b"f",), b"ours", 100)
    rig.unlink((b"f",))
    rig.commit()
    other.reload()
    assert lease_of(other).versions == (2,)
    check_leased(other)
    assert other.read((b"f",)) == DATA[:100] + b"ours" + DATA[104:]
    other.commit()
    assert lease_of(other).needs == snapshot_needs(other.state.view.snapshot)


def test_a_moved_directory_keeps_what_is_in_it(rig: Rig, other: Rig) -> None:
    rig.mkdir((b"d",))
    rig.write((b"d", b"f"), DATA)
    rig.commit()
    other.reload()
    other.rename((b"d",), (b"e",))
    rig.unlink((b"d", b"f"))
    rig.rmdir((b"d",))
    rig.commit()
    other.reload()
    check_leased(other)
    assert other.read((b"e", b"f")) == DATA


def test_a_moved_directory_that_others_made_as_well_keeps_what_is_in_it(
    rig: Rig, other: Rig
) -> None:
    """Its names are bound one by one then, without being changed themselves."""
    rig.mkdir((b"d",))
    rig.write((b"d", b"f"), DATA)
    rig.commit()
    other.reload()
    other.rename((b"d",), (b"e",))
    rig.unlink((b"d", b"f"))
    rig.rename((b"d",), (b"e",))
    rig.write((b"e", b"g"), b"theirs")
    rig.commit()
    other.reload()
    check_leased(other)
    assert other.list((b"e",)) == [b"f", b"g"]


def test_changed_attributes_keep_the_content(rig: Rig, other: Rig) -> None:
    rig.write((b"f",), DATA)
    rig.commit()
    other.reload()
    other.set((b"f",), mode=0o600)
    rig.write((b"f",), b"theirs")
    rig.commit()
    other.reload()
    check_leased(other)
    assert other.read((b"f",)) == DATA


def test_a_file_removed_while_it_is_open_keeps_its_content(rig: Rig) -> None:
    rig.write((b"f",), DATA)
    rig.commit()
    handle = rig.open((b"f",))
    rig.unlink((b"f",))
    rig.commit()
    assert lease_of(rig).versions == (2,)
    check_leased(rig, [handle])
    assert rig.read_handle(handle) == DATA
    rig.files.release(handle)
    rig.forget()
    rig.write((b"g",), b"x")
    rig.commit()
    assert {need.kind for need in lease_of(rig).needs} == {Kind.TREE}


def test_nothing_changed_costs_no_lease(rig: Rig) -> None:
    rig.write((b"f",), DATA)
    rig.commit()
    before = lease_of(rig)
    rig.commit()
    rig.reload()
    assert lease_of(rig) is not before
    assert lease_of(rig) == before


class DiedError(Exception):
    """In place of a power cut."""


def die() -> None:
    raise DiedError


def test_a_daemon_that_dies_after_publishing_finds_what_it_published(
    rig: Rig, other: Rig, new_rig: NewRig, store: Store
) -> None:
    """Recorded is the overlay on its former base, of which all is published."""
    rig.write((b"f",), DATA)
    rig.commit()
    other.write((b"theirs",), b"x")
    other.commit()
    rig.write((b"f",), b"new", 5)
    rig.flush()
    rig.store.on_published = die
    with pytest.raises(DiedError):
        rig.commit()
    left = store.leases.find(rig.committer.lease.session)
    assert left is not None
    assert left.versions == (1, 3)
    again = new_rig(again=rig)
    assert lease_of(again).versions == (3,)
    check_leased(again)
    assert again.read((b"f",)) == DATA[:5] + b"new" + DATA[8:]


def test_what_was_published_is_not_taken_back_by_older_records(
    rig: Rig, new_rig: NewRig, store: Store, volume: VolumeRecord
) -> None:
    rig.write((b"f",), b"flushed")
    rig.flush()
    rig.write((b"f",), b"written")
    rig.store.on_published = die
    with pytest.raises(DiedError):
        rig.commit()
    again = new_rig(again=rig)
    assert again.read((b"f",)) == b"written"
    assert again.state.overlay.is_clean
    assert again.commit().head.version == 1


def test_what_was_written_after_the_seal_is_kept(rig: Rig, new_rig: NewRig) -> None:
    """The records are newer than what was published: they stay on top of it."""
    rig.write((b"f",), b"sealed")
    rig.store.on_published = die

    def write_on() -> None:
        rig.write((b"g",), b"later")
        rig.flush()

    with pytest.raises(DiedError):
        rig.commit(meanwhile=write_on)
    again = new_rig(again=rig)
    assert (again.read((b"f",)), again.read((b"g",))) == (b"sealed", b"later")
    assert again.commit().head.version == 2
    assert (again.read((b"f",)), again.read((b"g",))) == (b"sealed", b"later")


def test_what_was_left_behind_stays_leased_with_its_needs(
    rig: Rig, other: Rig, new_rig: NewRig
) -> None:
    rig.write((b"f",), DATA)
    rig.commit()
    other.reload()
    other.write((b"f",), b"ours", 100)
    rig.unlink((b"f",))
    rig.commit()
    other.reload()
    other.flush()
    before = lease_of(other)
    again = new_rig(again=other)
    assert lease_of(again) == before
    check_leased(again)


def test_a_failed_commit_keeps_the_lease(rig: Rig) -> None:
    rig.write((b"f",), DATA)
    rig.commit()
    before = lease_of(rig)
    rig.write((b"f",), b"x")

    def fail() -> None:
        raise OutOfSpaceError("the store is full")

    with pytest.raises(OutOfSpaceError):
        rig.commit(meanwhile=fail)
    assert lease_of(rig) == before


def test_what_was_published_already_is_leased_when_it_becomes_the_view(
    rig: Rig, new_rig: NewRig
) -> None:
    """Nothing is published, and yet the view is another one: the version of the life before."""
    rig.write((b"f",), DATA)
    rig.flush()
    rig.store.on_published = die
    with pytest.raises(DiedError):
        rig.commit()
    again = new_rig(again=rig)
    published = again.commit()
    assert (published.changed, published.head.version) == (False, 1)
    assert lease_of(again).versions == (1,)
    check_leased(again)
