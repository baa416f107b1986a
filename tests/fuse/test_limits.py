"""The limits of a profile on a mount: names are in ``test_names.py``."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.harness.calls import RENAME_EXCHANGE, RENAME_NOREPLACE, fails, renameat2
from tests.harness.mounted import Mounted, Mounts
from volfs.errors import LimitError
from volfs.model.entry import Entry, FileKind
from volfs.model.profile import MAX_ENTRIES, MAX_FILE_SIZE
from volfs.volume.commit import CommitNote
from volfs.volume.edit import Edit

pytestmark = pytest.mark.fuse


def fill_directory(mounts: Mounts, count: int) -> list[str]:
    """``full`` gets that many empty files, in one version; their names."""
    names = [f"{number:06}" for number in range(count)]
    with Edit(mounts.store, mounts.volume) as edit:
        directory = edit.make_directories((b"full",))
        empty = Entry(b"new", FileKind.FILE, 0o644)
        for name in names:
            directory.bind(name.encode(), empty)
        edit.commit(CommitNote("fill"))
    return names


def ways_in(here: Path, full: Path) -> dict[str, Callable[[], object]]:
    """Every way to make the name ``full/new``; ``here`` has a file ``f`` and a directory ``d``."""
    new = full / "new"
    return {
        "creat": lambda: os.close(os.open(new, os.O_CREAT | os.O_WRONLY)),
        "mkdir": lambda: os.mkdir(new),
        "mknod": lambda: os.mknod(new),
        "fifo": lambda: os.mkfifo(new),
        "symlink": lambda: os.symlink("x", new),
        "link": lambda: os.link(here / "f", new),
        "rename": lambda: os.rename(here / "f", new),
        "rename of a directory": lambda: os.rename(here / "d", new),
        "rename without replacing": lambda: renameat2(here / "f", new, RENAME_NOREPLACE),
    }


def test_the_entry_beyond_the_last_fails_however_it_is_made(mounts: Mounts) -> None:
    names = fill_directory(mounts, MAX_ENTRIES)
    mounted = mounts.mount()
    full = mounted.path / "full"
    (mounted.path / "f").write_text("f")
    (mounted.path / "d").mkdir()
    for call in ways_in(mounted.path, full).values():
        with fails(errno.ENOSPC):
            call()
        assert not (full / "new").exists()
    assert sorted(os.listdir(full)) == names
    assert (mounted.path / "f").stat().st_nlink == 1
    assert mounted.commit().version == 2
    assert (mounts.mount(read_only=True).path / "f").read_text() == "f"


def test_what_makes_no_name_more_is_allowed_in_a_full_directory(mounts: Mounts) -> None:
    fill_directory(mounts, MAX_ENTRIES)
    mounted = mounts.mount()
    full = mounted.path / "full"
    (mounted.path / "f").write_text("f")
    (mounted.path / "g").write_text("g")
    os.rename(full / "000001", full / "renamed")
    os.rename(mounted.path / "f", full / "000002")
    renameat2(mounted.path / "g", full / "000003", RENAME_EXCHANGE)
    (full / "000004").write_text("changed")
    assert (full / "000002").read_text() == "f"
    assert (full / "000003").read_text() == "g"
    assert len(os.listdir(full)) == MAX_ENTRIES
    assert mounted.commit().version == 2


def test_removing_one_makes_room_for_one(mounts: Mounts) -> None:
    names = fill_directory(mounts, MAX_ENTRIES)
    mounted = mounts.mount()
    full = mounted.path / "full"
    (mounted.path / "d").mkdir()
    for name, way in zip(names, ways_in(mounted.path, full), strict=False):
        (mounted.path / "f").touch()
        (full / name).unlink()
        ways_in(mounted.path, full)[way]()
        os.rename(full / "new", full / f"made by {way}")
        with fails(errno.ENOSPC):
            (full / "one more").touch()
    assert len(os.listdir(full)) == MAX_ENTRIES
    mounted.commit()
    mounted.reload()
    with fails(errno.ENOSPC):
        (full / "one more").touch()


def test_a_merge_beyond_the_limit_fails_and_loses_nothing(mounts: Mounts) -> None:
    fill_directory(mounts, MAX_ENTRIES - 1)
    one, two = mounts.mount(), mounts.mount()
    (one.path / "full" / "one").touch()
    (two.path / "full" / "two").write_text("two")
    (two.path / "elsewhere").write_text("two")
    one.commit()
    for _ in range(2):
        with pytest.raises(LimitError, match=r"directory full: more than 32768 entries"):
            two.commit()
    assert mounts.version == 2
    assert (two.path / "full" / "two").read_text() == "two"
    (two.path / "later").write_text("the mount goes on")
    (two.path / "full" / "000000").unlink()
    assert two.commit().version == 3
    after = mounts.mount(read_only=True).path
    assert {"one", "two"} <= set(os.listdir(after / "full"))
    assert sorted(os.listdir(after)) == ["elsewhere", "full", "later"]


# --- inodes -------------------------------------------------------------------

FEW_INODES = """
from volfs.model import profile
profile.PROFILES[1] = profile.PROFILES[1]._replace(max_inodes=6)
"""


@pytest.fixture
def few(mounts: Mounts) -> Mounted:
    """A mount with ``f`` and ``d``, four of its six inodes left."""
    mounts.create("few", profile=1)
    mounted = mounts.mount(volume="few", prelude=FEW_INODES)
    (mounted.path / "f").touch()
    (mounted.path / "d").mkdir()
    return mounted


def test_the_inode_beyond_the_last_fails_however_it_is_made(few: Mounted) -> None:
    here = few.path
    for number in range(4):
        (here / f"{number}").touch()
    facts = os.statvfs(here)
    assert (facts.f_files, facts.f_ffree) == (6, 0)
    ways = ways_in(here, here / "d")
    for way in ("creat", "mkdir", "mknod", "fifo", "symlink"):
        with fails(errno.ENOSPC):
            ways[way]()
    ways["link"]()
    (here / "d" / "new").unlink()
    ways["rename"]()
    (here / "d" / "new").rename(here / "f")
    (here / "0").unlink()
    (here / "d" / "new").touch()
    with fails(errno.ENOSPC):
        (here / "0").touch()
    assert few.commit().version == 1


def test_inodes_that_others_took_count_at_the_commit(mounts: Mounts, few: Mounted) -> None:
    few.commit()
    other = mounts.mount(volume="few", prelude=FEW_INODES)
    for mounted in (few, other):
        for number in range(3):
            (mounted.path / f"{mounted.pid}-{number}").write_text("kept")
    few.commit()
    with pytest.raises(LimitError, match="more than 6 inodes"):
        other.commit()
    assert (other.path / f"{other.pid}-0").read_text() == "kept"
    other.unmount(discard=True)


def test_the_daemon_of_a_small_volume_knows_its_limit(mounts: Mounts) -> None:
    mounts.create("one", profile=1)
    mounted = mounts.mount(volume="one")
    (mounted.path / "f").touch()
    facts = os.statvfs(mounted.path)
    assert (facts.f_files, facts.f_ffree) == (500_000, 499_999)


def test_a_file_with_as_many_names_as_there_may_be(mounts: Mounts) -> None:
    mounted = mounts.mount(prelude="from volfs.vfs import namespace; namespace.LINK_MAX = 3")
    here = mounted.path
    (here / "f").touch()
    for number in range(2):
        os.link(here / "f", here / str(number))
    with fails(errno.EMLINK):
        os.link(here / "f", here / "more")
    (here / "0").unlink()
    os.link(here / "f", here / "more")


# --- sizes --------------------------------------------------------------------


def test_a_file_of_the_largest_size_is_a_file_like_others(mounts: Mounts, mounted: Mounted) -> None:
    path = mounted.path / "f"
    with path.open("wb", buffering=0) as file:
        os.pwrite(file.fileno(), b"end", MAX_FILE_SIZE - 3)
        os.pwrite(file.fileno(), b"begin", 0)
    assert path.stat().st_size == MAX_FILE_SIZE
    assert mounted.commit().new_bytes < 1 << 20
    other = mounts.mount(read_only=True).path / "f"
    with other.open("rb") as file:
        assert file.read(6) == b"begin\0"
        file.seek(-4, os.SEEK_END)
        assert file.read() == b"\0end"
        assert os.pread(file.fileno(), 100, MAX_FILE_SIZE) == b""
        assert os.pread(file.fileno(), 100, (1 << 63) - 101) == b""


def test_beyond_the_largest_size_is_efbig_and_changes_nothing(each_alone: Path) -> None:
    path = each_alone / "f"
    path.write_bytes(b"kept")
    calls: list[Callable[[int], object]] = [
        lambda fd: os.pwrite(fd, b"x", MAX_FILE_SIZE),
        lambda fd: os.pwrite(fd, b"x", 1 << 62),
        lambda fd: os.ftruncate(fd, MAX_FILE_SIZE + 1),
        lambda fd: os.ftruncate(fd, 10**15),
        lambda fd: os.truncate(path, (1 << 63) - 1),
    ]
    with path.open("r+b", buffering=0) as file:
        for call in calls:
            with fails(errno.EFBIG):
                call(file.fileno())
    assert path.read_bytes() == b"kept"
    assert path.stat().st_size == 4


def test_a_write_across_the_largest_size_writes_what_fits(each_alone: Path) -> None:
    with (each_alone / "f").open("wb", buffering=0) as file:
        assert os.pwrite(file.fileno(), b"ab", MAX_FILE_SIZE - 1) == 1
    assert (each_alone / "f").stat().st_size == MAX_FILE_SIZE


def test_a_long_empty_file_costs_the_daemon_nothing(mounted: Mounted) -> None:
    def resident() -> int:
        text = Path(f"/proc/{mounted.pid}/statm").read_text()
        return int(text.split()[1]) * os.sysconf("SC_PAGESIZE")

    path = mounted.path / "f"
    path.write_bytes(b"begin")
    before = resident()
    for size in (1 << 39, 1, MAX_FILE_SIZE):
        os.truncate(path, size)
    mounted.commit()
    with path.open("rb") as file:
        assert file.read(2) == b"b\0"
    assert resident() - before < 64 << 20
