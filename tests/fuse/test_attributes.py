"""stat, chmod, chown, times, sizes, extended attributes, statvfs."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.harness.calls import fails, run_as
from tests.harness.mounted import Mounted, Mounts

pytestmark = pytest.mark.fuse


def test_a_missing_name_is_missing_until_it_is_made(each_alone: Path) -> None:
    path = each_alone / "f"
    for _ in range(2):
        with fails(errno.ENOENT):
            path.stat()
    path.touch()
    assert path.stat().st_size == 0


def test_mode_and_umask(each_alone: Path) -> None:
    before = os.umask(0o027)
    try:
        os.close(os.open(each_alone / "f", os.O_CREAT | os.O_WRONLY, 0o666))
        os.mkdir(each_alone / "d", 0o777)
    finally:
        os.umask(before)
    assert stat.S_IMODE((each_alone / "f").stat().st_mode) == 0o640
    assert stat.S_IMODE((each_alone / "d").stat().st_mode) == 0o750
    os.chmod(each_alone / "f", 0o4711)
    assert (each_alone / "f").stat().st_mode == stat.S_IFREG | 0o4711


def test_owner_and_group_change_alone(each_alone: Path) -> None:
    path = each_alone / "f"
    path.touch()
    os.chown(path, 123, -1)
    assert (path.stat().st_uid, path.stat().st_gid) == (123, 0)
    os.chown(path, -1, 456)
    assert (path.stat().st_uid, path.stat().st_gid) == (123, 456)


@pytest.mark.parametrize(
    ("atime", "mtime"), [(1, 2), (1_700_000_000_123_456_789, 1_600_000_000_987_654_321), (0, 0)]
)
def test_times_to_the_nanosecond(each_alone: Path, atime: int, mtime: int) -> None:
    path = each_alone / "f"
    path.touch()
    os.utime(path, ns=(atime, mtime))
    assert (path.stat().st_atime_ns, path.stat().st_mtime_ns) == (atime, mtime)


def test_times_far_away_never_stop_a_commit(mounted: Mounted) -> None:
    for name, seconds in {"future": 9 * 10**9, "past": -9 * 10**9, "before-1970": -5}.items():
        path = mounted.path / name
        path.touch()
        os.utime(path, (seconds, seconds))
        path.stat()
    assert (mounted.path / "before-1970").stat().st_mtime_ns == -5 * 10**9
    os.sync()
    assert mounted.commit().version == 1


def test_times_move_as_they_should(each_alone: Path) -> None:
    path = each_alone / "f"
    path.write_bytes(b"1")
    os.utime(path, ns=(1, 1))
    os.utime(each_alone, ns=(1, 1))
    changed = path.stat().st_ctime_ns
    path.chmod(0o600)
    assert path.stat().st_mtime_ns == 1
    assert path.stat().st_ctime_ns > changed
    path.write_bytes(b"2")
    assert path.stat().st_mtime_ns > 1
    assert each_alone.stat().st_mtime_ns == 1
    path.unlink()
    assert each_alone.stat().st_mtime_ns > 1


def test_link_counts(each_alone: Path) -> None:
    assert each_alone.stat().st_nlink == 2
    (each_alone / "d").mkdir()
    assert each_alone.stat().st_nlink == 3
    (each_alone / "f").touch()
    os.link(each_alone / "f", each_alone / "g")
    assert (each_alone / "f").stat().st_nlink == (each_alone / "g").stat().st_nlink == 2
    assert (each_alone / "f").stat().st_ino == (each_alone / "g").stat().st_ino
    (each_alone / "f").unlink()
    (each_alone / "d").rmdir()
    assert (each_alone / "g").stat().st_nlink == 1
    assert each_alone.stat().st_nlink == 2


def test_truncate_down_and_up(each_alone: Path) -> None:
    path = each_alone / "f"
    path.write_bytes(b"x" * 100_000)
    os.truncate(path, 10)
    os.truncate(path, 50_000)
    assert path.read_bytes() == b"x" * 10 + bytes(49_990)
    with fails(errno.EISDIR):
        os.truncate(each_alone, 0)
    with fails(errno.EFBIG):
        os.truncate(path, (1 << 40) + 1)
    os.truncate(path, 1 << 40)
    assert path.stat().st_size == 1 << 40
    os.truncate(path, 0)
    assert path.read_bytes() == b""


def test_set_id_bits_go_when_somebody_else_writes(each_alone: Path) -> None:
    path = each_alone / "f"
    path.write_bytes(b"1")

    def write() -> int:
        return os.pwrite(os.open("f", os.O_WRONLY), b"2", 0)

    def cut() -> None:
        os.truncate("f", 5)

    for change in (write, cut):
        path.chmod(0o6777)
        assert run_as(1000, each_alone, change) in ("1", "None")
        assert stat.S_IMODE(path.stat().st_mode) == 0o777
    path.chmod(0o6777)
    os.chown(path, 1000, 1000)
    assert stat.S_IMODE(path.stat().st_mode) == 0o777


def test_set_group_id_directories_hand_their_group_down(each_alone: Path) -> None:
    os.chown(each_alone, -1, 77)
    each_alone.chmod(0o2775)
    (each_alone / "f").touch()
    (each_alone / "d").mkdir()
    assert (each_alone / "f").stat().st_gid == (each_alone / "d").stat().st_gid == 77
    assert (each_alone / "d").stat().st_mode & stat.S_ISGID
    assert not (each_alone / "f").stat().st_mode & stat.S_ISGID


def test_permissions_and_sticky_directories_hold_for_others(each_alone: Path) -> None:
    each_alone.chmod(0o1777)
    (each_alone / "mine").write_bytes(b"secret")
    (each_alone / "mine").chmod(0o600)

    def refuse(call: Callable[[], object]) -> str:
        try:
            call()
        except PermissionError as error:
            return errno.errorcode[error.errno]
        return "allowed"

    calls: dict[str, Callable[[], object]] = {
        "open": lambda: os.open("mine", os.O_RDONLY),
        "unlink": lambda: os.unlink("mine"),
        "rename": lambda: os.rename("mine", "x"),
        "chmod": lambda: os.chmod("mine", 0o777),
        "create": lambda: os.open("theirs", os.O_CREAT | os.O_WRONLY),
        "unlink theirs": lambda: os.unlink("theirs"),
    }
    answer = run_as(1000, each_alone, lambda: [refuse(call) for call in calls.values()])
    assert answer == str(["EACCES", "EPERM", "EPERM", "EPERM", "allowed", "allowed"])
    assert run_as(1000, each_alone, lambda: os.access("mine", os.R_OK)) == "False"


def test_extended_attributes(each_alone: Path) -> None:
    path = each_alone / "f"
    path.touch()
    assert os.listxattr(path) == []
    with fails(errno.ENODATA):
        os.getxattr(path, "user.a")
    os.setxattr(path, "user.a", b"1")
    os.setxattr(path, "user.empty", b"")
    os.setxattr(path, "user.\xe9\udcff", bytes(range(256)))
    assert sorted(os.listxattr(path)) == ["user.a", "user.empty", "user.\xe9\udcff"]
    assert os.getxattr(path, "user.\xe9\udcff") == bytes(range(256))
    with fails(errno.EEXIST):
        os.setxattr(path, "user.a", b"2", os.XATTR_CREATE)
    with fails(errno.ENODATA):
        os.setxattr(path, "user.b", b"2", os.XATTR_REPLACE)
    assert os.getxattr(path, "user.a") == b"1"
    os.removexattr(path, "user.a")
    with fails(errno.ENODATA):
        os.removexattr(path, "user.a")
    os.setxattr(each_alone, "user.on-a-directory", b"x")
    assert os.listxattr(each_alone) == ["user.on-a-directory"]


def test_extended_attributes_that_are_refused(each_alone: Path) -> None:
    path = each_alone / "f"
    path.touch()
    with fails(errno.ENOTSUP):
        os.setxattr(path, "security.x", b"\x02\x00\x00\x00")
    os.setxattr(path, "user.big", b"x" * 60_000)
    with fails(errno.ENOSPC):
        os.setxattr(path, "user.more", b"x" * 10_000)
    assert os.listxattr(path) == ["user.big"]


def test_statvfs_tells_the_truth(mounts: Mounts) -> None:
    mounted = mounts.mount()
    before = os.statvfs(mounted.path)
    assert before.f_namemax == 255
    (mounted.path / "f").write_bytes(b"x" * 10_000_000)
    (mounted.path / "d").mkdir()
    after = os.statvfs(mounted.path)
    used = [s.f_blocks - s.f_bfree for s in (before, after)]
    assert (used[1] - used[0]) * after.f_frsize == pytest.approx(10_000_000, abs=4096)
    assert (after.f_files - after.f_ffree) - (before.f_files - before.f_ffree) == 2
    host = os.statvfs(mounts.store_path)
    assert after.f_bavail * after.f_frsize == pytest.approx(host.f_bavail * host.f_frsize, rel=0.05)
