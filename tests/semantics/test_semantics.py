"""The contract, sentence by sentence: the docstring is the sentence, the test a short look.

Volume, Mount, Commit and Reload; what a sentence means in every corner is tested
in ``tests/fuse``, ``tests/daemon`` and ``tests/vfs``.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import signal
import stat
import subprocess
import threading
from pathlib import Path

import pytest

from tests.harness.calls import fails, list_cached_pages, run_as
from tests.harness.damage import damage_object, find_chunk
from tests.harness.idmapped import SHIFT, idmapped
from tests.harness.mounted import Mounted, Mounts, wait_until
from volfs.errors import (
    InvalidNameError,
    LimitError,
    MountError,
    OverriddenError,
    UserError,
    VolumeBusyError,
    VolumeInUseError,
)
from volfs.system.files import sync_directory
from volfs.volume.history import load_manifest
from volfs.volume.volumes import delete_volume

pytestmark = pytest.mark.fuse


@pytest.fixture
def pair(mounts: Mounts) -> tuple[Mounted, Mounted]:
    return mounts.mount(), mounts.mount()


FEW = """
from volfs.model import profile
profile.PROFILES[1] = profile.PROFILES[1]._replace(max_inodes=3)
profile.PROFILES[2] = profile.PROFILES[2]._replace(max_entries=3)
"""
"""Limits that a short look can reach; ``tests/fuse/test_limits.py`` has the real ones."""


# --- The promise --------------------------------------------------------------


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


# --- Volume -------------------------------------------------------------------


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


# --- Mount ----------------------------------------------------------------------


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


# --- Commit -----------------------------------------------------------------------


def test_works_while_files_are_open(mounts: Mounts) -> None:
    """Works while files are open: everything written before the call is in it."""
    mounted = mounts.mount()
    with (mounted.path / "f").open("wb", buffering=0) as file:
        file.write(b"12345")
        mounted.commit()
    assert (mounts.mount(at="1").path / "f").read_bytes() == b"12345"


def test_one_version(mounts: Mounts, mounted: Mounted) -> None:
    """Publish this mount's changes as the next version, atomically."""
    for number in range(50):
        (mounted.path / f"{number}").write_text(str(number))
    assert mounted.commit("fifty files").version == mounts.version == 1
    assert load_manifest(
        mounts.store.objects_of(mounts.volume.id),
        mounts.store.refs.get_head(mounts.volume.id).manifest,
    ).message == ("fifty files")


def test_what_the_kernel_still_held(mounts: Mounts, mounted: Mounted) -> None:
    """Everything written before the call is in it, including what the kernel still held."""
    path = mounted.path / "f"
    path.write_bytes(bytes(5000))
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
        mapped[4000:4003] = b"abc"
        mounted.commit()
        assert (mounts.mount(at="1").path / "f").read_bytes()[4000:4003] == b"abc"


def test_consistent_cut(mounts: Mounts, mounted: Mounted) -> None:
    """If one program writes A and then B, no version holds the new B without the new A."""
    stop = threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            for name in ("a", "b"):
                (mounted.path / name).write_text(str(number))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        wait_until((mounted.path / "b").exists, "the writer to begin")
        versions = [mounted.commit().version for _ in range(10)]
    finally:
        stop.set()
        writer.join()
    for version in versions[-3:]:
        old = mounts.mount(at=str(version)).path
        a, b = ((old / name).read_text() for name in ("a", "b"))
        assert not b or not a or int(b) <= int(a)


def test_nothing_changed(mounted: Mounted) -> None:
    """Nothing changed: no new version."""
    (mounted.path / "f").touch()
    assert [mounted.commit().changed for _ in range(2)] == [True, False]


def test_cost_of_a_commit(mounted: Mounted) -> None:
    """Cost follows the change, not the volume."""
    (mounted.path / "big").write_bytes(os.urandom(4 << 20))
    assert mounted.commit().new_bytes > 4 << 20
    with (mounted.path / "big").open("r+b") as file:
        file.write(b"changed")
    result = mounted.commit()
    assert result.new_bytes < 100_000
    assert result.new_objects < 10


def test_distinct_files(mounts: Mounts, pair: tuple[Mounted, Mounted]) -> None:
    """Distinct files never conflict."""
    for number, mounted in enumerate(pair):
        (mounted.path / f"{number}").touch()
        assert mounted.commit().overridden == []
    assert sorted(os.listdir(mounts.mount().path)) == ["0", "1"]


