"""Making, linking, renaming and removing names; listing them."""

from __future__ import annotations

import errno
import os
import socket
import stat
from pathlib import Path

import pytest

from tests.harness.calls import (
    RENAME_EXCHANGE,
    RENAME_NOREPLACE,
    fails,
    renameat2,
)

pytestmark = pytest.mark.fuse


def test_special_files(each_alone: Path) -> None:
    os.mkfifo(each_alone / "fifo", 0o640)
    os.mknod(each_alone / "null", 0o600 | stat.S_IFCHR, os.makedev(1, 3))
    os.mknod(each_alone / "disk", 0o600 | stat.S_IFBLK, os.makedev(259, 70_000))
    os.mknod(each_alone / "plain", 0o600 | stat.S_IFREG)
    with socket.socket(socket.AF_UNIX) as listener:
        here = os.getcwd()
        os.chdir(each_alone)
        try:
            listener.bind("socket")
        finally:
            os.chdir(here)
    assert stat.S_ISFIFO((each_alone / "fifo").stat().st_mode)
    assert stat.S_ISSOCK((each_alone / "socket").stat().st_mode)
    assert (each_alone / "null").stat().st_rdev == os.makedev(1, 3)
    assert (each_alone / "disk").stat().st_rdev == os.makedev(259, 70_000)
    assert (each_alone / "plain").read_bytes() == b""


def test_a_fifo_carries_bytes(each_alone: Path) -> None:
    os.mkfifo(each_alone / "fifo")
    reader = os.open(each_alone / "fifo", os.O_RDONLY | os.O_NONBLOCK)
    writer = os.open(each_alone / "fifo", os.O_WRONLY)
    os.write(writer, b"hello")
    assert os.read(reader, 10) == b"hello"
    os.close(writer)
    os.close(reader)


def test_mkdir_and_rmdir(each_alone: Path) -> None:
    path = each_alone / "d"
    path.mkdir()
    with fails(errno.EEXIST):
        path.mkdir()
    (path / "f").touch()
    with fails(errno.ENOTEMPTY):
        path.rmdir()
    with fails(errno.ENOTDIR):
        (path / "f").rmdir()
    with fails(errno.EISDIR):
        os.unlink(path)
    (path / "f").unlink()
    path.rmdir()
    with fails(errno.ENOENT):
        path.rmdir()


def test_nothing_can_be_made_in_a_directory_that_is_gone(each_alone: Path) -> None:
    path = each_alone / "d"
    path.mkdir()
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    path.rmdir()
    for call in (os.mkdir, lambda n, dir_fd: os.open(n, os.O_CREAT | os.O_RDWR, dir_fd=dir_fd)):
        with fails(errno.ENOENT):
            call("x", dir_fd=descriptor)  # type: ignore[operator]
    assert os.listdir(descriptor) == []
    os.close(descriptor)


def test_a_removed_file_lives_as_long_as_it_is_open(each_alone: Path) -> None:
    path = each_alone / "f"
    path.write_bytes(b"before")
    descriptor = os.open(path, os.O_RDWR)
    path.unlink()
    assert os.listdir(each_alone) == []
    os.pwrite(descriptor, b"after", 6)
    assert os.pread(descriptor, 100, 0) == b"beforeafter"
    assert os.fstat(descriptor).st_nlink == 0
    os.ftruncate(descriptor, 3)
    os.fchmod(descriptor, 0o600)
    path.write_bytes(b"another")
    assert os.pread(descriptor, 100, 0) == b"bef"
    os.close(descriptor)
    assert path.read_bytes() == b"another"


def test_symlinks(each_alone: Path) -> None:
    os.symlink("target", each_alone / "link")
    assert os.readlink(each_alone / "link") == "target"
    assert (each_alone / "link").lstat().st_size == 6
    (each_alone / "target").write_bytes(b"x")
    assert (each_alone / "link").read_bytes() == b"x"
    os.symlink("b/" * 2047, each_alone / "long")
    assert len(os.readlink(each_alone / "long")) == 4094
    with fails(errno.ENAMETOOLONG):
        os.symlink("b" * 4096, each_alone / "longer")
    with fails(errno.EINVAL):
        os.readlink(each_alone / "target")
    os.utime(each_alone / "link", ns=(5, 6), follow_symlinks=False)
    assert (each_alone / "link").lstat().st_mtime_ns == 6


def test_hard_links_share_everything(each_alone: Path) -> None:
    one, two = each_alone / "one", each_alone / "two"
    one.write_bytes(b"x")
    os.link(one, two)
    two.write_bytes(b"changed")
    two.chmod(0o600)
    assert one.read_bytes() == b"changed"
    assert one.stat() == two.stat()
    one.unlink()
    assert two.read_bytes() == b"changed"
    with fails(errno.EEXIST):
        os.link(two, two)
    with fails(errno.EPERM):
        os.link(each_alone, each_alone / "d")


