"""What a mount does in the environment that its starter happens to have."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from tests.harness.mounted import Mounts, wait_until

pytestmark = pytest.mark.fuse


@pytest.mark.parametrize("path", ["", "nowhere", "useless"])
def test_a_daemon_unmounts_whatever_programs_there_are(mounts: Mounts, path: str) -> None:
    """Without ``umount`` in PATH, or with one that does not know our options (BusyBox's)."""
    directory = mounts.directory / "useless"
    directory.mkdir()
    for name in ("umount", "fusermount3"):
        (directory / name).write_text("#!/bin/sh\necho usage >&2; exit 1\n")
        (directory / name).chmod(0o755)
    mounts.environment["PATH"] = path and str(mounts.directory / path)
    mounted = mounts.mount()
    (mounted.path / "f").write_text("kept")
    mounted.signal(signal.SIGTERM)
    mounted.wait_for_end()
    assert not mounted.is_mounted
    assert mounts.version == 1


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM, signal.SIGINT])
def test_a_foreground_mount_ends_in_a_commit(mounts: Mounts, number: signal.Signals) -> None:
    mounted = mounts.mount(foreground=True)
    (mounted.path / "f").write_text("kept")
    mounted.signal(number)
    mounted.wait_for_end()
    assert not mounted.is_mounted
    assert mounts.version == 1


def test_a_hangup_does_not_end_what_was_started_under_nohup(mounts: Mounts) -> None:
    ignore = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)"
    mounted = mounts.mount(foreground=True, prelude=ignore)
    mounted.signal(signal.SIGHUP)
    (mounted.path / "f").write_text("kept")
    assert mounted.commit().version == 1
    assert subprocess.run(["cat", mounted.path / "f"], check=True, capture_output=True).stdout
    mounted.unmount()
    assert not os.path.ismount(mounted.path)


ABANDONED = """
import os, sys
from volfs.daemon.launch import check_options, start_daemon
from volfs.daemon.mount_options import MountOptions
start_daemon(check_options(MountOptions(sys.argv[1], "data", sys.argv[2], log=sys.argv[3])))
os._exit(0)
"""


def test_a_starter_that_is_gone_before_the_mount_answers(mounts: Mounts) -> None:
    """Nobody knows of that mount: it ends, and leaves nothing behind."""
    place, log = mounts.place(), mounts.directory / "log"
    arguments = [mounts.store_path, place, log]
    subprocess.run(
        [sys.executable, "-c", ABANDONED, *arguments], env=mounts.environment, check=True
    )
    wait_until(lambda: log.exists() and "whoever started it has gone" in log.read_text(), "its end")
    wait_until(lambda: not os.path.ismount(place), "the end of the mount")
    assert "Traceback" not in log.read_text()
    assert mounts.sessions == []
