"""Renames, whiteouts, removed directories, times and flags are as on ext4, or refused."""

from __future__ import annotations

import errno
import itertools
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fuse.as_on_ext4.users import attempt
from tests.harness.calls import RENAME_EXCHANGE, RENAME_NOREPLACE, RENAME_WHITEOUT, fails, renameat2
from tests.harness.mounted import Mounts

pytestmark = pytest.mark.fuse


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


def test_flags_that_exclude_each_other(each_alone: Path) -> None:
    (each_alone / "a").touch()
    (each_alone / "b").touch()
    for flags in (RENAME_EXCHANGE | RENAME_NOREPLACE, RENAME_EXCHANGE | RENAME_WHITEOUT, 8):
        with fails(errno.EINVAL):
            renameat2(each_alone / "a", each_alone / "b", flags)
