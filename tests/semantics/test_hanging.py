"""What docs/semantics.md promises of daemons that are stopped, and of disks that hang."""

from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.crash.test_hanging import ends_in_time, write
from tests.crash.test_waiting import volfs
from tests.harness.disk import mounted_disk
from tests.harness.mounted import Mounts, wait_until
from volfs.control.mounts import find_mount_point
from volfs.control.process_state import describe_process, find_process_state

pytestmark = pytest.mark.fuse


def test_a_daemon_that_is_stopped_and_told_to_end_is_woken_and_commits(mounts: Mounts) -> None:
    mounted = mounts.mount()
    write(mounted.path / "f", b"x")
    mounted.signal(signal.SIGSTOP)
    wait_until(lambda: is_stopped(mounted.pid), "the daemon to stop")
    mounted.signal(signal.SIGTERM)
    ends_in_time(mounted)
    assert mounts.version == 1


def is_stopped(pid: int) -> bool:
    state = find_process_state(pid)
    return state is not None and state.is_stopped


def test_who_waits_is_told_so_and_can_end_it(mounts: Mounts) -> None:
    mounted = mounts.mount()
    write(mounted.path / "f", b"x")
    mounted.signal(signal.SIGSTOP)
    status, _, error = volfs(mounts, "commit", str(mounted.path), "--timeout", "3.5")
    assert status == 1
    assert f"waiting for the daemon of {mounted.path}, pid {mounted.pid}: it is stopped" in error
    forced = ("umount", "--force", str(mounted.path), "--timeout", "0.5")
    assert volfs(mounts, *forced)[0] == 0
    assert find_mount_point(str(mounted.path)) is None
    wait_until(lambda: find_process_state(mounted.pid) is None, "the daemon's end")
    again = mounts.mount(mounted.path)
    assert (again.path / "f").read_bytes() == b"x"
    again.unmount()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount and freeze a disk")
def test_it_ends_also_if_the_disk_of_the_store_is_frozen(mounts: Mounts, tmp_path: Path) -> None:
    mounts.expect("ending at once", "not recorded", "commit at the end", "last commit")
    with mounted_disk(tmp_path, "ext4") as disk:
        mounts.store_path = disk.path / "store"
        mounts.close_store()
        mounts.create()
        mounts.close_store()
        mounted = mounts.mount()
        write(mounted.path / "f", b"x")
        disk.freeze()
        mounted.signal(signal.SIGTERM)
        wait_until(lambda: find_mount_point(str(mounted.path)) is None, "the mount's end", 10.0)
        disk.thaw()
        wait_until(lambda: find_process_state(mounted.pid) is None, "the daemon's end")
        again = mounts.mount(mounted.path)
        assert (again.path / "f").read_bytes() == b"x"
        again.unmount()
        mounts.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount and freeze a disk")
def test_status_answers_while_a_commit_sleeps_on_a_frozen_disk(
    mounts: Mounts, tmp_path: Path
) -> None:
    with mounted_disk(tmp_path, "ext4") as disk:
        mounts.store_path = disk.path / "store"
        mounts.close_store()
        mounts.create()
        mounts.close_store()
        mounted = mounts.mount()
        write(mounted.path / "f", b"x")
        disk.freeze()
        with ThreadPoolExecutor(1) as pool:
            commit = pool.submit(mounted.client.commit)
            try:
                wait_until(lambda: "disk" in describe_process(mounted.pid), "the commit to sleep")
                assert mounted.client.status().head is None
            finally:
                disk.thaw()
            assert commit.result().version == 1
        mounted.unmount()
        mounts.close()
