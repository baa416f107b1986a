"""What is mounted in a mount, or bound from it, is in use: no reload takes it away."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.harness.mounted import Mounted, Mounts
from volfs.errors import VolumeBusyError

pytestmark = pytest.mark.fuse


@pytest.fixture
def pair(mounts: Mounts) -> Iterator[tuple[Mounted, Mounted]]:
    """Two mounts of a volume with files and directories; both show them."""
    one, two = mounts.mount(), mounts.mount()
    for name in ("a/b/c", "plain", "other"):
        (one.path / name).mkdir(parents=True)
    for name in ("file", "a/b/file", "plain/file", "other/file"):
        (one.path / name).write_text("old")
    one.commit()
    two.reload()
    subprocess.run(["find", two.path, "-ls"], check=True, capture_output=True)
    yield one, two
    for line in reversed(Path("/proc/self/mountinfo").read_text().splitlines()):
        place = line.split()[4]
        if place.startswith(f"{mounts.directory}/") and "fuse.volfs" not in line:
            subprocess.run(["umount", "-l", place], check=False)


def mount_tmpfs(two: Mounted, path: str) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "inner", two.path / path], check=True)
    (two.path / path / "precious").write_text("kept")


def remove(one: Mounted, path: str) -> None:
    subprocess.run(["rm", "-r", one.path / path], check=True)


def replace_by_file(one: Mounted, path: str) -> None:
    remove(one, path)
    (one.path / path).write_text("now a file")


def rename(one: Mounted, path: str) -> None:
    (one.path / path).rename(one.path / "renamed")


@pytest.mark.parametrize("change", [remove, replace_by_file, rename])
@pytest.mark.parametrize("changed", ["a", "a/b", "a/b/c"])
def test_a_reload_takes_no_mount_away(
    pair: tuple[Mounted, Mounted], change: Callable[[Mounted, str], None], changed: str
) -> None:
    one, two = pair
    mount_tmpfs(two, "a/b/c")
    change(one, changed)
    one.commit()
    with pytest.raises(VolumeBusyError, match=r"a/b/c: tmpfs of inner is mounted at .*a/b/c"):
        two.reload()
    assert (two.path / "a/b/c/precious").read_text() == "kept"
    assert two.status().version == 1
    subprocess.run(["umount", two.path / "a/b/c"], check=True)
    assert two.reload().version == 2
    assert not (two.path / "a/b/c").is_dir()


def test_a_mount_on_a_file_that_is_replaced(pair: tuple[Mounted, Mounted]) -> None:
    one, two = pair
    outside = one.path.parent / "outside"
    outside.write_text("mine")
    subprocess.run(["mount", "--bind", outside, two.path / "file"], check=True)
    (one.path / "file").write_text("new")
    one.commit()
    with pytest.raises(VolumeBusyError, match=r"file: .* is mounted at"):
        two.reload()
    assert (two.path / "file").read_text() == "mine"
    subprocess.run(["umount", two.path / "file"], check=True)
    two.reload()
    assert (two.path / "file").read_text() == "new"


def change_beside(one: Mounted) -> None:
    (one.path / "other/file").write_text("new")
    remove(one, "plain")


def change_in_it(one: Mounted) -> None:
    (one.path / "a/b/c/new").write_text("new")
    (one.path / "a/b/file").write_text("new")
    (one.path / "a/b/more").mkdir()
    os.chmod(one.path / "a/b", 0o700)


@pytest.mark.parametrize("change", [change_beside, change_in_it])
def test_only_what_would_be_taken_away_counts(
    pair: tuple[Mounted, Mounted], change: Callable[[Mounted], None]
) -> None:
    one, two = pair
    mount_tmpfs(two, "a/b/c")
    change(one)
    one.commit()
    assert two.reload().version == 2
    assert (two.path / "a/b/c/precious").read_text() == "kept"


@contextmanager
def in_a_namespace(command: str) -> Iterator[None]:
    """What a command mounts in a mount namespace of its own, as long as the block runs."""
    argv = ["unshare", "-m", "--propagation", "private", "sh", "-c", f"{command}; echo; read x"]
    process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        process.stdout.readline()
        yield
    finally:
        process.communicate()


def test_mounts_in_other_namespaces_count(pair: tuple[Mounted, Mounted]) -> None:
    one, two = pair
    remove(one, "a")
    one.commit()
    busy = pytest.raises(VolumeBusyError, match=r"a/b/c: .*mount namespace of .*\(pid \d+\)")
    with in_a_namespace(f"mount -t tmpfs inner {two.path}/a/b/c"), busy:
        two.reload()
    assert two.reload().version == 2


def test_a_bind_mount_of_what_goes_away(pair: tuple[Mounted, Mounted]) -> None:
    """As containers have them: a directory or file of the mount, somewhere else."""
    one, two = pair
    elsewhere = one.path.parent / "elsewhere"
    elsewhere.write_text("")
    subprocess.run(["mount", "--bind", two.path / "file", elsewhere], check=True)
    (one.path / "file").write_text("new")
    one.commit()
    with pytest.raises(VolumeBusyError, match=r"file: it is bound to .*elsewhere"):
        two.reload()
    assert elsewhere.read_text() == "old"
    subprocess.run(["umount", elsewhere], check=True)
    two.reload()


def test_a_layer_of_an_overlayfs(pair: tuple[Mounted, Mounted]) -> None:
    one, two = pair
    merged = one.path.parent / "merged"
    merged.mkdir()
    options = f"lowerdir={two.path}/a:{two.path}/plain"
    subprocess.run(["mount", "-t", "overlay", "-o", options, "over", merged], check=True)
    remove(one, "plain")
    one.commit()
    with pytest.raises(VolumeBusyError, match=r"plain: it is a layer of the overlay of over at"):
        two.reload()
    subprocess.run(["umount", merged], check=True)
    two.reload()


def test_uncommitted_work_stays_whole_when_a_reload_is_busy(pair: tuple[Mounted, Mounted]) -> None:
    one, two = pair
    mount_tmpfs(two, "a/b/c")
    (two.path / "mine").write_text("mine")
    remove(one, "a")
    one.commit()
    with pytest.raises(VolumeBusyError):
        two.reload()
    assert (two.path / "mine").read_text() == "mine"
    assert two.commit().version == 3
    assert (two.path / "a/b/c/precious").read_text() == "kept"


@pytest.fixture
def network(mounts: Mounts) -> Iterator[tuple[Mounted, Mounted]]:
    """Two mounts of a network file system, which show each other's changes at once."""
    mounts.create("net", network=True)
    one, two = mounts.mount(volume="net"), mounts.mount(volume="net")
    (one.path / "a/b").mkdir(parents=True)
    (one.path / "file").write_text("old")
    (one.path / "a/file").write_text("old")
    yield one, two
    subprocess.run(["umount", "-l", two.path / "a/b"], check=False, capture_output=True)
    subprocess.run(["umount", "-l", two.path / "file"], check=False, capture_output=True)


