"""How files and directories of a mount behave, sentence by sentence.

The docstring of a test is the sentence, the test a short look; every corner is tested
in ``tests/fuse``, ``tests/daemon`` and ``tests/vfs``.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import stat
import subprocess
from pathlib import Path

import pytest

from tests.harness.calls import fails, list_cached_pages, run_as
from tests.harness.idmapped import SHIFT, idmapped
from tests.harness.mounted import Mounted, Mounts
from volfs.system.files import sync_directory

pytestmark = pytest.mark.fuse


def test_posix(each_alone: Path) -> None:
    """Ordinary POSIX: each of the list, in a line or two."""
    here = each_alone
    for name in ("f", "old"):
        (here / name).write_text(name)
    os.rename(here / "f", here / "old")
    os.link(here / "old", here / "hard")
    os.symlink("hard", here / "soft")
    assert (here / "soft").read_text() == "f"
    os.mkfifo(here / "fifo")
    os.mknod(here / "socket", stat.S_IFSOCK | 0o600)
    os.setxattr(here / "old", "user.a", b"1")
    assert os.getxattr(here / "hard", "user.a") == b"1"
    with fails(errno.ENOTSUP):
        os.setxattr(here / "old", "security.a", b"1")
    os.truncate(here / "old", 1 << 30)
    assert (here / "old").stat().st_blocks < 100
    with fails(errno.EEXIST):
        os.open(here / "old", os.O_CREAT | os.O_EXCL)
    descriptor = os.open(here / "old", os.O_RDWR | os.O_APPEND | os.O_TRUNC)
    os.write(descriptor, b"x" * 5000)
    (here / "old").unlink()
    (here / "hard").unlink()
    with mmap.mmap(descriptor, 0) as mapped:
        mapped[:3] = b"abc"
    assert os.pread(descriptor, 4, 0) == b"abcx"
    os.utime(descriptor, ns=(7, 1_700_000_000_000_000_007))
    os.fchmod(descriptor, 0o640)
    os.fchown(descriptor, 5, 6)
    facts = os.fstat(descriptor)
    assert (facts.st_mtime_ns, facts.st_uid, facts.st_gid) == (1_700_000_000_000_000_007, 5, 6)
    assert stat.S_IMODE(facts.st_mode) == 0o640
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    fcntl.lockf(descriptor, fcntl.LOCK_EX)
    os.close(descriptor)
    assert sorted(os.listdir(here)) == ["fifo", "socket", "soft"]


def test_set_id_bits(each_alone: Path) -> None:
    """Set-id bits go when somebody without CAP_FSETID changes a file's content, by whoever's
    descriptor, and with a new owner or group."""
    path = each_alone / "f"
    path.touch()
    with path.open("r+b", buffering=0) as file:
        for change, mode in (
            (lambda: file.write(b"x"), 0o777),
            (lambda: os.ftruncate(file.fileno(), 0), 0o777),
        ):
            path.chmod(0o6777)
            change()
            assert stat.S_IMODE(path.stat().st_mode) == 0o6777
            run_as(1000, each_alone, change)
            assert stat.S_IMODE(path.stat().st_mode) == mode
    path.chmod(0o6777)
    os.chown(path, 1000, -1)
    assert stat.S_IMODE(path.stat().st_mode) == 0o777


def test_idmapped(each_alone: Path, tmp_path: Path) -> None:
    """Idmapped mounts of a mount work: owners are shown and made as they are mapped."""
    each_alone.chmod(0o777)
    (each_alone / "f").touch()
    tmp_path.chmod(0o755)
    with idmapped(each_alone, tmp_path / "shown"):
        assert (tmp_path / "shown/f").stat().st_uid == SHIFT
        run_as(SHIFT + 1000, tmp_path / "shown", lambda: os.mkdir("d"))
        assert (tmp_path / "shown/d").stat().st_uid == SHIFT + 1000
    assert (each_alone / "d").stat().st_uid == 1000


def test_pages_stay(each_alone: Path) -> None:
    """Pages that were written whole, or read, stay until their content changes, whatever happens to
    the file's times."""
    path = each_alone / "f"
    path.write_bytes(b"1" * 25 * mmap.PAGESIZE)
    os.utime(path, ns=(5, 5))
    assert path.stat().st_mtime_ns == 5
    assert all(list_cached_pages(path))


