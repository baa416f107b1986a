"""The promise in one paragraph, and what a volume is, sentence by sentence.

The docstring of a test is the sentence, the test a short look; every corner is tested
in ``tests/fuse``, ``tests/daemon`` and ``tests/vfs``.
"""

from __future__ import annotations

import errno
import os
import subprocess
from pathlib import Path

import pytest

from tests.harness.calls import fails
from tests.harness.damage import damage_object, find_chunk
from tests.harness.mounted import Mounted, Mounts
from tests.semantics.small_limits import FEW
from volfs.errors import (
    InvalidNameError,
    LimitError,
    UserError,
    VolumeInUseError,
)
from volfs.volume.volumes import delete_volume

pytestmark = pytest.mark.fuse


# --- The promise -------------------------------------------------------------


def test_a_commit_survives_kill(mounts: Mounts, mounted: Mounted) -> None:
    """When ``commit`` returns, the whole commit survives ``kill -9``."""
    for name in ("a", "b"):
        (mounted.path / name).write_text(name * 100_000)
    mounted.commit()
    mounted.kill()
    other = mounts.mount(read_only=True)
    assert [(other.path / name).read_text() for name in ("a", "b")] == [
        "a" * 100_000,
        "b" * 100_000,
    ]


def test_nobody_sees_it_before(pair: tuple[Mounted, Mounted]) -> None:
    """Before that, nobody else sees any of it."""
    one, two = pair
    (one.path / "f").touch()
    two.reload()
    assert os.listdir(two.path) == []


def test_one_version_at_a_time(mounts: Mounts, pair: tuple[Mounted, Mounted]) -> None:
    """A reader sees one version at a time, never a mixture, never an empty directory."""
    one, two = pair
    for number in range(5):
        for name in ("a", "b"):
            (one.path / name).write_text(str(number))
        one.commit()
        before = [(two.path / name).exists() for name in ("a", "b")]
        assert before == [number > 0] * 2
        two.reload()
        assert {(two.path / name).read_text() for name in ("a", "b")} == {str(number)}


def test_never_wrong_bytes(mounts: Mounts) -> None:
    """Wrong bytes are never returned: the reader gets ``EIO`` and the log names the damage."""
    mounted = mounts.mount()
    (mounted.path / "f").write_bytes(os.urandom(5000))
    mounted.unmount()
    damage_object(mounts.store_path, find_chunk(mounts.store, mounts.volume, b"f"))
    mounts.is_damaged = True
    again = mounts.mount()
    mounts.expect("read f: object ")
    with fails(errno.EIO):
        (again.path / "f").read_bytes()
    again.wait_for_log("read f: object ")


# --- Volume ------------------------------------------------------------------


def test_versions(mounts: Mounts) -> None:
    """A named tree of files with history: versions 1, 2, 3 …, each an immutable root manifest."""
    mounted = mounts.mount()
    for number in (1, 2, 3):
        (mounted.path / "f").write_text(str(number))
        assert mounted.commit().version == number
    for number in (1, 2, 3):
        old = mounts.mount(at=str(number))
        assert (old.path / "f").read_text() == str(number)


@pytest.mark.parametrize("name", ["", "a" * 65, "a/b", "a b", "\u00e9"])
def test_names(mounts: Mounts, name: str) -> None:
    """Names: ``^[A-Za-z0-9._-]{1,64}$``."""
    with pytest.raises(InvalidNameError):
        mounts.create(name)
    mounts.create("A-z_0.9" + "x" * 57)


def test_version_0(mounts: Mounts) -> None:
    """Version 0 is the empty tree it was created with, which belongs to whoever created it."""
    pinned = mounts.mount(at="0")
    assert os.listdir(pinned.path) == []
    assert (pinned.path.stat().st_uid, pinned.path.stat().st_gid) == (os.getuid(), os.getgid())


def test_profile(mounts: Mounts) -> None:
    """Profile, fixed at creation (``--version 1|2``; default 2)."""
    mounts.create("small", profile=1)
    assert [mounts.store.refs.get_volume(name).profile for name in ("small", "data")] == [1, 2]
    with pytest.raises(UserError, match="either 1 or 2"):
        mounts.create("other", profile=3)


