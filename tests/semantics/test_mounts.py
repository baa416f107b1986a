"""What a mount promises from its beginning to its end, sentence by sentence.

The docstring of a test is the sentence, the test a short look; every corner is tested
in ``tests/fuse``, ``tests/daemon`` and ``tests/vfs``.
"""

from __future__ import annotations

import errno
import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.harness.calls import fails, run_as
from tests.harness.mounted import Mounted, Mounts
from tests.semantics.small_limits import FEW
from volfs.errors import (
    MountError,
    NotFoundError,
)

pytestmark = pytest.mark.fuse


def test_returns_when_the_mount_answers(mounts: Mounts) -> None:
    """``volfs mount VOLUME MOUNTPOINT`` returns when the mount answers, the daemon behind."""
    assert os.listdir(mounts.mount().path) == []


def test_foreground(mounts: Mounts) -> None:
    """``--foreground`` to stay."""
    mounted = mounts.mount(foreground=True)
    assert mounted.process is not None
    assert mounted.process.pid == mounted.pid
    assert mounted.process.poll() is None


def test_mounts_are_independent(pair: tuple[Mounted, Mounted]) -> None:
    """One daemon process is one mount; many mounts of one volume are independent."""
    one, two = pair
    assert one.pid != two.pid
    (one.path / "f").touch()
    one.kill()
    (two.path / "g").touch()
    assert os.listdir(two.path) == ["g"]


def test_newest_version(mounts: Mounts, pair: tuple[Mounted, Mounted]) -> None:
    """A mount starts at the newest version."""
    (pair[0].path / "f").touch()
    pair[0].commit()
    assert os.listdir(mounts.mount().path) == ["f"]


def test_own_writes_at_once(pair: tuple[Mounted, Mounted]) -> None:
    """It sees its own writes at once and other mounts' commits only after ``reload``."""
    one, two = pair
    (one.path / "f").touch()
    assert os.listdir(one.path) == ["f"]
    one.commit()
    assert os.listdir(two.path) == []
    two.reload()
    assert os.listdir(two.path) == ["f"]


def test_nothing_in_the_store(mounts: Mounts, mounted: Mounted) -> None:
    """Writes go to the mount's own overlay: nothing of it is in the store before commit."""

    def stored() -> int:
        return sum(path.stat().st_size for path in (mounts.store_path / "packs").iterdir())

    before = stored()
    with (mounted.path / "f").open("wb") as file:
        file.write(os.urandom(300_000))
        file.flush()
        os.fsync(file.fileno())
    assert (mounts.version, stored()) == (0, before)
    mounted.commit()
    assert stored() > before + 300_000


def test_pinned_and_read_only(mounts: Mounts) -> None:
    """``--read-only`` (writes fail ``EROFS``), ``--at VERSION`` (pinned, read-only)."""
    for mounted in (mounts.mount(read_only=True), mounts.mount(at="0")):
        with fails(errno.EROFS):
            (mounted.path / "f").touch()


def test_sub_path(mounts: Mounts, mounted: Mounted) -> None:
    """``--sub-path DIR``."""
    part = mounts.mount(sub_path="a/b")
    (part.path / "f").touch()
    part.commit()
    mounted.reload()
    assert os.listdir(mounted.path / "a" / "b") == ["f"]


def test_allow_other(mounts: Mounts) -> None:
    """``--allow-other``."""
    mounts.directory.chmod(0o755)
    for allow in (True, False):
        mounted = mounts.mount(allow_other=allow)
        mounted.path.chmod(0o755)
        (mounted.path / "f").touch()
        name = mounted.path.name
        seen = run_as(1000, mounted.path.parent, lambda at=name: os.listdir(at))  # type: ignore[misc]
        assert (seen == "['f']") == allow


def test_mount_options(shared: Mounted) -> None:
    """Mounted ``nosuid,nodev`` with ``default_permissions``."""
    lines = Path("/proc/self/mounts").read_text().splitlines()
    (line,) = [line for line in lines if line.split()[1] == str(shared.path)]
    assert {"nosuid", "nodev", "default_permissions"} <= set(line.split()[3].split(","))


