"""Opening, reading and writing; mappings, locks, and what is made durable."""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import random
from pathlib import Path

import pytest

from tests.harness.calls import fails, run_python, start_python
from tests.harness.mounted import Mounts

pytestmark = pytest.mark.fuse


def test_open_flags(each_alone: Path) -> None:
    path = each_alone / "f"
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    with fails(errno.EEXIST):
        os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    path.write_bytes(b"0123456789")
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND)
    os.pwrite(descriptor, b"ab", 0)
    os.close(descriptor)
    assert path.read_bytes() == b"0123456789ab"
    os.close(os.open(path, os.O_WRONLY | os.O_TRUNC))
    assert path.read_bytes() == b""
    with fails(errno.EISDIR):
        os.open(each_alone, os.O_WRONLY)
    with fails(errno.ENOTDIR):
        os.open(path, os.O_DIRECTORY)
    os.symlink("f", each_alone / "link")
    with fails(errno.ELOOP):
        os.open(each_alone / "link", os.O_NOFOLLOW)


def test_appends_of_two_processes_do_not_overwrite_each_other(each_alone: Path) -> None:
    code = """
import os, sys
f = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
for n in range(500): os.write(f, f"{sys.argv[2]} {n:04}\\n".encode())
"""
    children = [start_python(code, each_alone / "log", who) for who in "ab"]
    assert [child.wait(30) for child in children] == [0, 0]
    for child in children:
        child.stdin.close()  # type: ignore[union-attr]
        child.stdout.close()  # type: ignore[union-attr]
    lines = (each_alone / "log").read_text().splitlines()
    for who in "ab":
        assert [line for line in lines if line[0] == who] == [f"{who} {n:04}" for n in range(500)]


def test_random_writes_read_back(each_alone: Path) -> None:
    chance = random.Random(3)
    expected = bytearray()
    with (each_alone / "f").open("w+b", buffering=0) as file:
        for _ in range(300):
            offset, data = chance.randrange(400_000), chance.randbytes(chance.randrange(1, 30_000))
            expected.extend(bytes(max(0, offset - len(expected))))
            expected[offset : offset + len(data)] = data
            os.pwrite(file.fileno(), data, offset)
            start = chance.randrange(len(expected))
            assert os.pread(file.fileno(), 5000, start) == expected[start : start + 5000]
    assert (each_alone / "f").read_bytes() == expected


def test_sparse_files(each_alone: Path) -> None:
    path = each_alone / "f"
    with path.open("wb") as file:
        file.seek(10 << 30)
        file.write(b"end")
    assert path.stat().st_size == (10 << 30) + 3
    assert path.stat().st_blocks < 1000
    with path.open("rb") as file:
        assert file.read(100_000) == bytes(100_000)
        file.seek(-5, os.SEEK_END)
        assert file.read() == b"\0\0end"
    with path.open("r+b") as file, fails(errno.EFBIG):
        os.pwrite(file.fileno(), b"x", 1 << 40)


def test_direct_io_of_any_alignment(each_alone: Path) -> None:
    path = each_alone / "f"
    data = random.Random(1).randbytes(200_001)
    path.write_bytes(data)
    descriptor = os.open(path, os.O_RDWR | os.O_DIRECT)
    assert os.pread(descriptor, 777, 333) == data[333:1110]
    assert os.pwrite(descriptor, b"abc", 12_345) == 3
    assert os.pread(descriptor, 1 << 20, 12_340) == data[12_340:12_345] + b"abc" + data[12_348:]
    os.close(descriptor)
    assert path.read_bytes()[12_345:12_348] == b"abc"


def test_shared_mappings(each_alone: Path) -> None:
    path = each_alone / "f"
    path.write_bytes(bytes(20_000))
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
        mapped[5000:5005] = b"12345"
        mapped.flush()
        assert path.read_bytes()[5000:5005] == b"12345"
        os.pwrite(file.fileno(), b"abc", 100)
        assert mapped[100:103] == b"abc"
    assert run_python("import sys; print(open(sys.argv[1], 'rb').read()[5000:5005])", path) == (
        "b'12345'"
    )


def test_locks_hold_between_processes(each_alone: Path) -> None:
    path = each_alone / "f"
    path.write_bytes(bytes(100))
    code = """
import fcntl, sys
f = open(sys.argv[1], "r+b")
for lock in (lambda: fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB),
             lambda: fcntl.lockf(f, fcntl.LOCK_EX | fcntl.LOCK_NB, 10, 0)):
    try:
        lock(); print("taken")
    except BlockingIOError:
        print("held")
"""
    with path.open("r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        fcntl.lockf(file, fcntl.LOCK_EX, 5, 0)
        assert run_python(code, path).split() == ["held", "held"]
        fcntl.lockf(file, fcntl.LOCK_UN, 5, 0)
        fcntl.flock(file, fcntl.LOCK_UN)
        assert run_python(code, path).split() == ["taken", "taken"]


def test_fsync_of_files_and_directories(each_alone: Path) -> None:
    with (each_alone / "f").open("wb") as file:
        file.write(b"x")
        file.flush()
        os.fsync(file.fileno())
        os.fdatasync(file.fileno())
    descriptor = os.open(each_alone, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


def test_committed_content_is_read_back_by_a_new_mount(mounts: Mounts) -> None:
    sizes = [0, 1, 1023, 1024, 1025, 65_535, 65_536, 65_537, 300_000]
    data = {str(size): random.Random(size).randbytes(size) for size in sizes}
    first = mounts.mount()
    for name, content in data.items():
        (first.path / name).write_bytes(content)
    first.unmount()
    second = mounts.mount(read_only=True)
    for name, content in data.items():
        assert (second.path / name).read_bytes() == content
        with (second.path / name).open("rb") as file:
            file.seek(max(0, len(content) - 100))
            assert file.read() == content[-100:]


def test_a_read_only_mount_takes_no_change(mounts: Mounts) -> None:
    first = mounts.mount()
    (first.path / "f").write_bytes(b"x")
    first.unmount()
    path = mounts.mount(read_only=True).path
    calls = [
        lambda: (path / "new").touch(),
        lambda: (path / "f").open("r+b"),
        lambda: (path / "f").unlink(),
        lambda: (path / "f").chmod(0o600),
        lambda: os.setxattr(path / "f", "user.a", b"1"),
        lambda: os.rename(path / "f", path / "g"),
        lambda: os.utime(path / "f"),
    ]
    for call in calls:
        with fails(errno.EROFS):
            call()
    assert (path / "f").read_bytes() == b"x"
