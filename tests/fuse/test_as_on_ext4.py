"""The same call on a mount and on a directory of ext4 beside it has the same result."""

from __future__ import annotations

import ctypes
import errno
import itertools
import mmap
import os
import stat
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.harness.calls import RENAME_EXCHANGE, RENAME_NOREPLACE, RENAME_WHITEOUT, fails, renameat2
from tests.harness.idmapped import SHIFT, idmapped
from tests.harness.mounted import Mounted, Mounts
from volfs.control.mount_client import get_mount

pytestmark = pytest.mark.fuse
libc = ctypes.CDLL(None, use_errno=True)
Become = Callable[[], None] | None
"""What a process does to itself when it has become a user."""


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


def as_user(
    uid: int, gids: list[int], directory: Path, call: Callable[[], object], become: Become = None
) -> None:
    """Run ``call`` in a child that is this user, in ``directory``; it must not raise."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.chdir(directory)
            libc.prctl(8, 1)  # PR_SET_KEEPCAPS
            os.setgroups(gids[1:])
            os.setresgid(*[gids[0]] * 3)
            os.setresuid(*[uid] * 3)
            (become or (lambda: None))()
            call()
            status = 0
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    assert status == 0


# --- set-id bits --------------------------------------------------------------
# What a user does with a file, or with a descriptor of it that root has opened.


def truncate_path(path: str, _: int) -> None:
    os.truncate(path, 2)


def truncate_open(path: str, _: int) -> None:
    descriptor = os.open(path, os.O_WRONLY)
    os.ftruncate(descriptor, 2)


def truncate_roots(_: str, descriptor: int) -> None:
    os.ftruncate(descriptor, 2)


def open_truncating(path: str, _: int) -> None:
    os.open(path, os.O_WRONLY | os.O_TRUNC)


def write(path: str, _: int) -> None:
    os.write(os.open(path, os.O_WRONLY), b"x")


def write_roots(_: str, descriptor: int) -> None:
    os.write(descriptor, b"x")


def write_after_root(_: str, descriptor: int) -> None:
    """Whoever wrote last time counts for nothing."""
    os.pwrite(descriptor, b"y", 1)


def append(path: str, _: int) -> None:
    os.write(os.open(path, os.O_WRONLY | os.O_APPEND), b"x")


def write_direct(path: str, _: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_DIRECT)
    with mmap.mmap(-1, 4096) as page:
        os.writev(descriptor, [page])


def send(path: str, descriptor: int) -> None:
    target = os.open(path, os.O_WRONLY)
    os.sendfile(target, descriptor, 0, 3)


def store(path: str, _: int) -> None:
    descriptor = os.open(path, os.O_RDWR)
    with mmap.mmap(descriptor, 0) as mapped:
        mapped[0] = 120
        mapped.flush()


def store_roots(_: str, descriptor: int) -> None:
    with mmap.mmap(descriptor, 0) as mapped:
        mapped[0] = 120
        mapped.flush()


def write_nothing(path: str, _: int) -> None:
    os.write(os.open(path, os.O_WRONLY), b"")


def chown_to_same(path: str, _: int) -> None:
    attempt(lambda: os.chown(path, 1000, -1))


def chown_group(path: str, _: int) -> None:
    attempt(lambda: os.chown(path, -1, os.getegid()))


def chown_nothing(path: str, _: int) -> None:
    attempt(lambda: os.chown(path, -1, -1))


Change = Callable[[str, int], None]
CHANGES: tuple[Change, ...] = (
    *(truncate_path, truncate_open, truncate_roots, open_truncating, write, write_roots),
    *(write_after_root, append, write_direct, send, store, store_roots, write_nothing),
    *(chown_to_same, chown_group, chown_nothing),
)
BY_DESCRIPTOR = (truncate_roots, write_roots, write_after_root, send, store_roots)


def set_capabilities(keep: Callable[[int], int]) -> None:
    """Of this process, the effective ones: ``keep`` says which of the permitted ones."""
    header, sets = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    assert libc.capget(header, sets) == 0
    sets[0], sets[3] = keep(sets[1]), 0
    assert libc.capset(header, sets) == 0


def without_fsetid() -> None:
    set_capabilities(lambda permitted: permitted & ~(1 << 4))


def with_fsetid() -> None:
    set_capabilities(lambda permitted: permitted & 1 << 4)


def in_a_namespace() -> None:
    """Where it has all capabilities, and nothing of this machine's belongs to it."""
    assert libc.unshare(0x10000000) == 0


CALLERS: tuple[tuple[int, list[int], Become], ...] = (
    (0, [0], None), (1000, [1000], None), (1000, [77], None), (1000, [1000, 77], None),
    (1001, [1001], None), (1001, [77], None), (0, [0], without_fsetid),
    (1000, [1000], with_fsetid), (1000, [77], in_a_namespace),
)  # fmt: skip


MODES = (0o6777, 0o4777, 0o2777, 0o2767, 0o2766, 0o6766, 0o1777, 0o2666)


@pytest.mark.parametrize("change", CHANGES)
def test_set_id_bits_go_as_on_ext4(each_alone: Path, plain: Path, change: Change) -> None:
    for who in CALLERS:
        mine, theirs = (change_as(place, change, who) for place in (each_alone, plain))
        assert mine == theirs, f"changed by {who}"