def test_umount(mounts: Mounts) -> None:
    """``volfs umount MOUNTPOINT`` commits, then unmounts; ``--discard`` drops the overlay."""
    for discard, version in ((True, 0), (False, 1)):
        mounted = mounts.mount()
        (mounted.path / "f").touch()
        mounted.unmount(discard=discard)
        assert not os.path.ismount(mounted.path)
        assert mounts.version == version


def test_umount_of_a_busy_mount(mounts: Mounts, mounted: Mounted) -> None:
    """Of a mount in use it fails and names who; a signal detaches it all the same."""
    descriptor = os.open(mounted.path / "f", os.O_CREAT | os.O_WRONLY)
    with pytest.raises(MountError, match=rf"busy: path f is open from .*\(pid {os.getpid()}\)"):
        mounted.unmount()
    assert os.path.ismount(mounted.path)
    mounted.signal(signal.SIGTERM)
    mounted.wait_for_end()
    assert not os.path.ismount(mounted.path)
    with fails(errno.ENOTCONN):
        os.close(descriptor)


@pytest.mark.parametrize("command", [["umount"], ["fusermount3", "-u"]])
def test_other_unmounts_commit(mounts: Mounts, command: list[str]) -> None:
    """``umount``, ``fusermount3 -u`` also end in a commit."""
    mounted = mounts.mount()
    (mounted.path / "f").touch()
    subprocess.run([*command, mounted.path], check=True)
    mounted.wait_for_end()
    assert mounts.version == 1


def test_a_last_commit_that_fails(mounts: Mounts) -> None:
    """Where that last commit fails, the overlay stays."""
    one, two = (mounts.mount(prelude=FEW) for _ in range(2))
    for mounted in (one, two):
        for number in range(2):
            (mounted.path / f"{mounted.pid}-{number}").touch()
    one.commit()
    mounts.expect("directory .: more than 3 entries")
    subprocess.run(["umount", two.path], check=True)
    two.wait_for_end()
    again = mounts.mount(two.path)
    assert len(os.listdir(again.path)) == 2
    again.unmount(discard=True)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_commit(mounts: Mounts, number: int) -> None:
    """SIGTERM and SIGINT also end in a commit."""
    mounted = mounts.mount()
    (mounted.path / "f").touch()
    mounted.signal(number)
    mounted.wait_for_end()
    assert mounts.version == 1


def test_taken_over(mounts: Mounts) -> None:
    """A mount whose daemon died is taken over: every byte an application fsynced is there."""
    mounted = mounts.mount()
    with (mounted.path / "f").open("w") as file:
        file.write("precious")
        file.flush()
        os.fsync(file.fileno())
    mounted.kill()
    assert (mounts.mount(mounted.path).path / "f").read_text() == "precious"


def test_a_dead_mount_stays_until_the_next(mounts: Mounts) -> None:
    """Where a daemon died, every use of the mount point fails until the next mount is ready."""
    mounted = mounts.mount()
    mounted.kill()
    with pytest.raises(NotFoundError):
        mounts.mount(mounted.path, volume="nobody")
    with fails(errno.ENOTCONN):
        (mounted.path / "f").write_bytes(b"into the bare directory")
    again = mounts.mount(mounted.path)
    assert os.listdir(again.path) == []
    again.unmount()
    (mounted.path / "in the way").touch()
    with pytest.raises(MountError, match="not empty"):
        mounts.mount(mounted.path)
    (mounted.path / "in the way").unlink()


def test_taken_over_at_its_version(mounts: Mounts, pair: tuple[Mounted, Mounted]) -> None:
    """It shows the version that the overlay was made on; a reload brings it to the newest."""
    one, two = pair
    with (two.path / "ours").open("w") as file:
        os.fsync(file.fileno())
    two.kill()
    (one.path / "theirs").touch()
    one.commit()
    again = mounts.mount(two.path)
    assert os.listdir(again.path) == ["ours"]
    again.reload()
    assert sorted(os.listdir(again.path)) == ["ours", "theirs"]
