"""The same call on a mount and on a directory of ext4 beside it has the same result."""

from __future__ import annotations

import ctypes
import errno
import itertools
import os
import stat
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.harness.calls import RENAME_EXCHANGE, RENAME_NOREPLACE, RENAME_WHITEOUT, fails, renameat2
from tests.harness.mounted import Mounted, Mounts
from volfs.control.client import get_mount

pytestmark = pytest.mark.fuse
libc = ctypes.CDLL(None, use_errno=True)


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """A directory of the machine's own file system."""
    path = tmp_path / "plain"
    path.mkdir(mode=0o777)
    return path


def attempt(call: Callable[[], object]) -> object:
    try:
        return call()
    except OSError as error:
        return errno.errorcode[error.errno or 0]


def as_user(uid: int, gids: list[int], directory: Path, call: Callable[[], object]) -> None:
    """Run ``call`` in a child that is this user, in ``directory``; it must not raise."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.chdir(directory)
            os.setgroups(gids[1:])
            os.setresgid(*[gids[0]] * 3)
            os.setresuid(*[uid] * 3)
            call()
            status = 0
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    assert status == 0


# --- set-id bits --------------------------------------------------------------


def truncate_path() -> None:
    os.truncate("f", 2)


def truncate_open() -> None:
    descriptor = os.open("f", os.O_WRONLY)
    os.ftruncate(descriptor, 2)


def open_truncating() -> None:
    os.open("f", os.O_WRONLY | os.O_TRUNC)


def write() -> None:
    os.write(os.open("f", os.O_WRONLY), b"x")


def append() -> None:
    os.write(os.open("f", os.O_WRONLY | os.O_APPEND), b"x")


CHANGES = (truncate_path, truncate_open, open_truncating, write, append)
CALLERS: tuple[tuple[int, list[int]], ...] = (
    (0, [0]), (1000, [1000]), (1000, [77]), (1000, [1000, 77]), (1001, [1001]), (1001, [77]),
)  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_set_id_bits_go_as_on_ext4(
    each_alone: Path, plain: Path, change: Callable[[], None]
) -> None:
    modes = (0o6777, 0o4777, 0o2777, 0o2767, 0o2766, 0o6766, 0o1777, 0o2666)
    for mode, (uid, gids) in itertools.product(modes, CALLERS):
        found = []
        for place in (each_alone, plain):
            path = place / "f"
            path.write_bytes(b"12345")
            os.chown(path, 1000, 77)
            path.chmod(mode)
            as_user(uid, gids, place, change)
            found.append(oct(path.stat().st_mode))
        assert found[0] == found[1], f"{mode:o} changed by {uid} in {gids}"


# --- extended attributes ------------------------------------------------------

NAMES = (
    *("user.a", "user.", "user", "user.a.b", "trusted.a", "trusted.", "trusted", "foo", "foo.bar"),
    *("", "system.", "system.a", "system.posix_acl", "security", "User.a", "userx.a"),
    "user." + "n" * 250,
    "user." + "n" * 251,
    "user.\xe9\udcff",
)


@pytest.mark.parametrize("uid", [0, 1000])
@pytest.mark.parametrize("name", NAMES)
def test_names_of_attributes_are_as_on_ext4(
    each_alone: Path, plain: Path, name: str, uid: int
) -> None:
    def run(place: Path) -> None:
        found = []
        for path in ("f", "d", "link", "fifo"):
            calls: tuple[Callable[[], Any], ...] = (
                lambda p=path: os.getxattr(p, name, follow_symlinks=False),
                lambda p=path: os.setxattr(p, name, b"v", follow_symlinks=False),
                lambda p=path: os.getxattr(p, name, follow_symlinks=False),
                lambda p=path: os.listxattr(p, follow_symlinks=False),
                lambda p=path: os.removexattr(p, name, follow_symlinks=False),
                lambda p=path: os.removexattr(p, name, follow_symlinks=False),
            )
            found += [attempt(call) for call in calls]
        Path("answer").write_text(repr(found))

    for place in (each_alone, plain):
        place.chmod(0o777)
        (place / "f").touch()
        (place / "d").mkdir()
        (place / "link").symlink_to("f")
        os.mkfifo(place / "fifo")
        for path in ("f", "d", "link", "fifo"):
            os.chown(place / path, uid, uid, follow_symlinks=False)
        as_user(uid, [uid], place, partial(run, place))
    assert (each_alone / "answer").read_text() == (plain / "answer").read_text()


def test_trusted_attributes_are_root_s_and_are_committed(mounts: Mounts) -> None:
    mounted = mounts.mount(allow_other=True)
    path = mounted.path / "f"
    path.touch()
    path.chmod(0o666)
    os.setxattr(path, "trusted.a", b"1")
    os.setxattr(path, "user.b", b"2")
    mounted.path.chmod(0o777)

    def look() -> None:
        Path("seen").write_text(str(os.listxattr("f")))

    as_user(1000, [1000], mounted.path, look)
    assert (mounted.path / "seen").read_text() == "['user.b']"
    mounted.commit()
    again = mounts.mount(read_only=True).path / "f"
    assert sorted(os.listxattr(again)) == ["trusted.a", "user.b"]
    assert os.getxattr(again, "trusted.a") == b"1"


def test_no_more_attributes_than_can_be_listed(each_alone: Path) -> None:
    path = each_alone / "f"
    path.touch()
    made = []
    with fails(errno.ENOSPC):
        for number in itertools.count():
            os.setxattr(path, f"user.{number}", b"")
            made.append(f"user.{number}")
    assert sorted(os.listxattr(path)) == sorted(made)


# --- names --------------------------------------------------------------------


@pytest.mark.parametrize("flags", range(8))
def test_renames_with_flags_are_as_on_ext4(each_alone: Path, plain: Path, flags: int) -> None:
    """Of files and directories, over nothing, a file, and a directory, near and far."""
    for number, (what, over, far) in enumerate(itertools.product("fde", "-fde", ("", "away/"))):
        found = []
        for place in (each_alone, plain):
            here = place / f"{flags}-{number}"
            (here / "away").mkdir(parents=True)
            for name, kind in (("old", what), (f"{far}new", over)):
                if kind == "f":
                    (here / name).write_bytes(name.encode())
                elif kind in "de":
                    (here / name).mkdir()
                if kind == "e":
                    (here / name / "in").touch()
            answer = attempt(lambda h=here, f=far: renameat2(h / "old", h / f"{f}new", flags))  # type: ignore[misc]
            found.append((answer, describe(here)))
        assert found[0] == found[1], (flags, what, over, far)


def describe(here: Path) -> list[tuple[str, int, int, int]]:
    def walk() -> Iterator[Path]:
        for directory, names, files in os.walk(here):
            yield from (Path(directory, name) for name in names + files)

    facts = [(path, path.lstat()) for path in sorted(walk())]
    return [(str(p.relative_to(here)), s.st_mode, s.st_rdev, s.st_nlink) for p, s in facts]


def test_a_whiteout_is_counted_like_any_other_name(mounts: Mounts) -> None:
    mounted = mounts.mount()
    (mounted.path / "a").write_bytes(b"1")
    before = os.statvfs(mounted.path)
    renameat2(mounted.path / "a", mounted.path / "b", RENAME_WHITEOUT)
    after = os.statvfs(mounted.path)
    used = [s.f_files - s.f_ffree for s in (before, after)]
    assert used[1] == used[0] + 1
    mounted.commit()
    again = mounts.mount(read_only=True).path
    assert stat.S_ISCHR((again / "a").lstat().st_mode)
    assert (again / "b").read_bytes() == b"1"


def test_an_open_directory_that_was_removed_has_no_links(each_alone: Path, plain: Path) -> None:
    found = []
    for place in (each_alone, plain):
        for name in ("removed", "replaced", "other"):
            (place / name).mkdir()
        opened = [os.open(place / name, os.O_RDONLY) for name in ("removed", "replaced")]
        (place / "removed").rmdir()
        (place / "other").rename(place / "replaced")
        found.append([os.fstat(descriptor).st_nlink for descriptor in opened])
        for descriptor in opened:
            os.close(descriptor)
    assert found[0] == found[1] == [0, 0]


def test_times_that_cannot_be_kept_are_refused(each_alone: Path) -> None:
    path = each_alone / "f"
    path.touch()
    for seconds in (9_223_372_037, 10**14, -9_223_372_038, -(10**14)):
        for times in ((0, seconds), (seconds, 0)):
            with fails(errno.EINVAL):
                os.utime(path, times)
    for seconds in (9_223_372_036, -9_223_372_036):
        os.utime(path, (seconds, seconds))
        assert path.stat().st_mtime == seconds


# --- file handles -------------------------------------------------------------


class FileHandle(ctypes.Structure):
    _fields_ = [
        ("bytes", ctypes.c_uint),
        ("type", ctypes.c_int),
        ("data", ctypes.c_ubyte * 128),
    ]


def make_handle(path: Path) -> FileHandle:
    """name_to_handle_at(2): what an NFS server gives its clients."""
    handle, mount = FileHandle(bytes=128), ctypes.c_int()
    arguments = (-100, os.fsencode(path), ctypes.byref(handle), ctypes.byref(mount), 0)
    assert libc.name_to_handle_at(*arguments) == 0, os.strerror(ctypes.get_errno())
    return handle


def open_handle(near: Path, handle: FileHandle) -> int:
    directory = os.open(near, os.O_RDONLY)
    try:
        descriptor = libc.open_by_handle_at(directory, ctypes.byref(handle), os.O_RDONLY)
    finally:
        os.close(directory)
    if descriptor < 0:
        raise OSError(ctypes.get_errno(), "open_by_handle_at")
    return int(descriptor)


def read_handle(near: Path, handle: FileHandle) -> bytes:
    descriptor = open_handle(near, handle)
    try:
        return os.read(descriptor, 100)
    finally:
        os.close(descriptor)


def test_file_handles_open_what_the_kernel_has_forgotten(mounts: Mounts) -> None:
    here = mounts.mount().path
    (here / "d/e").mkdir(parents=True)
    (here / "d/e/f").write_bytes(b"f")
    (here / "tmp").write_bytes(b"renamed")
    (here / "tmp").rename(here / "d/new")
    os.link(here / "d/e/f", here / "link")
    wanted = {"d/e/f": b"f", "d/new": b"renamed", "link": b"f"}
    handles = {name: make_handle(here / name) for name in wanted}
    directory = make_handle(here / "d/e")
    for step in ("loaded", "committed", "forgotten", "moved"):
        if step == "committed":
            subprocess.run(["sync"], check=True)
            get_mount(str(here)).commit()
        elif step == "moved":
            (here / "d").rename(here / "moved")
        if step != "loaded":
            Path("/proc/sys/vm/drop_caches").write_text("2")
        assert {name: read_handle(here, h) for name, h in handles.items()} == wanted, step
        descriptor = open_handle(here, directory)
        assert os.listdir(descriptor) == ["f"]
        os.close(descriptor)
    (here / "moved/new").unlink()
    with fails(errno.ESTALE):
        open_handle(here, handles["d/new"])


# --- overlayfs ----------------------------------------------------------------


@pytest.fixture
def layered(mounts: Mounts, tmp_path: Path) -> Iterator[tuple[Mounted, Path]]:
    """overlayfs whose upper directory is on a mount; the mount, and where it is shown."""
    mounted = mounts.mount(allow_other=True)
    lower, shown = tmp_path / "lower", tmp_path / "shown"
    for path in (mounted.path / "upper", mounted.path / "work", lower / "etc", shown):
        path.mkdir(parents=True)
    (lower / "etc/passwd").write_text("root")
    (lower / "gone").write_text("gone")
    (lower / "d").mkdir()
    (lower / "d/old").write_text("old")
    options = f"lowerdir={lower},upperdir={mounted.path}/upper,workdir={mounted.path}/work"
    subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, shown], check=True)
    try:
        yield mounted, shown
    finally:
        subprocess.run(["umount", shown], check=True)


def test_overlayfs_takes_a_volume_as_its_upper_directory(layered: tuple[Mounted, Path]) -> None:
    mounted, shown = layered
    with (shown / "etc/passwd").open("a") as file:
        file.write(" user")
    (shown / "gone").unlink()
    for child in (shown / "d").iterdir():
        child.unlink()
    (shown / "d").rmdir()
    (shown / "d").mkdir()  # opaque: what is below is not seen
    (shown / "new").write_text("new")
    (shown / "new").rename(shown / "newer")
    assert list((shown / "d").iterdir()) == []
    assert not (shown / "gone").exists()
    upper = mounted.path / "upper"
    assert stat.S_ISCHR((upper / "gone").lstat().st_mode)
    assert os.getxattr(upper / "d", "trusted.overlay.opaque") in (b"y", b"x")
    assert (upper / "newer").read_text() == "new"
    assert mounted.commit().changed


def test_flags_that_exclude_each_other(each_alone: Path) -> None:
    (each_alone / "a").touch()
    (each_alone / "b").touch()
    for flags in (RENAME_EXCHANGE | RENAME_NOREPLACE, RENAME_EXCHANGE | RENAME_WHITEOUT, 8):
        with fails(errno.EINVAL):
            renameat2(each_alone / "a", each_alone / "b", flags)
