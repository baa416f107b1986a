"""Overlays after an older copy of the store was put in its place: who mounts, who is told why."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.harness.mounted import Mounted, Mounts
from tests.harness.stranded import back_up, leave_without_base, replace_store, write
from tests.volume.shortcuts import publish_files, read_file
from volfs.daemon.sessions.commit import commit_overlay, make_adoption
from volfs.daemon.sessions.inspect import list_overlays
from volfs.daemon.sessions.rebase import rebase_overlay
from volfs.errors import BaseGoneError
from volfs.sessions.places import session_name
from volfs.volume.commit import CommitNote
from volfs.volume.gc import collect_garbage

pytestmark = [pytest.mark.fuse, pytest.mark.noisy("its index is older")]


def leave(mounts: Mounts, *, versions: int) -> tuple[Mounted, Path]:
    """A dead mount on version ``versions``; the copy in the store's place has one version."""
    mounted = mounts.mount()
    write(mounted.path / "f", b"1")
    mounted.commit()
    backup = back_up(mounts)
    for number in range(1, versions):
        write(mounted.path / "f", b"%d" % number)
        mounted.commit()
    write(mounted.path / "mine", b"fsynced")
    mounted.kill()
    return mounted, replace_store(mounts, backup)


def bring(mounts: Mounts, newer: Path) -> Path:
    """The newer session's directory takes the place of what the copy has of it."""
    (session,) = (newer / "mounts").iterdir()
    place = mounts.store_path / "mounts" / session.name
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(session, place)
    return place


def test_it_is_taken_over_where_its_base_is_there(mounts: Mounts) -> None:
    mounted, newer = leave(mounts, versions=1)
    bring(mounts, newer)
    again = mounts.mount(mounted.path)
    assert (again.path / "mine").read_bytes() == b"fsynced"
    again.unmount()
    assert read_file(mounts.store, mounts.volume, "mine") == b"fsynced"


def test_also_without_the_lease(mounts: Mounts) -> None:
    mounted, newer = leave(mounts, versions=1)
    place = bring(mounts, newer)
    mounts.store.leases.drop(session_name(mounts.store, place))
    again = mounts.mount(mounted.path)
    assert (again.path / "mine").read_bytes() == b"fsynced"
    again.unmount()


def test_who_mounts_is_told_what_is_missing(mounts: Mounts) -> None:
    mounted, newer = leave(mounts, versions=3)
    place = bring(mounts, newer)
    name = place.name
    before = {path: path.read_bytes() for path in place.rglob("*.arena")}
    tellings = [
        lambda: mounts.mount(mounted.path),
        lambda: commit_overlay(mounts.store, name, CommitNote()),
        lambda: make_adoption(mounts.store, name, str(mounts.place("other"))),
    ]
    for telling in tellings:
        with pytest.raises(BaseGoneError, match="version 3, on which it stands, is not in") as told:
            telling()
        assert f"volfs overlays export {name}" in str(told.value)
        assert f"volfs overlays rebase {name} --onto" in str(told.value)
        assert "nothing of it is lost" in str(told.value)
    (row,) = list_overlays(mounts.store)
    assert (row.state, row.session.name) == ("stranded", name)
    assert "version 3" in row.problem
    collect_garbage(mounts.store, grace=0)
    assert {path: path.read_bytes() for path in place.rglob("*.arena")} == before
    assert mounts.version == 1


def test_another_version_of_that_number_is_not_its_base(mounts: Mounts) -> None:
    mounted, newer = leave(mounts, versions=3)
    bring(mounts, newer)
    for number in (2, 3, 4):
        publish_files(mounts.store, mounts.volume, {"theirs": b"%d" % number})
    with pytest.raises(BaseGoneError, match="version 3, on which it stands, is another one here"):
        mounts.mount(mounted.path)
    assert [row.state for row in list_overlays(mounts.store)] == ["stranded"]
    other = mounts.mount()
    assert sorted(os.listdir(other.path)) == ["f", "theirs"]


def test_a_lost_base_leaves_leases_that_gc_can_work_with(mounts: Mounts) -> None:
    _, session, _, _ = leave_without_base(mounts)
    from volfs.daemon.sessions.mend import make_missing_leases

    place = mounts.store_path / "mounts" / session.name
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(session, place)
    mounts.store.leases.drop(session.name)
    make_missing_leases(mounts.store)
    collect_garbage(mounts.store, grace=0)


@pytest.mark.parametrize("has_copy", [True, False])
def test_what_went_away_with_the_directory_is_carried_over(mounts: Mounts, has_copy: bool) -> None:
    """The other store's directory lies beside; a plain mount finds what was fsynced there."""
    mounted, newer = leave(mounts, versions=1)
    if not has_copy:
        shutil.rmtree(mounts.store_path / "mounts")
    (session,) = (newer / "mounts").iterdir()
    before = {path: path.stat().st_mtime_ns for path in session.rglob("*")}
    again = mounts.mount(mounted.path)
    assert (again.path / "mine").read_bytes() == b"fsynced"
    assert {path: path.stat().st_mtime_ns for path in session.rglob("*")} == before
    again.unmount()
    assert read_file(mounts.store, mounts.volume, "mine") == b"fsynced"
    third = mounts.mount(mounted.path)
    third.unmount()
    assert mounts.version == 2, "it is not taken over twice"


def test_what_is_carried_over_without_its_base_can_be_rebased(mounts: Mounts) -> None:
    mounted, newer = leave(mounts, versions=3)
    with pytest.raises(BaseGoneError, match="version 3"):
        mounts.mount(mounted.path)
    (row,) = list_overlays(mounts.store)
    rebase_overlay(mounts.store, row.session.name, "head")
    again = mounts.mount(mounted.path)
    assert (again.path / "mine").read_bytes() == b"fsynced"
    assert newer.is_dir()


def test_copies_and_other_volumes_are_not_carried_over(mounts: Mounts) -> None:
    """A backup beside the store has an old state of the overlay: it means nothing."""
    mounted = mounts.mount()
    write(mounted.path / "mine", b"fsynced")
    mounted.kill()
    copy = mounts.directory / "copy"
    mounts.close_store()
    shutil.copytree(mounts.store_path, copy)
    again = mounts.mount(mounted.path)
    again.unmount(discard=True)
    fresh = mounts.mount(mounted.path)
    assert os.listdir(fresh.path) == []


def test_what_the_backup_has_of_the_mount_is_put_aside(mounts: Mounts) -> None:
    mounted = mounts.mount()
    write(mounted.path / "old", b"1")
    mounted.kill()
    backup = back_up(mounts)
    again = mounts.mount(mounted.path)
    write(again.path / "new", b"2")
    again.kill()
    replace_store(mounts, backup)
    third = mounts.mount(mounted.path)
    assert sorted(os.listdir(third.path)) == ["new", "old"]
    third.unmount()
    (row,) = list_overlays(mounts.store)
    assert ".before-" in row.session.name
    assert row.left.files > 0


def test_what_was_committed_by_its_path_is_not_carried_over_again(mounts: Mounts) -> None:
    mounted, newer = leave(mounts, versions=1)
    (session,) = (newer / "mounts").iterdir()
    commit_overlay(mounts.store, str(session), CommitNote())
    publish_files(mounts.store, mounts.volume, {"mine": b"theirs, later"})
    again = mounts.mount(mounted.path)
    assert again.status().dirty_files == 0
    again.reload()
    assert (again.path / "mine").read_bytes() == b"theirs, later"
