"""Corners of POSIX that programs know: special files, xattrs, copies in the kernel, races."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import mmap
import os
import random
import signal
import socket
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.harness.calls import fails, run_as, run_python, start_python
from tests.harness.mounted import Mounted, Mounts

pytestmark = pytest.mark.fuse
libc = ctypes.CDLL(None, use_errno=True)


def noise(size: int) -> bytes:
    return random.Random(size).randbytes(size)


# --- special files ------------------------------------------------------------


def make_special_files(here: Path) -> None:
    os.mkfifo(here / "fifo", 0o640)
    os.mknod(here / "null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    os.mknod(here / "disk", 0o600 | stat.S_IFBLK, os.makedev(259, 70_000))
    os.mknod(here / "socket", 0o755 | stat.S_IFSOCK)
    os.symlink(b"\xff/no where", here / "link")
    os.utime(here / "fifo", ns=(1, 1_600_000_000_123_456_789))


def describe(here: Path) -> dict[str, tuple[object, ...]]:
    found = {}
    for name in sorted(os.listdir(here)):
        facts = (here / name).lstat()
        target = os.readlink(here / name) if stat.S_ISLNK(facts.st_mode) else ""
        found[name] = (facts.st_mode, facts.st_rdev, facts.st_size, facts.st_mtime_ns, target)
    return found


def test_special_files_are_committed_as_they_are(mounts: Mounts, mounted: Mounted) -> None:
    make_special_files(mounted.path)
    wanted = describe(mounted.path)
    mounted.commit()
    mounted.reload()
    assert describe(mounted.path) == wanted
    assert describe(mounts.mount(read_only=True).path) == wanted


def test_devices_are_kept_but_shut(each_alone: Path) -> None:
    os.mknod(each_alone / "null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    with fails(errno.EACCES):
        os.open(each_alone / "null", os.O_RDWR)
    flags = os.statvfs(each_alone).f_flag
    assert flags & os.ST_NODEV
    assert flags & os.ST_NOSUID


def test_a_socket_on_the_mount_is_spoken_through(each_alone: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as client:
        descriptor = os.open(each_alone, os.O_RDONLY)
        address = f"/proc/self/fd/{descriptor}/s"
        listener.bind(address)
        listener.listen()
        client.connect(address)
        client.sendall(b"hello")
        peer, _ = listener.accept()
        assert peer.recv(5) == b"hello"
        peer.close()
        os.close(descriptor)
    with socket.socket(socket.AF_UNIX) as client, fails(errno.ECONNREFUSED):
        here = os.open(each_alone, os.O_RDONLY)
        try:
            client.connect(f"/proc/self/fd/{here}/s")
        finally:
            os.close(here)


# --- names ----------------------------------------------------------------------


def test_an_unnamed_file_is_refused_as_where_there_are_none(each_alone: Path) -> None:
    """Programs then fall back to a named one; ``tempfile`` does."""
    with fails(errno.EOPNOTSUPP):
        os.open(each_alone, os.O_TMPFILE | os.O_RDWR)
    code = "import sys, tempfile; f = tempfile.TemporaryFile(dir=sys.argv[1]); f.write(b'x')"
    run_python(code, each_alone)
    assert os.listdir(each_alone) == []


def test_one_of_two_processes_makes_an_exclusive_file(each_alone: Path) -> None:
    code = """
import os, sys
os.chdir(sys.argv[1])
made = 0
for number in range(200):
    try:
        os.close(os.open(str(number), os.O_CREAT | os.O_EXCL | os.O_WRONLY)); made += 1
    except FileExistsError: pass
