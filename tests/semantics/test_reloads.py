"""What a reload promises, sentence by sentence.

The docstring of a test is the sentence, the test a short look; every corner is tested
in ``tests/fuse``, ``tests/daemon`` and ``tests/vfs``.
"""

from __future__ import annotations

import mmap
import os
import threading

import pytest

from tests.harness.calls import list_cached_pages
from tests.harness.mounted import Mounted
from volfs.errors import (
    VolumeBusyError,
)

pytestmark = pytest.mark.fuse


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
