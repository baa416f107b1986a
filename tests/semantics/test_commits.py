"""What a commit promises, sentence by sentence.

The docstring of a test is the sentence, the test a short look; every corner is tested
in ``tests/fuse``, ``tests/daemon`` and ``tests/vfs``.
"""

from __future__ import annotations

import mmap
import os
import subprocess
import threading

import pytest

from tests.harness.mounted import Mounted, Mounts, wait_until
from tests.semantics.small_limits import FEW
from volfs.errors import (
    LimitError,
    OverriddenError,
)
from volfs.volume.history import load_manifest

pytestmark = pytest.mark.fuse


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


@pytest.mark.anywhere
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
