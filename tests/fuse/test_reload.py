"""Reloads: when they are refused, what they show, and what the kernel still believes."""

from __future__ import annotations

import errno
import mmap
import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.harness.calls import start_python
from tests.harness.mounted import Mounted, Mounts
from volfs.errors import VolumeBusyError

pytestmark = pytest.mark.fuse

BUSY = "volume busy: there are open files preventing the operation"


@pytest.fixture
def one(mounts: Mounts) -> Mounted:
    """The mount that changes things."""
    return mounts.mount()


@pytest.fixture
def two(mounts: Mounts, one: Mounted) -> Mounted:
    """The mount that reloads."""
    return mounts.mount()


def test_reload_says_from_where_to_where(one: Mounted, two: Mounted) -> None:
    (one.path / "f").touch()
    one.commit()
    result = two.reload()
    assert (result.before, result.version) == (0, 1)
    result = two.reload()
    assert (result.before, result.version) == (1, 1)


@pytest.mark.anywhere
def test_an_open_file_of_anybody_is_named(one: Mounted, two: Mounted) -> None:
    (one.path / "new").touch()
    one.commit()
    (two.path / "mine").write_text("x")
    code = "import sys; f = open(sys.argv[1]); print('open', flush=True); sys.stdin.read()"
    child = start_python(code, two.path / "mine")
    assert child.stdout is not None
    child.stdout.readline()
    try:
        with pytest.raises(VolumeBusyError) as caught:
            two.reload()
    finally:
        child.communicate()
    assert str(caught.value).startswith(BUSY)
    assert f"{BUSY}: path mine is open from " in str(caught.value)
    assert f"(pid {child.pid})" in str(caught.value)
    assert caught.value.errno == errno.EBUSY
    assert os.listdir(two.path) == ["mine"], "a refused reload changes nothing"
    two.reload()
    assert sorted(os.listdir(two.path)) == ["mine", "new"]


def test_a_mapping_counts_as_open(two: Mounted) -> None:
    (two.path / "f").write_bytes(b"x" * 5000)
    with (two.path / "f").open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
    with pytest.raises(VolumeBusyError, match="path f is open"):
        two.reload()
    mapped.close()
    two.reload()


def test_a_removed_file_that_is_open_counts(two: Mounted) -> None:
    with (two.path / "f").open("w"):
        (two.path / "f").unlink()
        with pytest.raises(VolumeBusyError):
            two.reload()
    two.reload()


def test_a_file_closed_just_now_never_counts(two: Mounted) -> None:
    for number in range(200):
        with (two.path / "f").open("w") as file:
            file.write(str(number))
        two.reload()


def test_many_files_closed_just_now_never_count(two: Mounted) -> None:
    for _ in range(5):
        files = [(two.path / f"{number}").open("w") for number in range(800)]
        for file in files:
            file.close()
        two.reload()


def test_open_directories_and_working_directories_do_not_count(one: Mounted, two: Mounted) -> None:
    (one.path / "d").mkdir()
    one.commit()
    two.reload()
    code = "import os, sys; os.chdir(sys.argv[1]); print(flush=True); sys.stdin.read(1); print(os.listdir('.'), flush=True)"  # noqa: E501
    child = start_python(code, two.path / "d")
    assert child.stdout is not None
    child.stdout.readline()
    (one.path / "d" / "new").touch()
    one.commit()
    two.reload()
    out, _ = child.communicate("x")
    assert out == "['new']\n"


def test_wait_retries_until_the_file_is_closed(one: Mounted, two: Mounted) -> None:
    (one.path / "new").touch()
    one.commit()
    file = (two.path / "f").open("w")
    closer = threading.Timer(0.2, file.close)
    closer.start()
    two.reload(wait=20)
    closer.join()
    assert (two.path / "new").exists()


