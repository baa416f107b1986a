"""Who waits for a daemon or a store that does not answer: is told so, and can end it."""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.crash.test_frozen_disks import (
    DATA,
    choose,
    disk,
    find_again,
    is_frozen,
    is_gone,
    sleeps,
    start,
)
from tests.crash.test_frozen_disks import mounts as mounts_on_disk
from tests.crash.test_hanging import LIMIT, write
from tests.harness.disk import Disk
from tests.harness.mounted import ROOT, Mounted, Mounts, is_running, wait_until
from volfs.errors import AnswerTimeoutError, NoAnswerError, TimedOutError

__all__ = ["disk", "mounts_on_disk"]

pytestmark = [pytest.mark.crash, pytest.mark.fuse]

COMMITTING = choose(
    3, "flush.recorded", "pack.locked", "publish.appended", "publish.durable", "publish.unmoved"
)


def begin(mounts: Mounts, *args: str, cwd: Path | None = None) -> subprocess.Popen[str]:
    environment = {**mounts.environment, "VOLFS_STORE": str(mounts.store_path)}
    argv = [sys.executable, "-m", "volfs_cli.main", *args]
    pipe = subprocess.PIPE
    where = cwd or ROOT
    return subprocess.Popen(argv, env=environment, stdout=pipe, stderr=pipe, text=True, cwd=where)


def volfs(mounts: Mounts, *args: str, cwd: Path | None = None) -> tuple[int, str, str]:
    with begin(mounts, *args, cwd=cwd) as process:
        out, error = process.communicate(timeout=60)
    return process.returncode, out, error


def stop(mounts: Mounts) -> Mounted:
    """A mount with something fsynced, whose daemon is stopped."""
    mounted = mounts.mount()
    write(mounted.path / "f", DATA)
    mounted.signal(signal.SIGSTOP)
    return mounted


# --- a stopped daemon ---------------------------------------------------------


@pytest.mark.parametrize("verb", ["commit", "reload", "umount"])
def test_a_word_and_a_limit(mounts: Mounts, verb: str) -> None:
    mounted = stop(mounts)
    status, _, error = volfs(mounts, verb, str(mounted.path), "--timeout", "4")
    word, last = error.splitlines()
    assert status == 1
    assert word == (
        f"volfs: waiting for the daemon of {mounted.path}, pid {mounted.pid}: it is stopped"
    )
    assert last.startswith(f"volfs: {verb}: {mounted.path}: no answer in 4 seconds")
    assert "all the same" in last
    mounted.signal(signal.SIGCONT)
    if verb != "reload":  # it was asked, and does it
        wait_until(lambda: mounts.version == 1, "the commit")
    if verb == "umount":
        mounted.wait_for_end()


def test_it_goes_on_waiting(mounts: Mounts) -> None:
    mounted = stop(mounts)
    with begin(mounts, "commit", str(mounted.path)) as command:
        assert command.stderr is not None
        assert "it is stopped" in command.stderr.readline()
        mounted.signal(signal.SIGCONT)
        out, error = command.communicate(timeout=60)
    assert (command.returncode, error) == (0, "")
    assert "Committed version 1" in out


def test_in_python_it_is_a_warning(mounts: Mounts, caplog: pytest.LogCaptureFixture) -> None:
    mounted = stop(mounts)
    with pytest.raises(TimedOutError, match="it is stopped") as caught:
        mounted.client.commit(timeout=4)
    assert isinstance(caught.value, AnswerTimeoutError)
    (record,) = [r for r in caplog.records if r.levelno == logging.WARNING]
    assert f"pid {mounted.pid}" in record.getMessage()
    mounted.signal(signal.SIGCONT)


def test_a_daemon_with_many_callers_takes_no_more(mounts: Mounts) -> None:
    mounted = stop(mounts)
    with ExitStack() as stack:
        while fill_queue(stack, mounted):
            pass
        with pytest.raises(AnswerTimeoutError, match="takes no calls"):
            mounted.client.commit(timeout=1)
        mounted.signal(signal.SIGCONT)


