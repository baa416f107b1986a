"""What a mount does in the environment that its starter happens to have."""

from __future__ import annotations

import os
import signal
import subprocess

import pytest

from tests.harness.mounted import Mounts

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
