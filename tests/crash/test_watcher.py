"""The process beside a daemon: what it keeps, what it survives, and what happens without it."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.crash.test_hanging import HUNG, LIMIT, ends_in_time, mount_hanging, write
from tests.harness.mounted import Mounted, Mounts, is_running, wait_until
from volfs.daemon.orders import HUNG as HUNG_REASON
from volfs.daemon.orders import ONE_ORDER, TOLD_TWICE, WITHIN, Orders

pytestmark = [pytest.mark.crash, pytest.mark.fuse]

DIED = "the watcher, process"


def find_watcher(mounted: Mounted) -> int:
    children = Path(f"/proc/{mounted.pid}/task/{mounted.pid}/children").read_text().split()
    (watcher,) = [int(pid) for pid in children]
    return watcher


def test_orders() -> None:
    orders = Orders()
    assert not orders.has_come
    assert orders.seconds_left(5.0) is None
    assert orders.find_reason(1e9) is None
    assert orders.receive(10.0)
    assert not orders.receive(10.0 + ONE_ORDER - 0.01)
    assert orders.find_reason(11.0) is None
    assert orders.seconds_left(11.0) == WITHIN - 1
    assert orders.find_reason(10.0 + WITHIN) == HUNG_REASON
    assert not orders.receive(10.0 + ONE_ORDER)
    assert orders.find_reason(11.0) == TOLD_TWICE


def test_it_keeps_nothing(mounts: Mounts) -> None:
    mounted = mounts.mount()
    watcher = find_watcher(mounted)
    wait_until(lambda: read(watcher, "comm") == b"volfs-watcher\n", "its name")
    assert read(watcher, "cmdline").rstrip(b"\0") == b"volfs-watcher of %d" % mounted.pid
    assert os.readlink(f"/proc/{watcher}/cwd") == "/"
    assert os.getsid(watcher) == watcher
    open_files = [link.readlink() for link in Path(f"/proc/{watcher}/fd").iterdir()]
    kinds = sorted(str(file).partition(":")[0] for file in open_files)
    assert kinds == ["/dev/null"] * 3 + ["anon_inode", "pipe", "socket"]


def read(pid: int, name: str) -> bytes:
    return Path(f"/proc/{pid}/{name}").read_bytes()


def test_it_ends_with_its_daemon_and_not_before(mounts: Mounts) -> None:
    mounted = mounts.mount()
    watcher = find_watcher(mounted)
    wait_until(lambda: read(watcher, "comm") == b"volfs-watcher\n", "its name")
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1):
        os.kill(watcher, number)
    mounted.commit()
    assert is_running(watcher)
    mounted.kill()
    wait_until(lambda: not is_running(watcher), "the watcher's end")
    mounts.mount(mounted.path).unmount()


def test_it_ends_with_a_mount_that_fails(mounts: Mounts) -> None:
    before = list_watchers()
    with pytest.raises(Exception, match="nobody"):
        mounts.mount(volume="nobody")
    wait_until(lambda: list_watchers() <= before, "the watcher's end")


def list_watchers() -> set[str]:
    found = set()
    for process in Path("/proc").iterdir():
        try:
            line = (process / "cmdline").read_bytes()
        except (OSError, NotADirectoryError):
            continue
        if line.startswith(b"volfs-watcher of "):
            found.add(process.name)
    return found


def test_without_it_a_daemon_ends_as_it_is_told(mounts: Mounts) -> None:
    mounts.expect(DIED)
    mounted = mounts.mount()
    write(mounted.path / "f", b"x")
    os.kill(find_watcher(mounted), signal.SIGKILL)
    wait_until(lambda: DIED in mounted.log.read_text(), "the daemon to notice")
    mounted.signal(signal.SIGTERM)
    ends_in_time(mounted)
    assert mounts.version == 1


def test_without_it_a_commit_that_hangs(mounts: Mounts) -> None:
    mounts.expect(DIED, HUNG)
    mounted = mount_hanging(mounts, "publish.durable")
    os.kill(find_watcher(mounted), signal.SIGKILL)
    wait_until(lambda: DIED in mounted.log.read_text(), "the daemon to notice")
    mounted.signal(signal.SIGTERM)
    ends_in_time(mounted)
    again = mounts.mount(mounted.path)
    assert (again.path / "f").read_bytes() == b"x"
    again.unmount()


def test_an_order_to_a_whole_process_group(mounts: Mounts) -> None:
    """As a terminal's Ctrl-C is."""
    mounted = mounts.mount()
    write(mounted.path / "f", b"x")
    os.killpg(os.getpgid(mounted.pid), signal.SIGINT)
    wait_until(lambda: not is_running(mounted.pid), "the daemon's end", LIMIT)
    assert mounts.version == 1


def test_a_mount_that_was_moved_is_found(mounts: Mounts, tmp_path: Path) -> None:
    """Its parent has another name when the limit comes; another mount lies at the old place."""
    mounts.expect(HUNG)
    (tmp_path / "old").mkdir()
    mounted = mount_hanging_at(mounts, tmp_path / "old" / "m")
    (tmp_path / "old").rename(tmp_path / "new")
    mounted.signal(signal.SIGTERM)
    wait_until(lambda: not is_running(mounted.pid), "the daemon's end", LIMIT)
    assert list((tmp_path / "new" / "m").iterdir()) == []
    (tmp_path / "new").rename(tmp_path / "old")
    mounts.mount(mounted.path).unmount()


def mount_hanging_at(mounts: Mounts, place: Path) -> Mounted:
    from volfs.errors.fault_points import VARIABLE

    place.mkdir()
    mounts.environment[VARIABLE] = "publish.durable:1:hang"
    mounted = mounts.mount(place)
    del mounts.environment[VARIABLE]
    write(mounted.path / "f", b"x")
    return mounted
