"""The lease of a mount's session: there as long as the mount, or what it left behind."""

from __future__ import annotations

import os

import pytest

from tests.harness.mounted import Mounted, Mounts, wait_until
from volfs.errors import NotFoundError
from volfs.sessions.liveness import drop_stale_leases
from volfs.store.contract.lease import Lease

pytestmark = pytest.mark.fuse


def lease_of(mounts: Mounts) -> Lease:
    (lease,) = mounts.store.leases.list_all()
    return lease


def test_a_mount_has_a_lease_until_it_ends(mounts: Mounts, mounted: Mounted) -> None:
    lease = lease_of(mounts)
    assert (lease.session, lease.volume_id) == (mounts.sessions[0], mounts.volume.id)
    assert lease.versions == (0,)
    (mounted.path / "f").write_text("x")
    mounted.commit()
    wait_until(lambda: lease_of(mounts).versions == (1,), "version 0 to be let go")
    mounted.unmount()
    assert mounts.store.leases.list_all() == []


def test_a_read_only_mount_has_one_too(mounts: Mounts) -> None:
    mounted = mounts.mount(at="0")
    assert lease_of(mounts).versions == (0,)
    assert drop_stale_leases(mounts.store) == [lease_of(mounts)]
    mounted.kill()
    assert drop_stale_leases(mounts.store) == []
    mounts.mount(mounted.path).unmount()


def test_what_a_dead_daemon_left_is_leased_until_it_is_taken_over(mounts: Mounts) -> None:
    mounted = mounts.mount()
    with (mounted.path / "f").open("w") as file:
        file.write("x")
        file.flush()
        os.fsync(file.fileno())
    mounted.kill()
    left = lease_of(mounts)
    assert drop_stale_leases(mounts.store) == [left]
    again = mounts.mount(mounted.path)
    assert lease_of(mounts).versions == (0,)
    again.unmount()
    assert mounts.store.leases.list_all() == []
    assert mounts.version == 1


def test_a_mount_that_failed_leaves_no_lease(mounts: Mounts) -> None:
    with pytest.raises(NotFoundError):
        mounts.mount(sub_path="no", read_only=True)
    assert mounts.store.leases.list_all() == []
