"""The contract, sentence by sentence: the docstring is the sentence, the test a short look.

History; each command has its own tests in ``tests/volume`` and ``tests/cli``.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from tests.harness.calls import fails
from tests.harness.mounted import Mounted, Mounts
from volfs.errors import MountError, NotFoundError, VolumeInUseError
from volfs.model.changes import iter_changes
from volfs.model.names import join_path
from volfs.model.retention import KeepRules
from volfs.store.base import Head
from volfs.volume.expire import expire_versions
from volfs.volume.history import create_tag, get_version, iter_history, load_manifest
from volfs.volume.reader import Reader
from volfs.volume.restore import restore_version
from volfs.volume.volumes import delete_volume, fork_volume

pytestmark = pytest.mark.fuse


@pytest.fixture
def history(mounts: Mounts) -> Mounts:
    """Versions 1 to 4, each with a file more; nothing is mounted."""
    mounted = mounts.mount()
    for number in range(1, 5):
        (mounted.path / f"f{number}").write_bytes(b"%d" % number * 100_000)
        (mounted.path / "last").write_text(str(number))
        mounted.commit(f"number {number}")
    mounted.unmount()
    return mounts


def find(mounts: Mounts, text: str) -> Head:
    return get_version(mounts.store, mounts.volume, text)


def left(mounts: Mounts) -> list[int]:
    return [info.version for info in iter_history(mounts.store, mounts.volume)]


def expire(mounts: Mounts) -> list[int]:
    """Keep as little as can be; the versions that are left."""
    expire_versions(mounts.store, mounts.volume, KeepRules(tagged=True))
    return left(mounts)


def test_log(history: Mounts) -> None:
    """``volfs log``."""
    log = iter_history(history.store, history.volume)
    assert [(info.version, info.message) for info in log] == [
        (number, f"number {number}") for number in (4, 3, 2, 1)
    ]


def test_diff(history: Mounts) -> None:
    """``diff A B``."""
    reader = Reader(history.store.objects.load_object)
    old, new = (
        load_manifest(history.store, find(history, text).manifest).snapshot for text in ("2", "4")
    )
    changes = iter_changes(reader.get_tree, old, new)
    assert [(change.kind.value, join_path(change.path)) for change in changes] == [
        ("A", b"f3"),
        ("A", b"f4"),
        ("M", b"last"),
    ]


def test_tag(history: Mounts) -> None:
    """``tag``: tags name versions of one volume."""
    history.create("other")
    create_tag(history.store, history.volume, "release", find(history, "2"))
    assert find(history, "release").version == 2
    with pytest.raises(NotFoundError):
        get_version(history.store, history.store.get_volume("other"), "release")


def test_restore(history: Mounts) -> None:
    """``restore VERSION``: a new version equal to an old one."""
    mounted = history.mount()
    published = restore_version(history.store, history.volume, find(history, "2"))
    assert published.head.version == 5
    assert left(history) == [5, 4, 3, 2, 1]
    assert (mounted.path / "last").read_text() == "4"
    mounted.reload()
    assert sorted(os.listdir(mounted.path)) == ["f1", "f2", "last"]
    assert (mounted.path / "last").read_text() == "2"
    assert published.snapshot == load_manifest(history.store, find(history, "2").manifest).snapshot


def test_fork(history: Mounts) -> None:
    """``fork VOLUME NEW`` (O(1))."""
    packs = history.store_path / "packs"
    before = sum(path.stat().st_size for path in packs.iterdir())
    fork_volume(history.store, history.volume, "copy", find(history, "3"))
    assert sum(path.stat().st_size for path in packs.iterdir()) - before < 2000
    copy, ours = history.mount(volume="copy"), history.mount()
    (copy.path / "f1").write_text("theirs")
    copy.commit()
    ours.reload()
    assert (ours.path / "f1").read_bytes() == b"1" * 100_000
    ours.unmount()
    delete_volume(history.store, "data")
    copy.reload()
    assert (copy.path / "f2").read_bytes() == b"2" * 100_000
    assert sorted(os.listdir(copy.path)) == ["f1", "f2", "f3", "last"]


@pytest.mark.parametrize("name", ["2", "release", "head~2"])
def test_mount_at(history: Mounts, name: str) -> None:
    """``mount --at``: pinned, read-only."""
    create_tag(history.store, history.volume, "release", find(history, "2"))
    pinned = history.mount(at=name)
    create_tag(history.store, history.volume, "release", find(history, "4"), move=True)
    assert (pinned.path / "last").read_text() == "2"
    with fails(errno.EROFS):
        (pinned.path / "f").touch()
    with pytest.raises(MountError, match="pinned at version 2"):
        pinned.reload()


def test_nothing_else_deletes_versions(history: Mounts) -> None:
    """No version is deleted but by an explicit retention command."""
    mounted = history.mount(auto_commit=0)
    restore_version(history.store, history.volume, find(history, "1"))
    mounted.reload()
    (mounted.path / "f").write_text("x")
    mounted.commit()
    mounted.unmount()
    assert left(history) == [6, 5, 4, 3, 2, 1]
    assert expire(history) == [6]


def test_tagged_versions_stay(history: Mounts) -> None:
    """Never a tagged version."""
    create_tag(history.store, history.volume, "release", find(history, "2"))
    assert expire(history) == [4, 2]


def test_pinned_mounts_keep_their_version(history: Mounts) -> None:
    """Never a mounted version."""
    pinned = history.mount(at="2")
    assert expire(history) == [4, 2]
    assert (pinned.path / "f2").read_bytes() == b"2" * 100_000
    pinned.unmount()
    assert expire(history) == [4]


def test_mounts_keep_the_version_that_they_stand_on(history: Mounts) -> None:
    """Never a mounted version: a mount that has not reloaded is on an old one."""
    mounted = history.mount()
    restore_version(history.store, history.volume, find(history, "1"))
    assert expire(history) == [5, 4]
    mounted.reload()
    assert expire(history) == [5]


def test_what_a_dead_mount_left_keeps_its_version(history: Mounts) -> None:
    """Never a mounted version: nor one on which an overlay lies that was left behind."""
    mounted: Mounted = history.mount()
    with (mounted.path / "f4").open("r+b") as file:
        file.write(b"ours")
        file.flush()
        os.fsync(file.fileno())
    mounted.kill()
    restore_version(history.store, history.volume, find(history, "1"))
    assert expire(history) == [5, 4]
    history.expect("ours (modified) overrides theirs (removed)")
    again = history.mount(Path(mounted.path))
    assert (again.path / "f4").read_bytes() == b"ours" + b"4" * 99_996
    again.unmount()
    assert expire(history) == [6]


def test_a_volume_with_mounts_elsewhere_is_in_use(history: Mounts) -> None:
    """A mount keeps its volume, wherever its session is."""
    history.mount(sessions=history.directory / "sessions")
    with pytest.raises(VolumeInUseError):
        delete_volume(history.store, "data")