def fill_queue(stack: ExitStack, mounted: Mounted) -> bool:
    connection = stack.enter_context(socket.socket(socket.AF_UNIX))
    connection.setblocking(False)
    return connection.connect_ex(os.fspath(mounted.client.mount.socket)) == 0


def test_killed_while_somebody_waits(mounts: Mounts) -> None:
    mounted = stop(mounts)
    client = start(mounted, "commit()")
    mounted.signal(signal.SIGKILL)
    assert client.wait(LIMIT) != 0
    mounts.mount(mounted.path).unmount()


# --- umount --force -----------------------------------------------------------


def test_force_ends_what_is_stopped(mounts: Mounts) -> None:
    mounted = stop(mounts)
    args = ("umount", "--force", str(mounted.path), "--timeout", "1")
    status, _, error = volfs(mounts, *args)
    assert (status, is_gone(mounted)) == (0, True)
    (session,) = mounts.sessions
    assert f"stays in the overlay {session}" in error
    wait_until(lambda: not is_running(mounted.pid), "the daemon's end")
    assert os.listdir(mounts.runtime) == []
    again = mounts.mount(mounted.path)
    assert (again.path / "f").read_bytes() == DATA
    again.unmount()


def test_force_commits_where_the_daemon_answers(mounts: Mounts) -> None:
    mounted = mounts.mount()
    write(mounted.path / "f", DATA)
    assert volfs(mounts, "umount", "--force", "data") == (0, "", "")
    assert (is_gone(mounted), mounts.version, mounts.sessions) == (True, 1, [])


def test_force_detaches_what_is_in_use(mounts: Mounts) -> None:
    mounted = mounts.mount()
    write(mounted.path / "f", DATA)
    with (mounted.path / "f").open("rb"):
        status, _, error = volfs(mounts, "umount", "--force", str(mounted.path))
        assert (status, is_gone(mounted)) == (0, True)
        assert "busy" in error
        assert "detached all the same" in error
    mounted.wait_for_end()
    assert mounts.version == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount inside")
@pytest.mark.parametrize("stopped", [False, True])
def test_force_names_what_goes_with_it(mounts: Mounts, stopped: bool) -> None:
    mounted = mounts.mount()
    inside = mounted.path / "inside"
    mounts.expect("is mounted in it")
    (inside / "deeper").parent.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "none", inside], check=True)
    (inside / "deeper").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "none", inside / "deeper"], check=True)
    if stopped:
        mounted.signal(signal.SIGSTOP)
    status, _, error = volfs(
        mounts, "umount", "--force", str(mounted.path), "--timeout", "1" if stopped else "30"
    )
    assert (status, is_gone(mounted)) == (0, True)
    for path in (inside, inside / "deeper"):
        assert f"{path}: was mounted inside, and is not mounted there any more" in error
    wait_until(lambda: not is_running(mounted.pid), "the daemon's end")
    assert mounts.version == (0 if stopped else 1)
    if stopped:
        mounts.mount(mounted.path).unmount()


def test_force_frees_a_dead_mount(mounts: Mounts) -> None:
    mounted = mounts.mount()
    write(mounted.path / "f", DATA)
    mounted.kill()
    status, _, error = volfs(mounts, "umount", "--force", str(mounted.path))
    assert (status, is_gone(mounted)) == (0, True)
    assert "`volfs overlays`" in error
    mounts.mount(mounted.path).unmount()
    assert mounts.version == 1


# --- a frozen disk ------------------------------------------------------------

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can freeze a disk")


@as_root
@pytest.mark.parametrize("bare", [False, True], ids=["by path", "by a bare name"])
def test_force_on_a_frozen_disk(mounts_on_disk: Mounts, disk: Disk, bare: bool) -> None:
    mounts = mounts_on_disk
    mounted = mounts.mount()
    write(mounted.path / "f", DATA)
    disk.freeze()
    client = start(mounted, "commit()")
    wait_until(lambda: sleeps(mounted), "the commit to hang")
    name = mounted.path.name
    if bare:
        status, _, error = volfs(mounts, "umount", "--force", name, cwd=mounted.path.parent)
        assert status == 1
        assert f"name the mount point, with a slash: ./{name}" in error
    args = ("umount", "--force", f"./{name}", "--timeout", "1")
    status, _, error = volfs(mounts, *args, cwd=mounted.path.parent)
    assert (status, is_gone(mounted)) == (0, True)
    assert "stays in the overlay data-" in error
    find_again(mounts, disk, mounted)
    client.wait(LIMIT)


