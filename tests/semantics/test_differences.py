"""What differs from ext4: one test for each line of the table in docs/semantics.md."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import select
import stat
import subprocess
from pathlib import Path

import pytest

from tests.harness.calls import fails, run_python
from tests.harness.mounted import Mounted, Mounts

pytestmark = pytest.mark.fuse
libc = ctypes.CDLL(None, use_errno=True)
FS_IOC_GETFLAGS, FICLONE, FS_IOC_FIEMAP = 0x80086601, 0x40049409, 0xC020660B
IN_ALL = 0xFFF
FEW = """
from volfs.model import profile
profile.PROFILES[2] = profile.PROFILES[2]._replace(max_entries=3)
"""


def test_fallocate(each_alone: Path) -> None:
    """``EOPNOTSUPP`` for every mode; ``posix_fallocate`` then writes zeros itself."""
    with (each_alone / "f").open("w+b") as file:
        for mode in (0, 1, 3, 8, 16, 32):
            answer = libc.fallocate(file.fileno(), mode, ctypes.c_int64(0), ctypes.c_int64(4096))
            assert (answer, ctypes.get_errno()) == (-1, errno.EOPNOTSUPP)
        os.posix_fallocate(file.fileno(), 0, 10_000)
        assert os.fstat(file.fileno()).st_size == 10_000
    with (each_alone / "f").open("ab") as file, fails(errno.EBADF):
        os.posix_fallocate(file.fileno(), 0, 20_000)


def test_holes(each_alone: Path) -> None:
    """``SEEK_DATA`` and ``SEEK_HOLE`` take a whole file for data."""
    with (each_alone / "f").open("w+b", buffering=0) as file:
        os.pwrite(file.fileno(), b"x", 10 << 20)
        assert os.lseek(file.fileno(), 0, os.SEEK_DATA) == 0
        assert os.lseek(file.fileno(), 0, os.SEEK_HOLE) == (10 << 20) + 1


def test_unnamed_files(each_alone: Path) -> None:
    """``O_TMPFILE``: ``EOPNOTSUPP``; programs fall back to a named file."""
    with fails(errno.EOPNOTSUPP):
        os.open(each_alone, os.O_TMPFILE | os.O_RDWR)
    code = "import sys, tempfile; tempfile.TemporaryFile(dir=sys.argv[1]).write(b'x')"
    run_python(code, each_alone)


def test_birth(each_alone: Path) -> None:
    """Time of birth: absent: ``stat`` prints ``-``."""
    (each_alone / "f").touch()
    done = subprocess.run(
        ["stat", "-c", "%w", each_alone / "f"], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "-"


def test_file_attributes(each_alone: Path) -> None:
    """``chattr``, ``lsattr``, ``FICLONE``, fs-verity: not supported."""
    (each_alone / "f").write_bytes(b"1")
    with (each_alone / "f").open("r+b") as file, (each_alone / "g").open("w+b") as other:
        with fails(errno.ENOTTY):
            fcntl.ioctl(file, FS_IOC_GETFLAGS, bytes(8))
        with fails(errno.EOPNOTSUPP):
            fcntl.ioctl(other, FICLONE, file.fileno())


def test_places_on_a_disk(each_alone: Path) -> None:
    """FIEMAP, swap files: not supported."""
    path = each_alone / "f"
    path.write_bytes(bytes(1 << 20))
    path.chmod(0o600)
    with path.open("r+b") as file, fails(errno.EOPNOTSUPP):
        fcntl.ioctl(file, FS_IOC_FIEMAP, bytes(8) + b"\xff" * 8 + bytes(240))
    subprocess.run(["mkswap", path], check=True, capture_output=True)
    done = subprocess.run(["swapon", path], capture_output=True, text=True)
    assert "Invalid argument" in done.stderr


def test_no_events_of_a_reload(mounts: Mounts, mounted: Mounted) -> None:
    """What a reload brings makes no event."""
    (mounted.path / "f").write_text("1")
    mounted.commit()
    other = mounts.mount()
    os.stat(other.path / "f")
    queue = libc.inotify_init1(os.O_NONBLOCK)
    assert libc.inotify_add_watch(queue, os.fsencode(other.path), IN_ALL) > 0
    (mounted.path / "f").write_text("2")
    (mounted.path / "g").touch()
    mounted.commit()
    other.reload()
    names = find_events(queue)
    os.close(queue)
    assert (other.path / "f").read_text() == "2"
    assert not names & {b"f", b"g"}


def find_events(queue: int) -> set[bytes]:
    """The names that inotify has told of so far."""
    found = set()
    while select.select([queue], [], [], 0)[0]:
        data = os.read(queue, 1 << 16)
        while data:
            size = int.from_bytes(data[12:16], "little")
            found.add(data[16 : 16 + size].rstrip(b"\0"))
            data = data[16 + size :]
    return found


def test_times_after_a_reload(mounts: Mounts, mounted: Mounted) -> None:
    """A file that others committed has the time of their write."""
    other = mounts.mount()
    (mounted.path / "source").touch()
    written = (mounted.path / "source").stat().st_mtime_ns
    mounted.commit()
    (other.path / "made").touch()
    other.reload()
    facts = (other.path / "source").stat()
    assert facts.st_mtime_ns == written < (other.path / "made").stat().st_mtime_ns
    (mounted.path / "source").write_text("2")
    mounted.commit()
    (other.path / "made").touch()
    other.client.reload(touch=True)
    facts = (other.path / "source").stat()
    assert facts.st_mtime_ns > (other.path / "made").stat().st_mtime_ns


def test_access_times(each_alone: Path) -> None:
    """The modification time, or what was last set."""
    path = each_alone / "f"
    path.write_bytes(b"1")
    path.read_bytes()
    assert path.stat().st_atime_ns == path.stat().st_mtime_ns
    os.utime(path, (5, 6))
    assert path.stat().st_atime == 5


def test_nosuid_and_nodev(each_alone: Path) -> None:
    """Mounts are ``nosuid,nodev``."""
    flags = os.statvfs(each_alone).f_flag
    assert flags & os.ST_NODEV
    assert flags & os.ST_NOSUID
    os.mknod(each_alone / "null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    with fails(errno.EACCES):
        os.open(each_alone / "null", os.O_RDONLY)


def test_security_attributes(each_alone: Path) -> None:
    """``ENOTSUP``, so capabilities of programs are not kept."""
    (each_alone / "f").touch()
    with fails(errno.ENOTSUP):
        os.setxattr(each_alone / "f", "security.x", b"1")


def test_modification_times(each_alone: Path) -> None:
    """From 1677 to 2262, others ``EINVAL``."""
    (each_alone / "f").touch()
    with fails(errno.EINVAL):
        os.utime(each_alone / "f", (0, 10**10))


def test_names_in_a_directory(mounts: Mounts) -> None:
    """32,768, then ``ENOSPC``."""
    here = mounts.mount(prelude=FEW).path
    for name in "abc":
        (here / name).touch()
    with fails(errno.ENOSPC):
        (here / "d").touch()


def test_size_of_a_directory(each_alone: Path) -> None:
    """Always 4,096."""
    for number in range(500):
        (each_alone / f"{number:0200}").touch()
    assert each_alone.stat().st_size == 4096