def test_inodes(mounts: Mounts) -> None:
    """Inodes in a v1 volume: 500,000, then ``ENOSPC``; unlimited in a v2 volume."""
    mounts.create("small", profile=1)
    facts = os.statvfs(mounts.mount(volume="small").path)
    assert facts.f_files == 500_000
    small, large = mounts.mount(volume="small", prelude=FEW), mounts.mount(prelude=FEW)
    for number in range(3):
        (small.path / str(number)).touch()
        (large.path / str(number)).mkdir()
    with fails(errno.ENOSPC):
        (small.path / "3").touch()
    (large.path / "0" / "3").touch()


def test_entries(mounts: Mounts) -> None:
    """Beyond the limit of entries a name fails, the first are untouched, one makes room."""
    here = mounts.mount(prelude=FEW).path
    for name in ("a", "b", "d"):
        (here / name).mkdir()
    (here / "d" / "f").touch()
    new = here / "new"
    makers = [
        new.touch,
        new.mkdir,
        lambda: os.mknod(new),
        lambda: new.symlink_to("x"),
        lambda: os.link(here / "d" / "f", new),
        lambda: os.rename(here / "d" / "f", new),
    ]
    for make in makers:
        with fails(errno.ENOSPC):
            make()
    assert sorted(os.listdir(here)) == ["a", "b", "d"]
    (here / "a").rmdir()
    new.touch()
    with fails(errno.ENOSPC):
        (here / "a").mkdir()


def test_a_merge_that_breaks_a_limit(mounts: Mounts) -> None:
    """A merge at commit that would break a limit names the directory and loses nothing."""
    one, two = (mounts.mount(prelude=FEW) for _ in range(2))
    (one.path / "d").mkdir()
    one.commit()
    two.reload()
    for mounted in (one, two):
        for number in range(2):
            (mounted.path / "d" / f"{mounted.pid}-{number}").touch()
    one.commit()
    with pytest.raises(LimitError, match="directory d: more than 3 entries"):
        two.commit()
    assert len(os.listdir(two.path / "d")) == 2
    (two.path / "d" / f"{two.pid}-0").unlink()
    assert two.commit().changed


def test_file_size(each_alone: Path) -> None:
    """File size: 1 TiB, then ``EFBIG``."""
    (each_alone / "f").touch()
    os.truncate(each_alone / "f", 1 << 40)
    with fails(errno.EFBIG):
        os.truncate(each_alone / "f", (1 << 40) + 1)


def test_a_time_that_cannot_be_kept(each_alone: Path) -> None:
    """A time before 1677-09-21 or after 2262-04-11 is refused with ``EINVAL``."""
    (each_alone / "f").touch()
    for day in ("1677-09-20", "2262-04-13"):
        done = subprocess.run(
            ["touch", "-d", f"{day} UTC", each_alone / "f"], capture_output=True, text=True
        )
        assert "Invalid argument" in done.stderr
    for day in ("1677-09-22", "2262-04-11"):
        subprocess.run(["touch", "-d", f"{day} UTC", each_alone / "f"], check=True)


def test_df(mounted: Mounted) -> None:
    """``df``/``statvfs`` tell the truth: bytes and inodes used by this view."""
    (mounted.path / "f").write_bytes(bytes(409_600))
    facts = os.statvfs(mounted.path)
    assert (facts.f_blocks - facts.f_bfree, facts.f_files - facts.f_ffree) == (100, 1)


def test_df_free(mounts: Mounts, mounted: Mounted) -> None:
    """``df``/``statvfs`` tell the truth: free space of what stores it."""
    facts, disk = os.statvfs(mounted.path), os.statvfs(mounts.store_path)
    room = [seen.f_bavail * seen.f_frsize for seen in (facts, disk)]
    assert room[0] == pytest.approx(room[1], rel=0.05)


def test_delete_of_what_is_mounted(mounts: Mounts, mounted: Mounted) -> None:
    """A volume that is mounted, or has uncommitted changes left behind, cannot be deleted."""
    with pytest.raises(VolumeInUseError):
        delete_volume(mounts.store, "data")
    (mounted.path / "f").touch()
    descriptor = os.open(mounted.path, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)
    mounted.kill()
    with pytest.raises(VolumeInUseError):
        delete_volume(mounts.store, "data")
