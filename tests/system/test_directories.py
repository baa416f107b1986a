"""Trees walked by descriptor: never through a link, however deep, with few descriptors open."""

from __future__ import annotations

import errno
import gc
import os
import resource
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from volfs.system.descriptors import find_descriptor
from volfs.system.directories import (
    LocalDirectory,
    OpenTree,
    empty_directory,
    open_link_target,
    remove_tree,
)

DEPTH = 3000


def make_chain(top: Path, depth: int) -> None:
    top.mkdir()
    here = os.open(top, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)


def chain(top: LocalDirectory, depth: int) -> list[LocalDirectory]:
    found = [top]
    for _ in range(depth):
        found.append(found[-1].below(b"d"))
    return found


@pytest.fixture
def deep(tmp_path: Path) -> Iterator[Path]:
    """A deep tree, which pytest itself could not remove."""
    top = tmp_path / "top"
    make_chain(top, DEPTH)
    yield top
    subprocess.run(["rm", "-rf", top], check=True)


@contextmanager
def few_descriptors(number: int) -> Iterator[None]:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (number, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


@pytest.mark.parametrize("others", [0, 300])
def test_depth_needs_few_descriptors(deep: Path, others: int) -> None:
    """However many files the process has open already."""
    gc.collect()  # What other tests left open must not be closed meanwhile.
    with ExitStack() as stack:
        for _ in range(others):
            stack.enter_context(open(os.devnull))
        walk_with_few_descriptors(deep)


def walk_with_few_descriptors(deep: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    with few_descriptors(before + 64), OpenTree(os.fsencode(deep)) as tree:
        found = chain(tree.top, DEPTH)
        for directory in (found[-1], found[1], found[DEPTH // 2], found[-1]):
            with directory.opened() as fd:
                assert os.path.samestat(os.fstat(fd), os.fstat(fd))
        with found[-1].opened() as fd:
            assert os.listdir(fd) == []
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_tree_of_any_depth_is_removed(tmp_path: Path, deep: Path) -> None:
    above = os.open(tmp_path, os.O_RDONLY)
    remove_tree(os.fsencode(deep.name), above)
    os.close(above)
    assert os.listdir(tmp_path) == []


def test_links_are_removed_and_not_what_they_lead_to(tmp_path: Path) -> None:
    (tmp_path / "victim/sub").mkdir(parents=True)
    (tmp_path / "top/in").mkdir(parents=True)
    (tmp_path / "top/link").symlink_to("../victim")
    (tmp_path / "top/in/link").symlink_to("../../victim")
    with OpenTree(os.fsencode(tmp_path / "top")) as tree:
        empty_directory(tree.top)
    assert os.listdir(tmp_path / "top") == []
    assert os.listdir(tmp_path / "victim") == ["sub"]
    (tmp_path / "toplink").symlink_to("victim")
    above = os.open(tmp_path, os.O_RDONLY)
    with pytest.raises(NotADirectoryError):
        remove_tree(b"toplink", above)
    os.close(above)
    assert os.listdir(tmp_path / "victim") == ["sub"]


def test_a_link_in_place_of_a_directory_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "top/d").mkdir(parents=True)
    with OpenTree(os.fsencode(tmp_path / "top")) as tree:
        below = tree.top.below(b"d")
        (tmp_path / "top/d").rmdir()
        (tmp_path / "top/d").symlink_to("/etc")
        with pytest.raises(NotADirectoryError), below.opened():
            pass


def test_another_directory_is_not_the_one_that_was_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("volfs.system.directories.KEPT_MAX", 4)
    make_chain(tmp_path / "top", 20)
    with OpenTree(os.fsencode(tmp_path / "top")) as tree:
        found = chain(tree.top, 20)
        with found[-1].opened():
            pass
        (tmp_path / "top/d").rename(tmp_path / "moved")
        make_chain(tmp_path / "top/d", 19)
        with pytest.raises(OSError, match="took its place") as caught, found[1].opened():
            pass
        assert caught.value.errno == errno.ESTALE


@pytest.mark.skipif(os.geteuid() != 0, reason="gives a link away")
def test_links_of_others_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for name, owner in (("mine", 0), ("theirs", 12345)):
        (tmp_path / name).symlink_to("file")
        os.chown(tmp_path / name, owner, owner, follow_symlinks=False)
    at = os.open(tmp_path, os.O_RDONLY)
    os.close(open_link_target(b"mine", at, os.O_RDONLY))
    with pytest.raises(PermissionError, match="user 12345"):
        open_link_target(b"theirs", at, os.O_RDONLY)
    os.close(at)


@pytest.mark.parametrize(
    ("path", "number"),
    [
        (b"/dev/stdin", 0),
        (b"/dev/stdout", 1),
        (b"/dev//stderr", 2),
        (b"/dev/fd/63", 63),
        (b"/proc/self/fd/7", 7),
        (b"/dev/fd/x", None),
        (b"/dev/fd", None),
        (b"/proc/1/fd/1", None),
        (b"stdout", None),
        (b"-", None),
    ],
)
def test_paths_of_descriptors(path: bytes, number: int | None) -> None:
    assert find_descriptor(path) == number