def test_access_times(each_alone: Path) -> None:
    """Access times are not kept: they read as the modification time, or as what was set."""
    path = each_alone / "f"
    path.write_text("x")
    before = path.stat()
    path.read_text()
    assert path.stat().st_atime_ns == before.st_atime_ns == before.st_mtime_ns
    os.utime(path, ns=(1, 2))
    assert (path.stat().st_atime_ns, path.stat().st_mtime_ns) == (1, 2)


def test_blocks(mounted: Mounted) -> None:
    """Holes of a file are not counted, before a commit and after it; nor are they in ``df``."""
    path, pieces = mounted.path / "f", mounted.path / "pieces"
    path.touch()
    os.truncate(path, 1 << 30)
    with pieces.open("wb") as file:
        for number in range(40):
            file.seek(number << 20)
            file.write(b"x" * 8192)
    for _ in range(2):
        assert (path.stat().st_blocks, pieces.stat().st_blocks) == (0, 40 * 16)
        facts = os.statvfs(mounted.path)
        assert (facts.f_blocks - facts.f_bfree) * facts.f_frsize == 40 * 8192
        mounted.commit()
    with pieces.open("r+b") as file:
        file.write(b"y" * 8192)  # data again
        file.seek(5 << 19)
        file.write(b"y" * 4096)  # a hole before
    assert pieces.stat().st_blocks == 40 * 16 + 8
    os.truncate(pieces, 20 << 20)
    for _ in range(2):
        assert pieces.stat().st_blocks == 20 * 16 + 8
        facts = os.statvfs(mounted.path)
        assert (facts.f_blocks - facts.f_bfree) * facts.f_frsize == 20 * 8192 + 4096
        mounted.commit()
    used = subprocess.run(["du", "-k", pieces], capture_output=True, text=True, check=True).stdout
    assert used.split()[0] == str((20 * 8192 + 4096) // 1024)
    many = mounted.path / "many"  # 64 pieces in each MiB
    with many.open("wb") as file:
        for number in range(300):
            file.seek(number << 14)
            file.write(b"z" * 4096)
    for _ in range(2):
        assert many.stat().st_blocks == 300 * 8
        mounted.commit()


def test_durable_in_the_overlay(mounts: Mounts, mounted: Mounted) -> None:
    """``fsync`` makes a write durable in the overlay; nothing is published."""
    descriptor = os.open(mounted.path / "f", os.O_CREAT | os.O_WRONLY)
    os.write(descriptor, b"x" * 100)
    assert mounted.status().dirty_bytes == 100, "it reaches the daemon before write returns"
    os.fsync(descriptor)
    os.close(descriptor)
    mounted.kill()
    assert mounts.version == 0
    assert (mounts.mount(mounted.path).path / "f").read_bytes() == b"x" * 100


def test_inode_numbers(mounts: Mounts, mounted: Mounted) -> None:
    """A file has one inode number as long as the mount lives, whatever the kernel forgets."""
    (mounted.path / "d").mkdir()
    (mounted.path / "old").touch()
    os.link(mounted.path / "old", mounted.path / "d/link")
    (mounted.path / "old").rename(mounted.path / "new")

    def look() -> list[int]:
        return [(mounted.path / name).stat().st_ino for name in ("new", "d", "d/link")]

    before = look()
    assert before[0] == before[2]
    mounted.commit()
    assert look() == before
    mounted.reload()
    assert look() == before
    Path("/proc/sys/vm/drop_caches").write_text("2")
    assert look()[::-1] == before[::-1]
    (mounted.path / "dirty").touch()
    sync_directory(mounted.path)
    mounted.kill()
    mounted = mounts.mount(mounted.path)
    assert look() == before