print(made)
"""
    children = [start_python(code, each_alone) for _ in range(2)]
    assert sum(int(child.communicate(timeout=30)[0]) for child in children) == 200


def test_a_removed_file_can_be_linked_again_only_while_it_has_a_name(each_alone: Path) -> None:
    with (each_alone / "f").open("wb") as file:
        link_open_file(file.fileno(), each_alone / "g")
        assert (each_alone / "f").samefile(each_alone / "g")
        (each_alone / "f").unlink()
        (each_alone / "g").unlink()
        with fails(errno.ENOENT):
            link_open_file(file.fileno(), each_alone / "h")


def link_open_file(descriptor: int, new: Path) -> None:
    """linkat(2) of what a descriptor has open; ``os.link`` does not follow the link to it."""
    source = b"/proc/self/fd/%d" % descriptor
    if libc.linkat(-100, source, -100, os.fsencode(new), 0x400) != 0:
        raise OSError(ctypes.get_errno(), "linkat")


def test_a_directory_is_emptied_while_it_is_read(each_alone: Path) -> None:
    """As rm -r does."""
    wanted = {f"{number:04}" for number in range(2500)}
    for name in wanted:
        os.mknod(each_alone / name)
    removed = set()
    with os.scandir(each_alone) as entries:
        for entry in entries:
            os.unlink(entry.path)
            removed.add(entry.name)
    assert removed == wanted
    assert os.listdir(each_alone) == []
    each_alone.rmdir()


def test_deep_directories_are_made_committed_and_removed(mounts: Mounts, mounted: Mounted) -> None:
    subprocess.run(["mkdir", "-p", "/".join(["deep"] * 400)], cwd=mounted.path, check=True)
    mounted.commit()
    mounted.reload()
    path = mounted.path
    for _ in range(400):
        path = path / "deep"
    assert os.listdir(path) == []
    subprocess.run(["rm", "-r", "deep"], cwd=mounted.path, check=True)
    mounted.commit()
    assert os.listdir(mounts.mount(read_only=True).path) == []


def test_a_directory_moved_with_open_files_in_it(each_alone: Path) -> None:
    (each_alone / "a" / "b").mkdir(parents=True)
    with (each_alone / "a" / "b" / "f").open("w+b", buffering=0) as file:
        os.rename(each_alone / "a", each_alone / "moved")
        file.write(b"written")
        assert (each_alone / "moved" / "b" / "f").read_bytes() == b"written"
    with fails(errno.ENOENT):
        (each_alone / "a" / "b" / "f").stat()


# --- attributes -------------------------------------------------------------------


def test_one_time_is_set_and_the_other_left(each_alone: Path) -> None:
    path = each_alone / "f"
    path.touch()
    os.utime(path, ns=(111, 222))
    subprocess.run(["touch", "-m", "-d", "@5.000000007", path], check=True)
    assert (path.stat().st_atime_ns, path.stat().st_mtime_ns) == (111, 5_000_000_007)
    subprocess.run(["touch", "-a", "-d", "@6", path], check=True)
    assert (path.stat().st_atime_ns, path.stat().st_mtime_ns) == (6 * 10**9, 5_000_000_007)


def test_what_another_user_may_not_change(each_alone: Path) -> None:
    each_alone.chmod(0o777)
    (each_alone / "root's").touch()

    def attempt() -> list[str]:
        os.close(os.open("mine", os.O_CREAT | os.O_WRONLY, 0o644))
        calls: list[Callable[[], object]] = [
            lambda: os.chown("root's", 1000, 1000),
            lambda: os.chown("mine", 0, -1),
            lambda: os.chown("mine", -1, 0),
            lambda: os.utime("root's", (1, 1)),
            lambda: os.truncate("root's", 1),
            lambda: os.setxattr("root's", "user.a", b"1"),
            lambda: os.chmod("mine", 0o4755),
            lambda: os.utime("mine", (1, 1)),
        ]
        return [refused(call) for call in calls]

    expected = ["EPERM", "EPERM", "EPERM", "EPERM", "EACCES", "EACCES", "", ""]
    assert run_as(1000, each_alone, attempt) == str(expected)
    facts = (each_alone / "mine").stat()
    assert (facts.st_uid, facts.st_gid, facts.st_mtime) == (1000, 1000, 1)


def refused(call: Callable[[], object]) -> str:
    try:
        call()
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    return ""


def test_set_group_id_is_not_for_strangers_to_the_group(each_alone: Path) -> None:
    each_alone.chmod(0o777)
    (each_alone / "f").touch()
    os.chown(each_alone / "f", 1000, 77)
    assert run_as(1000, each_alone, lambda: os.chmod("f", 0o2755)) == "None"
    assert stat.S_IMODE((each_alone / "f").stat().st_mode) == 0o755


def test_without_allow_other_nobody_else_comes_in(mounted: Mounted) -> None:
    mounted.path.parent.chmod(0o755)
    mounted.path.chmod(0o777)
    name = mounted.path.name
    answer = run_as(1000, mounted.path.parent, lambda: refused(lambda: os.listdir(name)))
    assert answer == "EACCES"


# --- extended attributes ------------------------------------------------------------


def test_sizes_of_extended_attributes(each_alone: Path) -> None:
    path = each_alone / "f"
    path.touch()
    name = "user." + "n" * 250
    os.setxattr(path, name, b"12345")
    assert os.listxattr(path) == [name]
    with fails(errno.ERANGE):
        os.setxattr(path, name + "n", b"")
    with fails(errno.E2BIG):
        os.setxattr(path, "user.a", bytes(65_537))
    buffer = ctypes.create_string_buffer(4)
    arguments = (os.fsencode(path), name.encode(), buffer, 4)
    assert libc.getxattr(*arguments) == -1
    assert ctypes.get_errno() == errno.ERANGE
    assert libc.getxattr(os.fsencode(path), name.encode(), None, 0) == 5
    assert libc.listxattr(os.fsencode(path), buffer, 4) == -1
    assert ctypes.get_errno() == errno.ERANGE


def test_many_extended_attributes_are_committed(mounts: Mounts, mounted: Mounted) -> None:
    wanted = {f"user.{number:03}": noise(number) for number in range(200)}
    for path in (mounted.path / "f", mounted.path / "d"):
        path.mkdir() if path.name == "d" else path.touch()
        for name, value in wanted.items():
            os.setxattr(path, name, value)
    mounted.commit()
    for here in (mounted.path, mounts.mount(read_only=True).path):
        for name in ("f", "d"):
            path = here / name
            assert {key: os.getxattr(path, key) for key in os.listxattr(path)} == wanted
    os.removexattr(mounted.path / "f", "user.007")
    mounted.commit()
    mounted.reload()
    assert len(os.listxattr(mounted.path / "f")) == 199


def test_extended_attributes_are_for_files_and_directories(each_alone: Path) -> None:
    os.symlink("x", each_alone / "link")
    os.mkfifo(each_alone / "fifo")
    with fails(errno.EPERM):
        os.setxattr(each_alone / "link", "user.a", b"1", follow_symlinks=False)
    with fails(errno.EPERM):
        os.setxattr(each_alone / "fifo", "user.a", b"1")


# --- content ------------------------------------------------------------------------


def test_copies_in_the_kernel(each_alone: Path, tmp_path: Path) -> None:
    data = noise(300_001)
    (each_alone / "f").write_bytes(data)
    (tmp_path / "f").write_bytes(data)
    for source in (each_alone / "f", tmp_path / "f"):
        for copy in (copy_file_range, sendfile):
            target = each_alone / "copy"
            copy(source, target, len(data))
            assert target.read_bytes() == data
            target.unlink()


def copy_file_range(source: Path, target: Path, size: int) -> None:
    """The kernel copies if it can; else a program has to, and is told so."""
    with source.open("rb") as reader, target.open("wb") as writer:
        while size:
            try:
                size -= os.copy_file_range(reader.fileno(), writer.fileno(), size)
            except OSError as error:
                if error.errno not in (errno.EXDEV, errno.EOPNOTSUPP):
                    raise
                writer.write(reader.read())
                return


def sendfile(source: Path, target: Path, size: int) -> None:
    with source.open("rb") as reader, target.open("wb") as writer:
        at = 0
        while at < size:
            at += os.sendfile(writer.fileno(), reader.fileno(), at, size - at)


def test_fallocate_is_refused_and_posix_fallocate_works(each_alone: Path) -> None:
    with (each_alone / "f").open("w+b") as file:
        number = libc.fallocate(file.fileno(), 1, ctypes.c_int64(0), ctypes.c_int64(4096))
        assert (number, ctypes.get_errno()) == (-1, errno.EOPNOTSUPP)
        os.posix_fallocate(file.fileno(), 0, 1_000_000)
        assert os.fstat(file.fileno()).st_size == 1_000_000


def test_seeking_for_data_and_holes_never_hides_data(mounted: Mounted) -> None:
    path = mounted.path / "f"
    with path.open("w+b", buffering=0) as file:
        os.pwrite(file.fileno(), b"end", 5 << 20)
        for _ in range(2):
            size = os.fstat(file.fileno()).st_size
            assert os.lseek(file.fileno(), 0, os.SEEK_DATA) <= 5 << 20
            assert os.lseek(file.fileno(), 5 << 20, os.SEEK_DATA) == 5 << 20
            assert os.lseek(file.fileno(), 5 << 20, os.SEEK_HOLE) == size
            with fails(errno.ENXIO):
                os.lseek(file.fileno(), size, os.SEEK_DATA)
            mounted.commit()


def test_offsets_far_away(each_alone: Path) -> None:
    with (each_alone / "f").open("w+b", buffering=0) as file:
        file.write(b"x")
        assert os.lseek(file.fileno(), 1 << 62, os.SEEK_SET) == 1 << 62
        assert os.read(file.fileno(), 10) == b""
        for offset in (1, 1 << 40, 1 << 62, (1 << 63) - 5000):
            assert os.pread(file.fileno(), 4096, offset) == b""
        with fails(errno.EINVAL):
            os.pread(file.fileno(), 1, -1)
        with fails(errno.EINVAL):
            os.lseek(file.fileno(), -1, os.SEEK_SET)


def test_a_private_mapping_changes_nothing(each_alone: Path) -> None:
    path = each_alone / "f"
    path.write_bytes(noise(10_000))
    with path.open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_WRITE)
        mapped[0:5] = b"12345"
        mapped.close()
    assert path.read_bytes() == noise(10_000)


def test_a_program_runs_from_the_mount_and_cannot_be_written_meanwhile(each_alone: Path) -> None:
    path = each_alone / "sleep"
    path.write_bytes(Path("/bin/sleep").read_bytes())
    path.chmod(0o755)
    with subprocess.Popen([path, "60"]) as child:
        with fails(errno.ETXTBSY):
            os.open(path, os.O_WRONLY)
        child.kill()
        assert child.wait() == -signal.SIGKILL


def test_shared_writes_through_a_mapping_of_another_process_are_committed(
    mounts: Mounts, mounted: Mounted
) -> None:
    path = mounted.path / "f"
    path.write_bytes(bytes(1 << 20))
    code = """
