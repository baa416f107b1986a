"""The contract, sentence by sentence: the docstring is the sentence, the test a short look.

History; each command has its own tests in ``tests/volume`` and ``tests/cli``.
"""

from __future__ import annotations

import errno
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.harness.calls import fails
from tests.harness.mounted import Mounted, Mounts
from tests.volume.shortcuts import list_paths, publish_files, read_file
from volfs.errors import (
    InvalidNameError,
    MountError,
    NotFoundError,
    UserError,
)
from volfs.model.changes import iter_changes
from volfs.model.names import join_path
from volfs.model.retention import HOUR_NS, Dated, KeepRules, choose_kept
from volfs.store.contract.refs import Head
from volfs.volume.commit import CommitNote
from volfs.volume.edit import Edit
from volfs.volume.expire import expire_versions
from volfs.volume.history import (
    create_tag,
    fold_automatic,
    get_version,
    iter_history,
    load_manifest,
)
from volfs.volume.restore import restore_version
from volfs.volume.version_reader import Reader
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
    return get_version(mounts.store.refs, mounts.volume, text)


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
    reader = Reader(history.store.objects_of(history.volume.id).load_object)
    old, new = (
        load_manifest(
            history.store.objects_of(history.volume.id), find(history, text).manifest
        ).snapshot
        for text in ("2", "4")
    )
    changes = iter_changes(reader.get_tree, old, new)
    assert [(change.kind.value, join_path(change.path)) for change in changes] == [
        ("A", b"f3"),
        ("A", b"f4"),
        ("M", b"last"),
    ]


def test_naming_versions(history: Mounts) -> None:
    """``head`` (the newest), its number, a tag, and any of these with ``~N`` say which."""
    create_tag(history.store.refs, history.volume, "third", find(history, "3"))
    found = [find(history, text).version for text in ("head", "2", "third", "third~2", "~1")]
    assert found == [4, 2, 3, 1, 3]


def test_background_commits_are_folded(history: Mounts) -> None:
    """Background commits in a row are folded into the newest of them, but for tagged ones."""
    for number in range(3):
        note = CommitNote(auto=True)
        publish_files(history.store, history.volume, {"auto": b"%d" % number}, note)
    log = list(iter_history(history.store, history.volume))
    assert [item.info.version for item in fold_automatic(log)] == [7, 4, 3, 2, 1]
    assert [item.info.version for item in fold_automatic(log, {6})] == [7, 6, 4, 3, 2, 1]


def test_renames_are_two_changes(history: Mounts) -> None:
    """Renames are a deletion and an addition."""
    with Edit(history.store, history.volume) as edit:
        edit.move((b"f1",), (b"g1",))
        edit.commit(CommitNote())
    old, new = (
        load_manifest(
            history.store.objects_of(history.volume.id), find(history, text).manifest
        ).snapshot
        for text in ("4", "5")
    )
    changes = iter_changes(
        Reader(history.store.objects_of(history.volume.id).load_object).get_tree, old, new
    )
    assert [(c.kind.value, c.path) for c in changes] == [("D", (b"f1",)), ("A", (b"g1",))]


@pytest.mark.parametrize("name", ["5", "head", "a/b"])
def test_names_of_tags(history: Mounts, name: str) -> None:
    """Its name is like a volume's, but not a number and not ``head``."""
    with pytest.raises(InvalidNameError):
        create_tag(history.store.refs, history.volume, name, find(history, "4"))


def test_restore_without_a_change(history: Mounts) -> None:
    """If the newest version is equal already there is no new one."""
    assert not restore_version(history.store, history.volume, find(history, "4")).changed
    assert left(history)[0] == 4


def test_restore_of_paths(history: Mounts) -> None:
    """``volfs restore VERSION PATH…`` takes only these paths; all other paths stay."""
    restore_version(history.store, history.volume, find(history, "2"), [(b"last",)])
    assert read_file(history.store, history.volume, "last") == b"2"
    assert list_paths(history.store, history.volume) == ["f1", "f2", "f3", "f4", "last"]


def test_restored_hard_links(history: Mounts) -> None:
    """A hard link whose file is another one by now comes back as a file of its own."""
    mounted = history.mount()
    os.link(mounted.path / "last", mounted.path / "link")
    mounted.commit()
    (mounted.path / "last").write_text("other")
    mounted.commit()
    restore_version(history.store, history.volume, find(history, "5"), [(b"link",)])
    mounted.reload()
    assert (mounted.path / "link").read_text() == "4"
    assert (mounted.path / "last").read_text() == "other"


def test_tag(history: Mounts) -> None:
    """``tag``: tags name versions of one volume."""
    history.create("other")
    create_tag(history.store.refs, history.volume, "release", find(history, "2"))
    assert find(history, "release").version == 2
    with pytest.raises(NotFoundError):
        get_version(history.store.refs, history.store.refs.get_volume("other"), "release")


@pytest.mark.anywhere
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
    assert (
        published.snapshot
        == load_manifest(
            history.store.objects_of(history.volume.id), find(history, "2").manifest
        ).snapshot
    )


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
    create_tag(history.store.refs, history.volume, "release", find(history, "2"))
    pinned = history.mount(at=name)
    create_tag(history.store.refs, history.volume, "release", find(history, "4"), move=True)
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


def test_expire_without_a_rule(history: Mounts) -> None:
    """It keeps what any of its rules keeps, and refuses to work without a rule."""
    with pytest.raises(UserError):
        expire_versions(history.store, history.volume, KeepRules())
    expire_versions(history.store, history.volume, KeepRules(last=2, daily=1))
    assert left(history) == [4, 3]


def test_rules_of_periods_and_age(history: Mounts) -> None:
    """Of each hour, day … the newest one; ``--keep-within`` counts from the newest version."""
    first = datetime(2024, 2, 28, 23, tzinfo=UTC)
    made = [int((first + timedelta(hours=n)).timestamp()) * 10**9 for n in (0, 1, 2, 40)]
    versions = [Dated(number, ns) for number, ns in enumerate(made, start=1)][::-1]

    def in_utc(ns: int) -> datetime:
        return datetime.fromtimestamp(ns // 10**9, UTC)

    def keep(**rules: int) -> list[int]:
        return sorted(choose_kept(versions, KeepRules(**rules), in_utc))

    assert keep(daily=2) == [3, 4]
    assert keep(daily=3) == [1, 3, 4]
    assert keep(within_ns=39 * HOUR_NS) == [2, 3, 4]


def test_tagged_versions_stay(history: Mounts) -> None:
    """Never a tagged version."""
    create_tag(history.store.refs, history.volume, "release", find(history, "2"))
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
    # A lease in a bucket gives versions up once a minute.
    assert expire(history) == ([5, 4] if history.bucket else [5])


@pytest.mark.anywhere
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