@pytest.mark.anywhere
def test_uncommitted_changes_stay_on_top(one: Mounted, two: Mounted) -> None:
    for name in ("changed", "removed", "untouched", "moved"):
        (one.path / name).write_text("old")
    one.commit()
    two.reload()
    (two.path / "changed").write_text("ours")
    (two.path / "removed").unlink()
    os.rename(two.path / "moved", two.path / "here")
    (two.path / "new").write_text("ours")
    for name in ("changed", "removed", "untouched", "new"):
        (one.path / name).write_text("theirs")
    one.commit()
    two.reload()
    shown = {name: (two.path / name).read_text() for name in sorted(os.listdir(two.path))}
    assert shown == {"changed": "ours", "here": "old", "new": "ours", "untouched": "theirs"}
    two.commit()
    one.reload()
    assert {name: (one.path / name).read_text() for name in sorted(os.listdir(one.path))} == shown


# --- what the kernel believes ------------------------------------------------


def look_not_at_all(path: Path) -> None:
    """Nothing of it is known."""


def list_the_parent(path: Path) -> None:
    os.listdir(path.parent)


def list_with_attributes(path: Path) -> None:
    with os.scandir(path.parent) as entries:
        for entry in entries:
            entry.stat(follow_symlinks=False)


def look_it_up(path: Path) -> None:
    path.exists()


def read_it(path: Path) -> None:
    if path.is_file():
        path.read_bytes()
        os.listxattr(path)
    elif path.is_dir():
        os.listdir(path)


LOOKS = [look_not_at_all, list_the_parent, list_with_attributes, look_it_up, read_it]


def write_new(path: Path) -> None:
    path.write_bytes(b"changed" * 1000)


def write_same_size(path: Path) -> None:
    """Same size and times: only the content tells them apart."""
    before = path.stat()
    path.write_bytes(b"X" * before.st_size)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def cut(path: Path) -> None:
    os.truncate(path, 1)


def change_attributes(path: Path) -> None:
    path.chmod(0o600)
    os.utime(path, ns=(7, 7))
    os.setxattr(path, "user.new", b"1")


def replace(path: Path) -> None:
    (path.parent / "other").write_text("replaced")
    os.rename(path.parent / "other", path)


def remove(path: Path) -> None:
    path.unlink()


def make_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "inside").touch()


def make_symlink(path: Path) -> None:
    path.unlink()
    os.symlink("nowhere", path)


def link(path: Path) -> None:
    os.link(path, path.parent / "link")


CHANGES = [
    write_new, write_same_size, cut, change_attributes, replace, remove, make_directory,
    make_symlink, link,
]  # fmt: skip