def settle(two: Mounted) -> None:
    subprocess.run(["find", two.path, "-ls"], check=True, capture_output=True)


@pytest.mark.parametrize("changed", ["a", "a/b"])
def test_a_mount_that_follows_keeps_what_is_mounted_in_it(
    network: tuple[Mounted, Mounted], changed: str
) -> None:
    """The directory is in use: it comes back, as one that somebody writes in."""
    one, two = network
    mount_tmpfs(two, "a/b")
    remove(one, changed)
    (one.path / "beside").write_text("new")
    settle(two)
    assert (two.path / "beside").read_text() == "new"
    assert (two.path / "a/b/precious").read_text() == "kept"
    assert (two.path / "a/file").exists() == (changed == "a/b")
    subprocess.run(["umount", two.path / "a/b"], check=True)
    assert os.listdir(two.path / "a/b") == []


def test_a_mount_on_a_file_that_others_replace(network: tuple[Mounted, Mounted]) -> None:
    one, two = network
    outside = one.path.parent / "outside"
    outside.write_text("mine")
    subprocess.run(["mount", "--bind", outside, two.path / "file"], check=True)
    (one.path / "new").write_text("theirs, and longer")
    os.replace(one.path / "new", one.path / "file")
    settle(two)
    assert (two.path / "file").read_text() == "mine"
    subprocess.run(["umount", two.path / "file"], check=True)
    assert (two.path / "file").read_text() == "theirs, and longer"
    assert (one.path / "file").read_text() == "theirs, and longer"
