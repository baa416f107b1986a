"""The contract, sentence by sentence: the docstring is the sentence, the test a short look.

Volume, Mount, Commit and Reload; what a sentence means in every corner is tested
in ``tests/fuse``, ``tests/daemon`` and ``tests/vfs``.
"""

from __future__ import annotations

import errno
import os
import signal

import pytest

from tests.harness.calls import fails
from tests.harness.mounted import Mounted, Mounts, wait_until
from volfs.errors import InvalidNameError, OverriddenError, VolumeBusyError
from volfs.volume.history import load_manifest

pytestmark = pytest.mark.fuse


@pytest.fixture
def pair(mounts: Mounts) -> tuple[Mounted, Mounted]:
    return mounts.mount(), mounts.mount()


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


def test_file_size(mounted: Mounted) -> None:
    """File size: 1 TiB, then ``EFBIG``."""
    (mounted.path / "f").touch()
    os.truncate(mounted.path / "f", 1 << 40)
    with fails(errno.EFBIG):
        os.truncate(mounted.path / "f", (1 << 40) + 1)


def test_df(mounted: Mounted) -> None:
    """``df``/``statvfs`` tell the truth: bytes and inodes used by this view."""
    (mounted.path / "f").write_bytes(bytes(409_600))
    facts = os.statvfs(mounted.path)
    assert (facts.f_blocks - facts.f_bfree, facts.f_files - facts.f_ffree) == (100, 1)


# --- Mount ----------------------------------------------------------------------


def test_returns_when_the_mount_answers(mounts: Mounts) -> None:
    """``volfs mount VOLUME MOUNTPOINT`` returns when the mount answers, the daemon behind."""
    assert os.listdir(mounts.mount().path) == []


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


# --- Commit -----------------------------------------------------------------------


def test_works_while_files_are_open(mounts: Mounts) -> None:
    """Works while files are open: everything written before the call is in it."""
    mounted = mounts.mount()
    with (mounted.path / "f").open("wb", buffering=0) as file:
        file.write(b"12345")
        mounted.commit()
    assert (mounts.mount(at="1").path / "f").read_bytes() == b"12345"


def test_nothing_changed(mounted: Mounted) -> None:
    """Nothing changed: no new version."""
    (mounted.path / "f").touch()
    assert [mounted.commit().changed for _ in range(2)] == [True, False]


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


def test_auto_commit(mounts: Mounts) -> None:
    """``--auto-commit [SECONDS]`` commits in the background; the volume's default applies."""
    mounts.create("auto", auto_commit=0.05)
    mounted = mounts.mount(volume="auto")
    assert mounted.status().auto_commit == 0.05
    (mounted.path / "f").touch()
    volume = mounts.store.get_volume("auto")
    wait_until(lambda: mounts.store.get_head(volume.id).version, "the commit")
    assert load_manifest(mounts.store, mounts.store.get_head(volume.id).manifest).auto


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
