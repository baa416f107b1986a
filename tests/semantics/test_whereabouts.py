"""docs/semantics.md: a mount is no path. Corners: tests/fuse/test_written_back.py."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.harness.mounted import Mounts
from volfs.control.mount_client import get_mount
from volfs.errors import MountError, VolumeBusyError

pytestmark = pytest.mark.fuse


def test_a_mount_whose_parent_was_renamed(mounts: Mounts) -> None:
    """With its parent renamed it is committed and unmounted as ever."""
    parent = mounts.directory / "parent"
    parent.mkdir()
    mounted = mounts.mount(mounts.place("parent/m"))
    (mounted.path / "f").touch()
    renamed = parent.rename(mounts.directory / "renamed")
    assert mounted.commit().version == 1
    assert Path(mounted.status().mountpoint) == renamed / "m"
    mounted.unmount()
    assert not os.path.ismount(renamed / "m")


def test_a_covered_mount(mounts: Mounts) -> None:
    """Something mounted over it: commit works, and umount says what covers it."""
    mounted = mounts.mount()
    (mounted.path / "f").touch()
    subprocess.run(["mount", "-t", "tmpfs", "cover", mounted.path], check=True)
    assert mounted.commit().version == 1
    with pytest.raises(MountError, match="tmpfs of cover is mounted over it"):
        mounted.client.unmount()
    subprocess.run(["umount", mounted.path], check=True)
    mounted.unmount()


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGQUIT])
def test_signals(mounts: Mounts, number: signal.Signals) -> None:
    """They end a mount as SIGTERM does; of others it takes no notice."""
    mounted = mounts.mount()
    (mounted.path / "f").touch()
    mounted.signal(signal.SIGUSR1)
    assert mounted.status().pid == mounted.pid
    mounted.signal(number)
    mounted.wait_for_end()
    assert mounts.version == 1


def test_any_environment(mounts: Mounts) -> None:
    """Whatever the environment of its starter is like; more in tests/cli/test_starter.py."""
    # What reaches a bucket comes from the environment: docs/buckets.md, "Credentials".
    kept = mounts.bucket.environment if mounts.bucket else {}
    strange = f"os.umask(0o777); os.environ.clear(); os.environ.update({kept!r}); os.close(0)"
    mounted = mounts.mount(prelude=f"import os; {strange}")
    (mounted.path / "f").touch()
    assert mounted.commit().version == 1


def test_a_reload_below_a_mount(mounts: Mounts) -> None:
    """A reload fails with EBUSY where it would take away what is mounted in the mount."""
    one, two = mounts.mount(), mounts.mount()
    (one.path / "d").mkdir()
    one.commit()
    two.reload()
    subprocess.run(["mount", "-t", "tmpfs", "inner", two.path / "d"], check=True)
    try:
        (two.path / "d/precious").touch()
        (one.path / "d").rmdir()
        one.commit()
        with pytest.raises(VolumeBusyError, match="d: tmpfs of inner is mounted at"):
            two.reload()
        assert (two.path / "d/precious").exists()
    finally:
        subprocess.run(["umount", two.path / "d"], check=True)
    assert two.reload().version == 2


def test_what_is_in_use(mounts: Mounts) -> None:
    """In use is also a bind mount; what is mounted in a mount is never taken away."""
    mounted = mounts.mount()
    (mounted.path / "d").mkdir()
    bound = mounts.directory / "bound"
    bound.mkdir()
    subprocess.run(["mount", "--bind", mounted.path, bound], check=True)
    subprocess.run(["mount", "-t", "tmpfs", "inner", mounted.path / "d"], check=True)
    try:
        with pytest.raises(MountError, match=f"it is mounted at {bound} as well"):
            mounted.client.unmount()
        subprocess.run(["umount", bound], check=True)
        with pytest.raises(MountError, match="path d: tmpfs of inner is mounted at"):
            mounted.client.unmount()
        mounts.expect("is mounted in it")
        mounted.signal(signal.SIGTERM)
        mounted.wait_for_end()
        assert os.path.ismount(mounted.path / "d")
        assert mounts.version == 1
    finally:
        subprocess.run(["umount", mounted.path / "d"], check=True)


def test_paths_that_mean_a_mount(mounts: Mounts) -> None:
    """Commit, reload and status take any path that leads to a mount."""
    mounted = mounts.mount()
    (mounted.path / "d").mkdir()
    assert get_mount(str(mounted.path / "d")).commit().version == 1
    assert get_mount(str(mounted.path / "d")).status().pid == mounted.pid