def change_as(place: Path, change: Change, who: tuple[int, list[int], Become]) -> dict[str, str]:
    """The modes before and afterwards, as who asks for the mode alone is told it."""
    files: dict[str, int] = {}
    for mode in MODES:
        path = place / f"{mode:o}"
        path.write_bytes(b"12345")
        os.chown(path, 1000, 77)
        path.chmod(mode)
        files[path.name] = os.open(path, os.O_RDWR) if change in BY_DESCRIPTOR else -1
        if change is write_after_root:
            os.write(files[path.name], b"x")

    def run() -> None:
        for name, descriptor in files.items():
            change(name, descriptor)

    uid, gids, become = who
    as_user(uid, gids, place, run, become)
    for descriptor in files.values():
        if descriptor >= 0:
            os.close(descriptor)
    return {name: f"{read_mode(place / name):o}" for name in files}


def read_mode(path: Path) -> int:
    """By statx(2), of the mode and nothing else: what the kernel has is not asked for anew."""
    answer = ctypes.create_string_buffer(256)
    assert libc.statx(-100, os.fsencode(path), 0, 2, answer) == 0
    return int.from_bytes(answer.raw[28:30], "little")


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


# --- idmapped mounts ------------------------------------------------------------


def test_idmapped_mounts_are_as_on_ext4(each_alone: Path, plain: Path, tmp_path: Path) -> None:
    """Owners as they are shown, and as they are underneath; who may do what."""
    found = []
    for number, place in enumerate((each_alone, plain)):
        os.chown(place, 1000, 1000)
        place.chmod(0o777)
        (place / "roots").mkdir(mode=0o755)
        (place / "theirs").mkdir(mode=0o2770)
        os.chown(place / "theirs", 2000, 77)
        tmp_path.chmod(0o755)
        shown = tmp_path / f"shown{number}"
        with idmapped(place, shown):
            answers = [
                attempt_as(uid, gids, shown, operation)
                for operation in OPERATIONS
                for uid, gids in MAPPED_CALLERS
            ]
            found.append((answers, list_owners(shown), list_owners(place)))
    for mine, theirs in zip(*found, strict=True):
        assert mine == theirs
    owners = dict(found[0][2])
    assert owners[f"{SHIFT + 1000}-make"][:2] == (1000, 1000)
    assert owners[f"{SHIFT}-make"][:2] == (0, 0)


def list_owners(place: Path) -> list[tuple[str, tuple[int, int, int]]]:
    found = []
    for here, directories, files in sorted(os.walk(place)):
        for name in sorted([*directories, *files]):
            facts = os.lstat(os.path.join(here, name))
            path = os.path.relpath(os.path.join(here, name), place)
            found.append((path, (facts.st_uid, facts.st_gid, facts.st_mode)))
    return found


OPERATIONS: tuple[Callable[[str], object], ...] = (
    lambda who: os.close(os.open(f"{who}-make", os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o6775)),
    lambda who: os.mkdir(f"{who}-directory"),
    lambda who: os.symlink("x", f"{who}-link"),
    lambda who: os.mkfifo(f"{who}-fifo"),
    lambda who: os.mkdir(f"theirs/{who}"),
    lambda who: os.mkdir(f"roots/{who}"),
    lambda who: os.link(f"{who}-make", f"{who}-again"),
    lambda who: os.rename(f"{who}-fifo", f"{who}-moved"),
    lambda who: renameat2(Path(f"{who}-moved"), Path(f"{who}-white"), RENAME_WHITEOUT),
    lambda who: os.chmod(f"{who}-make", 0o6755),
    lambda who: os.chown(f"{who}-directory", -1, 77),
    lambda who: os.chown(f"{who}-directory", SHIFT + 5, SHIFT + 5),
    lambda who: os.truncate(f"{who}-make", 3),
    lambda who: os.close(os.open(f"{SHIFT + 1000}-make", os.O_WRONLY | os.O_TRUNC)),
    lambda who: os.setxattr(f"{who}-make", "user.a", b"1"),
    lambda who: os.setxattr(f"{who}-make", "trusted.a", b"1"),
    lambda who: os.listxattr(f"{who}-make"),
    lambda who: os.utime(f"{SHIFT + 1000}-make"),
    lambda who: os.unlink(f"{who}-link"),
    lambda who: os.listdir("theirs"),
)
MAPPED_CALLERS = (
    *((0, [0]), (SHIFT, [SHIFT]), (SHIFT + 1000, [SHIFT + 1000]), (1000, [1000])),
    *((SHIFT + 2000, [SHIFT + 77]), (SHIFT + 3000, [SHIFT + 3000, SHIFT + 77])),
)


def attempt_as(
    uid: int, gids: list[int], place: Path, operation: Callable[[str], object]
) -> tuple[object, ...]:
    """What a operation gives, or its error, in a child that is this user."""
    reader, writer = os.pipe()

    def run() -> None:
        os.write(writer, repr(attempt(partial(operation, str(uid)))).encode())

    as_user(uid, gids, place, run)
    os.close(writer)
    with open(reader) as answer:
        return uid, answer.read()