def see(path: Path) -> object:
    """Everything that can be seen of a path and its directory."""
    with os.scandir(path.parent) as entries:
        names = sorted((entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries)
    try:
        facts = path.lstat()
    except FileNotFoundError:
        return names
    kind = stat.S_IFMT(facts.st_mode)
    content: object = None
    if kind == stat.S_IFREG:
        content = path.read_bytes(), os.listxattr(path)
    elif kind == stat.S_IFLNK:
        content = os.readlink(path)
    elif kind == stat.S_IFDIR:
        content = sorted(os.listdir(path))
    size = 0 if kind == stat.S_IFDIR else facts.st_size
    return names, facts.st_mode, size, facts.st_mtime_ns, facts.st_nlink, content


@pytest.mark.parametrize("look", LOOKS)
def test_nothing_old_is_seen_after_a_reload(
    one: Mounted, two: Mounted, look: Callable[[Path], None]
) -> None:
    for change in CHANGES:
        directory = one.path / change.__name__
        directory.mkdir()
        (directory / "f").write_bytes(b"old" * 1000)
    one.commit()
    two.reload()
    for change in CHANGES:
        look(two.path / change.__name__ / "f")
        change(one.path / change.__name__ / "f")
    one.commit()
    two.reload()
    for change in CHANGES:
        path = Path(change.__name__) / "f"
        assert see(two.path / path) == see(one.path / path), change.__name__


@pytest.mark.parametrize("look", LOOKS)
def test_what_was_absent_is_there_after_a_reload(
    one: Mounted, two: Mounted, look: Callable[[Path], None]
) -> None:
    (one.path / "d").mkdir()
    one.commit()
    two.reload()
    look(two.path / "d" / "f")
    look(two.path / "top")
    (one.path / "d" / "f").write_text("new")
    (one.path / "top").write_text("new")
    one.commit()
    two.reload()
    assert (two.path / "d" / "f").read_text() == (two.path / "top").read_text() == "new"


def test_unchanged_files_keep_their_numbers_and_pages(one: Mounted, two: Mounted) -> None:
    for name in ("same", "changed"):
        (one.path / name).write_text("old")
    one.commit()
    two.reload()
    before = {name: (two.path / name).stat().st_ino for name in ("same", "changed")}
    (one.path / "changed").write_text("new")
    one.commit()
    two.reload()
    assert (two.path / "same").stat().st_ino == before["same"]
    assert (two.path / "changed").stat().st_ino != before["changed"]


@pytest.mark.anywhere
def test_hard_links_change_under_all_their_names(one: Mounted, two: Mounted) -> None:
    (one.path / "d").mkdir()
    (one.path / "a").write_text("old")
    os.link(one.path / "a", one.path / "d" / "b")
    one.commit()
    two.reload()
    assert (two.path / "d" / "b").read_text() == (two.path / "a").read_text() == "old"
    (one.path / "a").write_text("new")
    os.link(one.path / "a", one.path / "c")
    one.commit()
    two.reload()
    assert [(two.path / name).read_text() for name in ("a", "c", "d/b")] == ["new"] * 3
    assert len({(two.path / name).stat().st_ino for name in ("a", "c", "d/b")}) == 1
    assert (two.path / "a").stat().st_nlink == 3
    (one.path / "a").unlink()
    one.commit()
    two.reload()
    assert not (two.path / "a").exists()
    assert (two.path / "c").stat().st_nlink == 2


def test_a_directory_that_others_removed_comes_back_with_ours(one: Mounted, two: Mounted) -> None:
    (one.path / "d" / "deep").mkdir(parents=True)
    for name in ("theirs", "deep/theirs", "changed"):
        (one.path / "d" / name).write_text("old")
    one.commit()
    two.reload()
    (two.path / "d" / "deep" / "ours").write_text("ours")
    (two.path / "d" / "changed").write_text("ours")
    for name in ("deep/theirs", "theirs", "changed"):
        (one.path / "d" / name).unlink()
    (one.path / "d" / "deep").rmdir()
    (one.path / "d").rmdir()
    one.commit()
    two.reload()
    assert os.listdir(two.path) == ["d"]
    assert sorted(os.listdir(two.path / "d")) == ["changed", "deep"]
    assert os.listdir(two.path / "d" / "deep") == ["ours"]
    assert two.path.stat().st_nlink == 3
    two.commit()
    one.reload()
    assert (one.path / "d" / "deep" / "ours").read_text() == "ours"
    assert sorted(os.listdir(one.path / "d")) == ["changed", "deep"]


def test_a_directory_that_both_made_has_what_both_made(one: Mounted, two: Mounted) -> None:
    """Reloading before the commit must lose nothing that committing alone would keep."""
    for mounted, name in ((one, "one"), (two, "two")):
        (mounted.path / "d" / "deep").mkdir(parents=True)
        (mounted.path / "d" / "deep" / name).write_text(name)
    one.commit()
    two.reload()
    assert sorted(os.listdir(two.path / "d" / "deep")) == ["one", "two"]
    two.commit()
    one.reload()
    assert sorted(os.listdir(one.path / "d" / "deep")) == ["one", "two"]


def test_a_reload_is_never_half_done_for_a_reader(one: Mounted, two: Mounted) -> None:
    """Somebody lists while we reload: always one version or the other, never nothing."""
    for number in range(20):
        (one.path / f"{number}").write_text("1")
    one.commit()
    two.reload()
    code = """
import os, sys
os.chdir(sys.argv[1])
print("going", flush=True)
while not os.path.exists("stop"):
    names = os.listdir(".")
    if len([n for n in names if n.isdigit()]) != 20: print(names)
"""
    child = start_python(code, two.path)
    assert child.stdout is not None
    child.stdout.readline()
    for version in range(20):
        for number in range(20):
            (one.path / f"{number}").write_text(f"{version}")
        one.commit()
        two.reload()
    (two.path / "stop").touch()
    out, _ = child.communicate(timeout=30)
    assert out == ""
