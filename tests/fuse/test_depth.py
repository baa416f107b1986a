"""Directories nested deeper than a path can say, made by a program that changes directory.

``VOLFS_PROVE=long`` goes to a depth of 5,000.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness.mounted import Mounts

pytestmark = pytest.mark.fuse
DEPTH = 5000 if os.environ.get("VOLFS_PROVE") == "long" else sys.getrecursionlimit() + 100


def make_chain(top: Path, name: str, depth: int) -> None:
    """At the bottom a file of two names; all of it durable in the overlay."""
    here = os.open(top, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir(name, dir_fd=here)
        here = enter(here, name)
    file = os.open("one", os.O_WRONLY | os.O_CREAT, dir_fd=here)
    os.write(file, b"bottom")
    os.link("one", "two", src_dir_fd=here, dst_dir_fd=here)
    os.fsync(file)
    os.fsync(here)
    os.close(file)
    os.close(here)


def enter(here: int, name: str) -> int:
    below = os.open(name, os.O_RDONLY, dir_fd=here)
    os.close(here)
    return below


def read_bottom(top: Path, name: str) -> tuple[int, bytes]:
    """How deep it is, and what the file's other name says."""
    here = os.open(top, os.O_RDONLY)
    depth = 0
    while name in os.listdir(here):
        here = enter(here, name)
        depth += 1
    file = os.open("two", os.O_RDONLY, dir_fd=here)
    found = os.read(file, 100)
    os.close(file)
    os.close(here)
    return depth, found


def test_a_mount_of_any_depth(mounts: Mounts) -> None:
    first, second = mounts.mount(), mounts.mount()
    make_chain(first.path, "d", DEPTH)
    assert first.commit().version == 1
    second.reload()
    assert read_bottom(second.path, "d") == (DEPTH, b"bottom")
    make_chain(second.path, "e", DEPTH)
    (second.path / "d").rename(second.path / "moved")
    second.commit()
    first.reload()
    for name in ("e", "moved"):
        below = "d" if name == "moved" else "e"
        top = first.path / name
        assert read_bottom(top, below) == (DEPTH - 1, b"bottom")
    subprocess.run(["rm", "-rf", first.path / "moved", first.path / "e"], check=True)
    first.commit()
    second.reload()
    assert os.listdir(second.path) == []


def test_what_a_dead_daemon_left_may_be_as_deep(mounts: Mounts) -> None:
    mounted = mounts.mount()
    make_chain(mounted.path, "d", DEPTH)
    mounted.kill()
    again = mounts.mount(mounted.path)
    assert read_bottom(again.path, "d") == (DEPTH, b"bottom")
    again.commit()
    subprocess.run(["rm", "-rf", again.path / "d"], check=True)
    again.unmount()