def test_last_commit_wins(mounts: Mounts, pair: tuple[Mounted, Mounted]) -> None:
    """For one file the last commit wins whole; what was overridden is reported."""
    mounts.expect("overrides theirs")
    for number, mounted in enumerate(pair):
        (mounted.path / "f").write_text(f"{number}" * (10 - number))
    pair[0].commit()
    assert [item["path"] for item in pair[1].commit().overridden] == ["f"]
    assert (mounts.mount().path / "f").read_text() == "1" * 9
    assert (mounts.mount(at="1").path / "f").read_text() == "0" * 10, "it stays in history"


def test_on_conflict_fail(mounts: Mounts, pair: tuple[Mounted, Mounted]) -> None:
    """``--on-conflict fail`` refuses instead, and nothing is lost."""
    for number, mounted in enumerate(pair):
        (mounted.path / "f").write_text(str(number))
    pair[0].commit()
    with pytest.raises(OverriddenError):
        pair[1].commit(on_conflict="fail")
    assert (pair[1].path / "f").read_text() == "1"
    pair[1].unmount(discard=True)


@pytest.mark.parametrize("removes_last", [True, False])
def test_delete_against_modify(
    mounts: Mounts, pair: tuple[Mounted, Mounted], removes_last: bool
) -> None:
    """Delete against modify: the later commit wins."""
    mounts.expect("overrides theirs")
    one, two = pair
    (one.path / "f").write_text("old")
    one.commit()
    two.reload()
    (one.path / "f").unlink()
    (two.path / "f").write_text("new")
    for mounted in (two, one) if removes_last else (one, two):
        mounted.commit()
    assert os.listdir(mounts.mount().path) == ([] if removes_last else ["f"])


def test_the_directory_comes_back(mounts: Mounts, pair: tuple[Mounted, Mounted]) -> None:
    """A file we wrote in a directory that they removed: the directory comes back."""
    one, two = pair
    (one.path / "d").mkdir()
    one.commit()
    two.reload()
    (one.path / "d").rmdir()
    one.commit()
    (two.path / "d" / "f").touch()
    two.commit()
    assert os.listdir(mounts.mount().path / "d") == ["f"]


def test_commit_changes_no_view(pair: tuple[Mounted, Mounted]) -> None:
    """Commit does not pull their changes into this mount's view."""
    for number, mounted in enumerate(pair):
        (mounted.path / f"{number}").touch()
        mounted.commit()
        assert os.listdir(mounted.path) == [f"{number}"]


def test_auto_commit_is_off(shared: Mounted) -> None:
    """Auto-commit: off by default on ``volfs mount``."""
    assert shared.status().auto_commit is None


def test_sync(mounts: Mounts) -> None:
    """Where auto-commit is on, ``sync MOUNTPOINT`` also commits; where it is off it does not."""
    for auto, version in ((None, 0), (3600.0, 1)):
        mounted = mounts.mount(auto_commit=auto)
        (mounted.path / "f").write_text(str(auto))
        subprocess.run(["sync", mounted.path], check=True)
        assert mounts.version == version
        mounted.kill()
        assert (mounts.mount(mounted.path).path / "f").read_text() == str(auto)
        mounts.mounted[-1].unmount(discard=True)


def test_a_failed_commit(mounts: Mounts) -> None:
    """A failed commit says why, changes nothing and leaves the overlay; the next can succeed."""
    one, two = (mounts.mount(prelude=FEW) for _ in range(2))
    for mounted in (one, two):
        for number in range(2):
            (mounted.path / f"{mounted.pid}-{number}").touch()
    one.commit()
    before = two.status()
    with pytest.raises(LimitError, match="more than 3 entries"):
        two.commit()
    assert (two.status().dirty_files, mounts.version) == (before.dirty_files, 1)
    (two.path / f"{two.pid}-0").unlink()
    assert two.commit().version == 2


def test_auto_commit(mounts: Mounts) -> None:
    """``--auto-commit [SECONDS]`` commits in the background; the volume's default applies."""
    mounts.create("auto", auto_commit=0.05)
    mounted = mounts.mount(volume="auto")
    assert mounted.status().auto_commit == 0.05
    (mounted.path / "f").touch()
    volume = mounts.store.refs.get_volume("auto")
    wait_until(lambda: mounts.store.refs.get_head(volume.id).version, "the commit")
    objects = mounts.store.objects_of(volume.id)
    assert load_manifest(objects, mounts.store.refs.get_head(volume.id).manifest).auto


# --- Reload -----------------------------------------------------------------------


