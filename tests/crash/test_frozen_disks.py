"""The store's disk is frozen: a daemon ends when it is told to, and what was fsynced stays.

Whoever writes to a frozen disk sleeps where no signal wakes him, and if he holds Python's
lock then, no thread of the daemon moves. So these tests are about the watcher.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.children import first_seed, is_long
from tests.crash.test_hanging import HUNG, LIMIT, TOLD_TWICE, write
from tests.harness.disk import Disk, mounted_disk
from tests.harness.mounted import ROOT, Mounted, Mounts, wait_until
from volfs.control.mounts import find_mount_point
from volfs.control.process_state import describe_process, find_process_state
from volfs.daemon.orders import ONE_ORDER

pytestmark = [
    pytest.mark.crash,
    pytest.mark.fuse,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount and freeze a disk"),
]

KINDS = [kind for kind in ("ext4", "xfs", "btrfs") if shutil.which(f"mkfs.{kind}")]
DATA = b"fsynced" * 20_000


def choose(count: int, *points: str) -> list[str]:
    """So many of them, by the seed; all in the long form."""
    chosen = random.Random(first_seed()).sample(points, count)
    return [point for point in points if is_long() or point in chosen]


COMMITTING = choose(
    3,
    "commit.sealed",
    "flush.synced",
    "flush.recorded",
    "pack.locked",
    "publish.appended",
    "publish.durable",
    "publish.unmoved",
    "names.logged",
    "publish.moved",
    "commit.published",
    "settle.recorded",
    "settle.dropped",
)
RELOADING = choose(1, "reload.leased", "reload.swapped", "reload.told")
ENDING = choose(1, "end.unmounting", "end.committed", "end.renamed", "end.removed")


@pytest.fixture(params=KINDS)
def disk(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Disk]:
    with mounted_disk(tmp_path, request.param) as disk:
        yield disk


@pytest.fixture
def mounts(disk: Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mounts]:
    """As always, but the store is on the disk; which is thawed before anything else ends."""
    found = Mounts(tmp_path)
    monkeypatch.setenv("VOLFS_RUNTIME_DIR", str(found.runtime))
    found.store_path = disk.path / "store"
    found.create()
    found.close_store()
    found.expect(HUNG, TOLD_TWICE, "commit at the end", "last commit", "not recorded")
    try:
        yield found
    finally:
        disk.thaw()
        found.close()


def start(mounted: Mounted, call: str) -> subprocess.Popen[bytes]:
    """Have another process call a client's method, which may never return."""
    code = "import sys\nfrom volfs.control.mount_client import get_mount\n"
    code += f"get_mount(sys.argv[1]).{call}"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    argv = [sys.executable, "-c", code, str(mounted.path)]
    return subprocess.Popen(argv, env=environment, stderr=subprocess.DEVNULL)


def is_gone(mounted: Mounted) -> bool:
    return find_mount_point(str(mounted.path)) is None


def sleeps(mounted: Mounted) -> bool:
    return "waits for a disk" in describe_process(mounted.pid)


def is_frozen(disk: Disk, mounted: Mounted) -> bool:
    """Whether the disk is, by a daemon's own doing, and the daemon waits for it."""
    return disk.froze and sleeps(mounted)


def is_ending(mounted: Mounted) -> bool:
    state = find_process_state(mounted.pid)
    return state is None or state.is_ending


def end_by_two_orders(mounted: Mounted, first: int = signal.SIGTERM) -> None:
    mounted.signal(first)
    earliest = time.monotonic() + ONE_ORDER
    wait_until(lambda: time.monotonic() > earliest or is_gone(mounted), "the second's time")
    if not is_gone(mounted):
        mounted.signal(signal.SIGTERM)
    wait_until(lambda: is_gone(mounted), "the mount's end", LIMIT)


def find_again(mounts: Mounts, disk: Disk, mounted: Mounted) -> None:
    """Thaw, and mount again: what was fsynced is there."""
    disk.thaw()
    wait_until(lambda: find_process_state(mounted.pid) is None, "the daemon's end")
    again = mounts.mount(mounted.path)
    assert (again.path / "f").read_bytes() == DATA
    again.unmount()
    assert mounts.version >= 1
    assert mounts.sessions == []