@as_root
@pytest.mark.parametrize("point", COMMITTING)
def test_status_answers_while_a_commit_sleeps(
    mounts_on_disk: Mounts, disk: Disk, point: str
) -> None:
    mounts = mounts_on_disk
    mounted = mounts.mount(prelude=disk.freezing_at(point))
    write(mounted.path / "f", DATA)
    disk.arm()
    client = start(mounted, "commit()")
    wait_until(lambda: is_frozen(disk, mounted), "the commit to hang")
    assert mounted.client.status().pid == mounted.pid
    status, out, _ = volfs(mounts, "status", str(mounted.path))  # the first left threads behind
    assert status == 0
    assert out.split("\t")[2] == "alive"
    disk.thaw()
    assert client.wait(60) == 0
    assert mounts.version == 1


@as_root
def test_status_answers_after_a_freeze(mounts_on_disk: Mounts, disk: Disk) -> None:
    """What the freezing wrote to the disk is no longer writable in memory."""
    mounts = mounts_on_disk
    mounted = mounts.mount()
    write(mounted.path / "f", DATA)
    disk.freeze()
    client = start(mounted, "commit()")
    wait_until(lambda: sleeps(mounted), "the commit to hang")
    assert mounted.client.status().pid == mounted.pid
    disk.thaw()
    assert client.wait(60) == 0


@as_root
@pytest.mark.parametrize("interrupt", [False, True], ids=["timeout", "Ctrl-C"])
def test_a_mount_that_does_not_come(mounts_on_disk: Mounts, disk: Disk, interrupt: bool) -> None:
    """It does not come later, either."""
    mounts = mounts_on_disk
    place = mounts.place()
    disk.freeze()
    limit = ("--timeout", "60" if interrupt else "4")
    with begin(mounts, "mount", "data", str(place), *limit) as command:
        assert command.stderr is not None
        word = command.stderr.readline()
        assert f"waiting for the daemon of {place}, pid" in word
        assert "waits for a disk" in word
        if interrupt:
            command.send_signal(signal.SIGINT)
        _, error = command.communicate(timeout=60)
    assert command.returncode == (130 if interrupt else 1)
    assert interrupt or "not mounted" in error
    pid = int(word.partition("pid ")[2].partition(":")[0])
    disk.thaw()
    wait_until(lambda: not is_running(pid), "the daemon's end", LIMIT)
    assert os.listdir(place) == []
    mounts.mount(place).unmount()


@as_root
def test_a_store_that_does_not_open(mounts_on_disk: Mounts, disk: Disk) -> None:
    mounts = mounts_on_disk
    disk.freeze()
    with begin(mounts, "log", "data") as command:
        assert command.stderr is not None
        word = command.stderr.readline()
        assert word.startswith(f"volfs: waiting for the store {mounts.store_path}")
        disk.thaw()
        _, error = command.communicate(timeout=60)
    assert (command.returncode, error) == (0, "")


@as_root
def test_whose_daemon_cannot_die_is_told(mounts_on_disk: Mounts, disk: Disk) -> None:
    mounts = mounts_on_disk
    mounted = mounts.mount()
    write(mounted.path / "f", DATA)
    disk.freeze()
    client = start(mounted, "commit()")
    wait_until(lambda: sleeps(mounted), "the commit to hang")
    mounted.signal(signal.SIGKILL)
    assert client.wait(LIMIT) != 0
    with pytest.raises(NoAnswerError, match="it was killed, but it waits for a disk"):
        mounted.client.commit()
    volfs(mounts, "umount", "--force", str(mounted.path))
    find_again(mounts, disk, mounted)
