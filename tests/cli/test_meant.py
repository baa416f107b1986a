"""Which mount a path means: at it, around it, below it, or bound to it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Command

pytestmark = pytest.mark.fuse


@pytest.fixture
def mounted(volfs: Command, tmp_path: Path) -> Iterator[Path]:
    """Where the new volume ``v`` is mounted, with a directory in it."""
    place = tmp_path / "parent" / "m"
    place.mkdir(parents=True)
    volfs("create", "v")
    volfs("mount", "v", place)
    (place / "d/e").mkdir(parents=True)
    yield place
    for line in reversed(Path("/proc/self/mountinfo").read_text(errors="replace").splitlines()):
        if (at := line.split()[4]).startswith(f"{tmp_path}/"):
            subprocess.run(["umount", "-l", at], check=True)


def run(*command: str | Path) -> None:
    subprocess.run(command, check=True)


def test_a_path_inside(volfs: Command, mounted: Path) -> None:
    done = volfs("commit", mounted / "d/e")
    assert done.lines[0].startswith("Committed version 1")
    assert done.err == f"{mounted}/d/e: the mount of v at {mounted}\n"
    assert volfs("status", mounted / "d", "--json").json[0]["mountpoint"] == str(mounted)
    assert volfs("reload", mounted / "d").lines == ["Already at version 1."]
    refused = volfs("umount", mounted / "d", status=1)
    assert f"inside of the mount at {mounted}: name that" in refused.err
    assert os.path.ismount(mounted)


def test_a_path_of_its_own_says_nothing_more(volfs: Command, mounted: Path) -> None:
    assert volfs("commit", mounted).err == ""
    assert volfs("commit", "v").err == ""


def test_a_bind_mount(volfs: Command, mounted: Path, tmp_path: Path) -> None:
    bound, of_part = tmp_path / "bound", tmp_path / "part"
    for source, place in ((mounted, bound), (mounted / "d", of_part)):
        place.mkdir()
        run("mount", "--bind", source, place)
        (place / place.name).touch()
        done = volfs("commit", place)
        assert done.lines[0].startswith("Committed version")
        assert f"{place}: the mount of v at {mounted}" in done.err
        refused = volfs("umount", place, status=1)
        assert f"a bind mount or copy of the mount at {mounted}, which goes on" in refused.err
    refused = volfs("umount", mounted, status=1)
    assert f"it is mounted at {bound} as well" in refused.err
    run("umount", bound)
    refused = volfs("umount", mounted, status=1)
    assert f"it is mounted at {of_part} as well" in refused.err
    run("umount", of_part)
    volfs("umount", mounted)


def test_a_covered_mount(volfs: Command, mounted: Path) -> None:
    run("mount", "-t", "tmpfs", "over", mounted)
    done = volfs("commit", mounted)
    assert done.lines[0].startswith("Committed version 1")
    assert "below what is mounted over it" in done.err
    refused = volfs("umount", mounted, status=1)
    assert f"tmpfs of over is mounted over it, at {mounted}: unmount that first" in refused.err
    run("umount", mounted)
    volfs("umount", mounted)


def test_a_mount_below_a_covered_directory(volfs: Command, mounted: Path) -> None:
    run("mount", "-t", "tmpfs", "over", mounted.parent)
    assert volfs("commit", mounted).lines[0].startswith("Committed version 1")
    refused = volfs("umount", mounted, status=1)
    assert f"is mounted over it, at {mounted.parent}" in refused.err


def test_a_renamed_parent(volfs: Command, mounted: Path, tmp_path: Path) -> None:
    renamed = tmp_path / "renamed"
    mounted.parent.rename(renamed)
    assert "no volume is mounted there" in volfs("commit", mounted, status=1).err
    assert volfs("commit", renamed / "m").lines[0].startswith("Committed version 1")
    assert volfs("status", "v", "--json").json[0]["mountpoint"] == str(renamed / "m")
    volfs("umount", renamed / "m")
    assert not os.path.ismount(renamed / "m")


def test_something_else_inside_is_no_mount_of_ours(volfs: Command, mounted: Path) -> None:
    run("mount", "-t", "tmpfs", "inner", mounted / "d")
    assert "mounted, but not by volfs" in volfs("commit", mounted / "d", status=1).err
    refused = volfs("umount", mounted, status=1)
    assert f"path d: tmpfs of inner is mounted at {mounted}/d" in refused.err