def test_rename_replaces_like_with_like(each_alone: Path) -> None:
    for name in ("f", "g"):
        (each_alone / name).write_text(name)
    for name in ("empty", "full", "d"):
        (each_alone / name).mkdir()
    (each_alone / "full" / "x").touch()
    os.rename(each_alone / "f", each_alone / "g")
    assert (each_alone / "g").read_text() == "f"
    os.rename(each_alone / "d", each_alone / "empty")
    with fails(errno.ENOTEMPTY):
        os.rename(each_alone / "empty", each_alone / "full")
    with fails(errno.EISDIR):
        os.rename(each_alone / "g", each_alone / "full")
    with fails(errno.ENOTDIR):
        os.rename(each_alone / "full", each_alone / "g")
    with fails(errno.EINVAL):
        os.rename(each_alone / "full", each_alone / "full" / "inside")
    assert sorted(os.listdir(each_alone)) == ["empty", "full", "g"]


def test_rename_flags(each_alone: Path) -> None:
    one, two, three = (each_alone / name for name in ("one", "two", "three"))
    one.write_text("1")
    two.mkdir()
    with fails(errno.EEXIST):
        renameat2(one, two, RENAME_NOREPLACE)
    renameat2(one, three, RENAME_NOREPLACE)
    renameat2(two, three, RENAME_EXCHANGE)
    assert two.read_text() == "1"
    assert three.is_dir()
    with fails(errno.ENOENT):
        renameat2(two, one, RENAME_EXCHANGE)
    assert sorted(os.listdir(each_alone)) == ["three", "two"]


def test_rename_over_an_open_file(each_alone: Path) -> None:
    (each_alone / "old").write_text("old")
    (each_alone / "new").write_text("new")
    with (each_alone / "old").open() as reader:
        os.replace(each_alone / "new", each_alone / "old")
        assert reader.read() == "old"
    assert (each_alone / "old").read_text() == "new"


def test_names_of_255_bytes_and_of_any_bytes(each_alone: Path) -> None:
    longest = b"n" * 255
    odd = [
        longest,
        b"\xff\xfe",
        b"\x01\n\t",
        "\u00e9\u4e16\U0001f600".encode(),
        b" ",
        b"-rf",
        b"...",
    ]
    for name in odd:
        (each_alone / os.fsdecode(name)).write_bytes(name)
    assert sorted(map(os.fsencode, os.listdir(each_alone))) == sorted(odd)
    for name in odd:
        assert (each_alone / os.fsdecode(name)).read_bytes() == name
    too_long = each_alone / ("n" * 256)
    for call in (too_long.touch, too_long.mkdir, too_long.stat, too_long.unlink):
        with fails(errno.ENAMETOOLONG):
            call()


def test_paths_of_nearly_4096_bytes(each_alone: Path) -> None:
    name = "d" * 200
    descriptor = os.open(each_alone, os.O_RDONLY)
    path, room = str(each_alone), 4095 - len(str(each_alone))
    while room > 210:
        os.mkdir(name, dir_fd=descriptor)
        below = os.open(name, os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor, path, room = below, f"{path}/{name}", room - 201
    last = f"{path}/{'f' * (room - 1)}"
    assert len(last) == 4095
    Path(last).write_bytes(b"deep")
    os.close(descriptor)
    assert Path(last).read_bytes() == b"deep"
    with fails(errno.ENAMETOOLONG):
        os.stat(last + "x")


def test_listing_thousands_of_names(each_alone: Path) -> None:
    wanted = [f"{number:05}-{'n' * (number % 60)}" for number in range(3000)]
    for name in wanted:
        os.mknod(each_alone / name)
    assert sorted(os.listdir(each_alone)) == wanted
    with os.scandir(each_alone) as entries:
        assert {entry.name: entry.is_file() for entry in entries} == dict.fromkeys(wanted, True)
    os.unlink(each_alone / wanted[0])
    assert len(os.listdir(each_alone)) == 2999


def test_a_listing_while_names_come_and_go(each_alone: Path) -> None:
    for number in range(2000):
        os.mknod(each_alone / f"{number:04}")
    seen = []
    with os.scandir(each_alone) as entries:
        for entry in entries:
            seen.append(entry.name)
            if len(seen) == 10:
                for number in range(1000, 2000):
                    os.unlink(each_alone / f"{number:04}")
                os.mknod(each_alone / "new")
    assert len(seen) == len(set(seen))
    assert {f"{number:04}" for number in range(1000)} <= set(seen)
    descriptor = os.open(each_alone, os.O_RDONLY)
    assert len(os.listdir(descriptor)) == 1001
    os.unlink(each_alone / "new")
    assert len(os.listdir(descriptor)) == 1000, "rewinding shows what is there now"
    os.close(descriptor)


def test_seekdir_comes_back_to_where_it_was(each_alone: Path) -> None:
    import ctypes

    for number in range(500):
        os.mknod(each_alone / f"{number:03}")
    libc = ctypes.CDLL(None)
    libc.opendir.restype = libc.readdir.restype = ctypes.c_void_p
    libc.telldir.restype = ctypes.c_long
    directory = ctypes.c_void_p(libc.opendir(os.fsencode(each_alone)))

    def read() -> bytes:
        entry = libc.readdir(directory)
        return ctypes.string_at(entry + 19) if entry else b""

    for _ in range(100):
        read()
    place = libc.telldir(directory)
    rest = [read() for _ in range(200)]
    libc.seekdir(directory, ctypes.c_long(place))
    assert [read() for _ in range(200)] == rest
    libc.rewinddir(directory)
    assert len(set(iter(read, b""))) == 502
    libc.closedir(directory)