import mmap, sys
f = open(sys.argv[1], "r+b")
m = mmap.mmap(f.fileno(), 0)
for n in range(3):
    for at in range(n, len(m), 4096): m[at] = 7
    print(n, flush=True)
    sys.stdin.readline()
"""
    child = start_python(code, path)
    assert child.stdin is not None
    assert child.stdout is not None
    for n in range(3):
        assert child.stdout.readline() == f"{n}\n"
        version = mounted.commit().version
        data = (mounts.mount(at=str(version)).path / "f").read_bytes()
        assert data.count(7) == (n + 1) * 256
        child.stdin.write("\n")
        child.stdin.flush()
    child.communicate()


def test_locks_go_with_their_process(each_alone: Path) -> None:
    path = each_alone / "f"
    path.write_bytes(bytes(100))
    code = """
import fcntl, sys
f, g = open(sys.argv[1], "r+b"), open(sys.argv[1], "r+b")
fcntl.flock(g, fcntl.LOCK_EX)
fcntl.lockf(f, fcntl.LOCK_EX, 10, 20)
print("locked", flush=True)
sys.stdin.read()
"""
    child = start_python(code, path)
    assert child.stdout is not None
    child.stdout.readline()
    with path.open("r+b") as file:
        with pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        with pytest.raises(BlockingIOError):
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 25)
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 30)
        child.kill()
        child.communicate()
        fcntl.flock(file, fcntl.LOCK_EX)
        fcntl.lockf(file, fcntl.LOCK_EX, 1, 25)


def test_shared_locks_are_shared(each_alone: Path) -> None:
    path = each_alone / "f"
    path.write_bytes(bytes(100))
    code = "import fcntl, sys; f = open(sys.argv[1]); fcntl.flock(f, fcntl.LOCK_SH); print('ok')"
    with path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        assert run_python(code, path) == "ok"