@pytest.mark.parametrize("order", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_within_the_limit(mounts: Mounts, disk: Disk, order: int) -> None:
    """A commit is at work, and every thread of the daemon stands still."""
    mounted = mounts.mount()
    write(mounted.path / "f", DATA)
    disk.freeze()
    client = start(mounted, "commit()")
    wait_until(lambda: sleeps(mounted), "the commit to hang")
    mounted.signal(order)
    wait_until(lambda: is_gone(mounted), "the mount's end", LIMIT)
    assert os.listdir(mounted.path) == []
    find_again(mounts, disk, mounted)
    assert client.wait(LIMIT) != 0


@pytest.mark.parametrize("order", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("point", COMMITTING)
def test_in_a_commit(mounts: Mounts, disk: Disk, point: str, order: int) -> None:
    mounted = mounts.mount(prelude=disk.freezing_at(point))
    write(mounted.path / "f", DATA)
    disk.arm()
    client = start(mounted, "commit()")
    wait_until(
        lambda: is_frozen(disk, mounted) or client.poll() is not None, "the commit to hang or end"
    )
    end_by_two_orders(mounted, order)
    find_again(mounts, disk, mounted)
    client.wait(LIMIT)


@pytest.mark.parametrize("point", RELOADING)
def test_in_a_reload(mounts: Mounts, disk: Disk, point: str) -> None:
    other = mounts.mount()
    mounted = mounts.mount(prelude=disk.freezing_at(point))
    write(mounted.path / "f", DATA)
    (other.path / "g").touch()
    other.unmount()
    disk.arm()
    client = start(mounted, "reload()")
    wait_until(
        lambda: is_frozen(disk, mounted) or client.poll() is not None, "the reload to hang or end"
    )
    end_by_two_orders(mounted)
    find_again(mounts, disk, mounted)
    client.wait(LIMIT)


@pytest.mark.parametrize("point", ENDING)
def test_at_the_end(mounts: Mounts, disk: Disk, point: str) -> None:
    mounted = mounts.mount(prelude=disk.freezing_at(point))
    write(mounted.path / "f", DATA)
    disk.arm()
    client = start(mounted, "unmount()")
    wait_until(lambda: is_frozen(disk, mounted), "the end to hang")
    mounted.signal(signal.SIGTERM)
    wait_until(lambda: is_ending(mounted), "the daemon's end", LIMIT)
    assert is_gone(mounted)
    disk.thaw()
    client.wait(LIMIT)


@pytest.mark.parametrize("dirty", [False, True], ids=["clean", "dirty"])
def test_idle(mounts: Mounts, disk: Disk, dirty: bool) -> None:
    mounted = mounts.mount()
    write(mounted.path / "f", DATA)
    if not dirty:
        mounted.commit()
    disk.freeze()
    end_by_two_orders(mounted)
    find_again(mounts, disk, mounted)


def test_while_it_is_written_to(mounts: Mounts, disk: Disk) -> None:
    """Who writes gets an error at the end, and does not go on waiting."""
    mounted = mounts.mount()
    write(mounted.path / "f", DATA)
    command = ["dd", "if=/dev/zero", f"of={mounted.path}/g", "bs=64k", "conv=fsync"]
    writer = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    wait_until(lambda: (mounted.path / "g").exists(), "the writer to begin")
    disk.freeze()
    wait_until(lambda: sleeps(mounted), "the write to hang")
    end_by_two_orders(mounted)
    assert writer.wait(LIMIT) != 0
    find_again(mounts, disk, mounted)


def test_killed_while_it_sleeps(mounts: Mounts, disk: Disk) -> None:
    """It cannot die before the disk wakes, but nobody waits for it: the mount is dead."""
    mounted = mounts.mount()
    write(mounted.path / "f", DATA)
    disk.freeze()
    client = start(mounted, "commit()")
    wait_until(lambda: sleeps(mounted), "the commit to hang")
    mounted.signal(signal.SIGKILL)
    assert subprocess.run(["stat", "-f", mounted.path], capture_output=True).returncode != 0
    assert mounted.is_cut_off()
    subprocess.run(["umount", mounted.path], check=True)
    find_again(mounts, disk, mounted)
    client.wait(LIMIT)


@pytest.mark.parametrize("order", [signal.SIGTERM, signal.SIGINT])
def test_stopped(mounts: Mounts, order: int) -> None:
    """A stopped process hears nothing: it is woken, and commits."""
    mounted = mounts.mount()
    write(mounted.path / "f", DATA)
    mounted.signal(signal.SIGSTOP)
    mounted.signal(order)
    wait_until(lambda: find_process_state(mounted.pid) is None, "the daemon's end", LIMIT)
    assert is_gone(mounted)
    assert mounts.version == 1
    assert mounts.sessions == []


def test_stopped_on_a_frozen_disk(mounts: Mounts, disk: Disk) -> None:
    mounted = mounts.mount()
    write(mounted.path / "f", DATA)
    mounted.signal(signal.SIGSTOP)
    disk.freeze()
    mounted.signal(signal.SIGTERM)
    wait_until(lambda: is_gone(mounted), "the mount's end", LIMIT)
    find_again(mounts, disk, mounted)
