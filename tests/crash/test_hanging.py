"""A daemon ends within ten seconds of SIGTERM, whatever hangs, and leaves no mount behind."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

import pytest

from tests.harness.mounted import Mounted, Mounts, is_running, wait_until
from volfs.control.mounts import find_mount_point
from volfs.errors.fault_points import VARIABLE
from volfs.store.registry import open_store
from volfs.volume.volumes import create_volume

pytestmark = [pytest.mark.crash, pytest.mark.fuse]

LIMIT = 10.0
HUNG, TOLD_TWICE = "hung at its end: ending at once", "told twice to end: ending at once"


def write(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def mount_hanging(mounts: Mounts, point: str) -> Mounted:
    """A mount with a file that nobody has committed, and which hangs at a point."""
    mounts.environment[VARIABLE] = f"{point}:1:hang"
    mounted = mounts.mount()
    del mounts.environment[VARIABLE]
    write(mounted.path / "f", b"x")
    return mounted


def ends_in_time(mounted: Mounted) -> None:
    wait_until(lambda: not is_running(mounted.pid), "the daemon's end", LIMIT)
    assert find_mount_point(str(mounted.path)) is None


@pytest.mark.parametrize("point", ["commit.sealed", "publish.durable", "publish.unmoved"])
def test_a_commit_that_hangs(mounts: Mounts, point: str) -> None:
    """In the main thread, in another one, and in LMDB's transaction."""
    mounts.expect(HUNG)
    mounted = mount_hanging(mounts, point)
    mounted.signal(signal.SIGTERM)
    ends_in_time(mounted)
    again = mounts.mount(mounted.path)
    assert (again.path / "f").read_bytes() == b"x"
    again.unmount()
    assert mounts.version == 1


def test_told_twice(mounts: Mounts) -> None:
    """It does not wait for the limit: a log that says so is not expected."""
    mounts.expect(TOLD_TWICE)
    mounted = mount_hanging(mounts, "publish.durable")
    wait_until(lambda: has_ended_when_told(mounted), "the daemon's end", LIMIT)
    assert find_mount_point(str(mounted.path)) is None
    mounts.mount(mounted.path).unmount()
    assert mounts.version == 1


def has_ended_when_told(mounted: Mounted) -> bool:
    """Tell it once more, as those within a second are one order."""
    with contextlib.suppress(ProcessLookupError):
        mounted.signal(signal.SIGTERM)
    return not is_running(mounted.pid)


def test_one_order_that_comes_twice(mounts: Mounts) -> None:
    """As in a container whose every process is told, and whose first one passes it on."""
    mounted = mounts.mount()
    write(mounted.path / "f", b"x")
    mounted.signal(signal.SIGSTOP)
    for order in (signal.SIGTERM, signal.SIGINT, signal.SIGCONT):
        mounted.signal(order)
    ends_in_time(mounted)
    assert mounts.version == 1


def test_the_last_step_hangs(mounts: Mounts) -> None:
    """The mount has gone already."""
    mounts.expect(HUNG)
    mounted = mount_hanging(mounts, "end.committed")
    mounted.signal(signal.SIGTERM)
    ends_in_time(mounted)
    mounts.mount(mounted.path).unmount()
    assert mounts.version == 1
    assert mounts.sessions == []


def test_a_store_on_a_file_system_that_hangs(mounts: Mounts) -> None:
    """The file system is that of another daemon, which is stopped. The overlay is on it, too."""
    mounts.expect(HUNG)
    beneath = mounts.mount()
    url = str(beneath.path / "store")
    store = open_store(url, create=True)
    create_volume(store, "data")
    store.close()
    mounted = mounts.mount(store=url)
    write(mounted.path / "f", b"x" * 100_000)
    beneath.signal(signal.SIGSTOP)
    try:
        mounted.signal(signal.SIGTERM)
        wait_until(lambda: has_exited(mounted.pid), "the daemon's exit", LIMIT)
        assert find_mount_point(str(mounted.path)) is None
    finally:
        beneath.signal(signal.SIGCONT)
    wait_until(lambda: not os.path.exists(f"/proc/{mounted.pid}"), "every thread's end")
    again = mounts.mount(mounted.path, store=url)
    assert (again.path / "f").read_bytes() == b"x" * 100_000
    again.unmount()


def has_exited(pid: int) -> bool:
    """Whether a process has ended, but for what the kernel does at its end.

    That waits for the store, if it has pages of LMDB's lock file to write there.
    """
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes() == b""
    except (FileNotFoundError, ProcessLookupError):
        return True