def test_busy(pair: tuple[Mounted, Mounted]) -> None:
    """Fails with ``EBUSY`` while any file is open; the error names paths and processes."""
    with (pair[1].path / "f").open("w"):
        with pytest.raises(VolumeBusyError) as caught:
            pair[1].reload()
        assert str(caught.value).startswith(
            "volume busy: there are open files preventing the operation"
        )
        assert f"(pid {os.getpid()})" in str(caught.value)


def test_a_mapping_is_busy(pair: tuple[Mounted, Mounted]) -> None:
    """… by any process, mmap included."""
    two = pair[1]
    (two.path / "f").write_text("x")
    with (two.path / "f").open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
    with pytest.raises(VolumeBusyError):
        two.reload()
    mapped.close()
    two.reload()


def test_touch(pair: tuple[Mounted, Mounted]) -> None:
    """``--touch`` gives the files that arrive the present as their time: uncommitted changes."""
    one, two = pair
    (one.path / "arrives").touch()
    os.utime(one.path / "arrives", (5, 5))
    one.commit()
    two.client.reload(touch=True)
    assert (two.path / "arrives").stat().st_mtime > 5
    assert two.status().dirty_files == 1


def test_directories_are_not_busy(pair: tuple[Mounted, Mounted]) -> None:
    """Directories do not count."""
    descriptor = os.open(pair[1].path, os.O_RDONLY)
    pair[1].reload()
    os.close(descriptor)


def test_opened_meanwhile(pair: tuple[Mounted, Mounted]) -> None:
    """Who opens a path while the reload is going on gets the old or the new version whole."""
    one, two = pair
    versions = [bytes([number]) * 20_000 * number for number in range(1, 6)]
    seen: list[bytes] = []
    (one.path / "f").write_bytes(versions[0])
    one.commit()
    two.reload()
    for data in versions[1:]:
        (one.path / "f").write_bytes(data)
        one.commit()
        reader = threading.Thread(target=lambda: seen.append((two.path / "f").read_bytes()))
        reader.start()
        two.reload(wait=20)
        reader.join()
    assert len(seen) == 4
    assert set(seen) <= set(versions)


def test_closed_before(pair: tuple[Mounted, Mounted]) -> None:
    """A file closed before the call never counts."""
    for _ in range(30):
        (pair[1].path / "f").write_text("x")
        pair[1].reload()


def test_wait(pair: tuple[Mounted, Mounted]) -> None:
    """``--wait SECONDS`` retries."""
    file = (pair[1].path / "f").open("w")
    closer = threading.Timer(0.1, file.close)
    closer.start()
    pair[1].reload(wait=20)
    closer.join()


def test_removed_there_changed_here(pair: tuple[Mounted, Mounted]) -> None:
    """A file that others removed and we changed stays."""
    one, two = pair
    (one.path / "f").write_text("old")
    one.commit()
    two.reload()
    (one.path / "f").unlink()
    one.commit()
    (two.path / "f").write_text("ours")
    two.reload()
    assert (two.path / "f").read_text() == "ours"


def test_kept_on_top(pair: tuple[Mounted, Mounted]) -> None:
    """Uncommitted changes are kept, on top of the new view."""
    one, two = pair
    (one.path / "theirs").touch()
    one.commit()
    (two.path / "ours").touch()
    two.reload()
    assert sorted(os.listdir(two.path)) == ["ours", "theirs"]


def test_never_stale(pair: tuple[Mounted, Mounted]) -> None:
    """The kernel's caches never show the old content after reload returned."""
    one, two = pair
    for text in ("one", "two"):
        (one.path / "f").write_text(text)
        one.commit()
        two.reload()
        assert (two.path / "f").read_text() == text


def test_unchanged_stays_cached(pair: tuple[Mounted, Mounted]) -> None:
    """Unchanged files stay cached; one with other content has another inode number."""
    one, two = pair
    for name in ("same", "changed"):
        (one.path / name).write_bytes(bytes(range(256)) * 64)
    one.commit()
    two.reload()
    before = {name: (two.path / name).stat().st_ino for name in ("same", "changed")}
    for name in before:
        (two.path / name).read_bytes()
    (one.path / "changed").write_bytes(bytes(16_384))
    one.commit()
    two.reload()
    assert (two.path / "same").stat().st_ino == before["same"]
    assert (two.path / "changed").stat().st_ino != before["changed"]
    assert list_cached_pages(two.path / "same") == [True] * 4
    assert list_cached_pages(two.path / "changed") == [False] * 4
