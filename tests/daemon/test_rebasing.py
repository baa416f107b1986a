"""Overlays of killed mounts, put onto versions of a restored store."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

import pytest

from tests.harness.mounted import Mounted, Mounts
from tests.harness.stranded import back_up, leave_without_base, replace_store, sync, write
from tests.volume.shortcuts import publish_files, read_file
from volfs.daemon.sessions.commit import commit_overlay, make_adoption
from volfs.daemon.sessions.export import export_overlay
from volfs.daemon.sessions.inspect import list_overlays
from volfs.daemon.sessions.rebase import NeededError, rebase_overlay
from volfs.errors import MountError, NotFoundError
from volfs.volume.commit import CommitNote
from volfs.volume.gc import collect_garbage
from volfs.volume.volumes import delete_volume

pytestmark = [pytest.mark.fuse, pytest.mark.noisy("its index is older")]


def bring(mounts: Mounts, session: Path) -> str:
    """As where the store was restored in place: the session lies in it."""
    place = mounts.store_path / "mounts" / session.name
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(session, place)
    return session.name


def test_what_needs_the_lost_version_is_named_and_refused(mounts: Mounts) -> None:
    mounted, session, old, _ = leave_without_base(mounts)
    name = bring(mounts, session)
    before = {path: path.read_bytes() for path in (mounts.store_path / "mounts").rglob("data.mdb")}
    with pytest.raises(NeededError, match="lost cannot be made without") as told:
        rebase_overlay(mounts.store, name, "head")
    (needed,) = told.value.needed
    assert (needed.path, needed.missing) == ((b"lost",), [(0, 70_000), (70_003, 200_000)])
    collect_garbage(mounts.store, grace=0)
    for path, data in before.items():
        assert path.read_bytes() == data
    result = rebase_overlay(mounts.store, name, "head", leave_out=True)
    assert (result.version, result.merged) == (1, False)
    assert [item.path for item in result.left_out] == [(b"lost",)]
    again = mounts.mount(mounted.path)
    assert sorted(os.listdir(again.path)) == ["d", "fresh", "old"]
    assert (again.path / "old").read_bytes() == old[:70_000] + b"NEW" + old[70_003:]
    assert (again.path / "fresh").read_bytes() == b"fresh" * 10_000
    assert (again.path / "d" / "deep").read_bytes() == b"deep"
    again.unmount()
    assert read_file(mounts.store, mounts.volume, "d/deep") == b"deep"
    collect_garbage(mounts.store, grace=0)
    (rest,) = list_overlays(mounts.store)
    assert (rest.session.name, rest.state) == (result.rest, "stranded")
    exported = export_overlay(mounts.store, result.rest, str(mounts.directory / "rest"))
    assert [item.path for item in exported.incomplete] == [b"lost"]
    data = (mounts.directory / "rest" / "incomplete" / "lost").read_bytes()
    assert data[70_000:70_003] == b"NEW"


def leave_much(mounts: Mounts) -> tuple[Mounted, Path, bytes]:
    """An overlay that needs nothing of its lost base but what the first version has, too."""
    mounted = mounts.mount()
    big = os.urandom(300_000)
    place = mounted.path
    write(place / "part", big)
    write(place / "kept", b"kept")
    for name in ("gone", "mode", "a"):
        write(place / name, name.encode())
    for name in ("moved", "gone.d"):
        (place / name).mkdir()
        write(place / name / "in", b"inside")
    os.link(place / "a", place / "b")
    mounted.commit()
    backup = back_up(mounts)
    write(place / "only-there", b"1")
    mounted.commit()
    write(place / "part", b"NEW", 123_456)
    (place / "gone").unlink()
    shutil.rmtree(place / "gone.d")
    os.rename(place / "moved", place / "here")
    os.chmod(place / "mode", 0o640)
    write(place / "a", b"LINKED")
    os.link(place / "a", place / "c")
    (place / "only-there").unlink()
    (place / "new").mkdir(mode=0o711)
    write(place / "new" / "f\udcff", b"new")
    os.setxattr(place / "new", "user.k", b"v")
    os.symlink("to", place / "new" / "l")
    os.mkfifo(place / "new" / "p", 0o600)
    os.truncate(place / "new" / "f\udcff", 1 << 30)
    sync(place)
    mounted.kill()
    newer = replace_store(mounts, backup)
    return mounted, next((newer / "mounts").iterdir()), big


def check_much(place: Path, big: bytes) -> None:
    assert sorted(os.listdir(place)) == ["a", "b", "c", "here", "kept", "mode", "new", "part"]
    assert (place / "part").read_bytes() == big[:123_456] + b"NEW" + big[123_459:]
    assert (place / "here" / "in").read_bytes() == b"inside"
    assert stat.S_IMODE((place / "mode").stat().st_mode) == 0o640
    assert {(place / name).read_bytes() for name in "abc"} == {b"LINKED"}
    assert {(place / name).stat().st_nlink for name in "abc"} == {3}
    new = place / "new"
    assert stat.S_IMODE(new.stat().st_mode) == 0o711
    assert os.getxattr(new, "user.k") == b"v"
    assert os.readlink(new / "l") == "to"
    assert stat.S_ISFIFO((new / "p").stat().st_mode)
    assert (new / "f\udcff").stat().st_size == 1 << 30
    with (new / "f\udcff").open("rb") as file:
        assert file.read(10) == b"new" + bytes(7)


def test_where_nothing_is_needed_all_of_it_comes_along(mounts: Mounts) -> None:
    mounted, session, big = leave_much(mounts)
    name = bring(mounts, session)
    result = rebase_overlay(mounts.store, name, "1")
    assert (result.version, result.merged, result.left_out, result.rest) == (1, False, [], "")
    again = mounts.mount(mounted.path)
    check_much(again.path, big)
    again.commit()
    again.reload()
    check_much(again.path, big)
    again.unmount()
    collect_garbage(mounts.store, grace=0)
    other = mounts.mount()
    check_much(other.path, big)


def test_a_path_brings_it_here(mounts: Mounts) -> None:
    """After the directory of the store was moved away: the other store stays as it is."""
    _, session, big = leave_much(mounts)
    shutil.rmtree(mounts.store_path / "mounts")
    before = {p: (p.stat().st_mtime_ns, p.is_file() and p.read_bytes()) for p in session.rglob("*")}
    result = rebase_overlay(mounts.store, str(session), "head")
    assert result.overlay == session.name
    published = commit_overlay(mounts.store, result.overlay, CommitNote("rescued"))
    assert published.head.version == 2
    after = {p: (p.stat().st_mtime_ns, p.is_file() and p.read_bytes()) for p in session.rglob("*")}
    assert after == before
    other = mounts.mount()
    check_much(other.path, big)


def test_a_path_is_committed_and_adopted_where_its_base_is_there(mounts: Mounts) -> None:
    mounted = mounts.mount()
    write(mounted.path / "f", b"1")
    mounted.commit()
    backup = back_up(mounts)
    write(mounted.path / "g", b"2")
    mounted.kill()
    newer = replace_store(mounts, backup)
    (session,) = (newer / "mounts").iterdir()
    copy = next((mounts.store_path / "mounts").iterdir())
    assert copy.name == session.name, "the backup has an older state of it"
    place = mounts.place("adopted")
    options = make_adoption(mounts.store, str(session), str(place))
    assert options.adopt is not None
    assert options.adopt.startswith(f"{session.name}.from-")
    adopted = mounts.mount(place, adopt=options.adopt)
    assert (adopted.path / "g").read_bytes() == b"2"
    adopted.unmount(discard=True)
    assert commit_overlay(mounts.store, str(session), CommitNote()).head.version == 2
    assert read_file(mounts.store, mounts.volume, "g") == b"2"
    assert session.is_dir()


def test_on_a_base_that_is_there_it_is_a_merge(mounts: Mounts) -> None:
    mounted = mounts.mount()
    write(mounted.path / "f", b"1")
    mounted.commit()
    write(mounted.path / "g", b"mine")
    (mounted.path / "f").unlink()
    sync(mounted.path)
    mounted.kill()
    publish_files(mounts.store, mounts.volume, {"h": b"theirs"})
    result = rebase_overlay(mounts.store, mounts.sessions[0], "head")
    assert (result.version, result.merged) == (2, True)
    again = mounts.mount(mounted.path)
    assert again.status().version == 2
    assert sorted(os.listdir(again.path)) == ["g", "h"]
    again.kill()
    assert rebase_overlay(mounts.store, mounts.sessions[0], "1").version == 1
    third = mounts.mount(mounted.path)
    assert sorted(os.listdir(third.path)) == ["g"]


def test_what_is_refused(mounts: Mounts) -> None:
    mounted = mounts.mount()
    write(mounted.path / "f", b"1")
    name = mounts.sessions[0]
    with pytest.raises(MountError, match="living"):
        rebase_overlay(mounts.store, name, "head")
    mounted.kill()
    with pytest.raises(NotFoundError, match="no version 7"):
        rebase_overlay(mounts.store, name, "7")
    with pytest.raises(NotFoundError):
        rebase_overlay(mounts.store, "nobody", "head")


def test_below_a_sub_path(mounts: Mounts) -> None:
    publish_files(mounts.store, mounts.volume, {"other": b"1"})
    backup = back_up(mounts)
    mounted = mounts.mount(sub_path="a/b")
    write(mounted.path / "f", b"mine")
    sync(mounted.path)
    mounted.kill()
    newer = replace_store(mounts, backup)
    (session,) = (newer / "mounts").iterdir()
    with pytest.raises(NotFoundError, match="has no directory a/b"):
        rebase_overlay(mounts.store, str(session), "0")
    result = rebase_overlay(mounts.store, str(session), "head")
    commit_overlay(mounts.store, result.overlay, CommitNote())
    assert read_file(mounts.store, mounts.volume, "a/b/f") == b"mine"
    assert read_file(mounts.store, mounts.volume, "other") == b"1"


def test_one_of_a_volume_that_is_not_here_is_not_brought(mounts: Mounts) -> None:
    _, session, _ = leave_much(mounts)
    for path in (mounts.store_path / "mounts").iterdir():
        shutil.rmtree(path)
    delete_volume(mounts.store, "data")
    mounts.create()  # of the same name
    for bring_in in (
        lambda: rebase_overlay(mounts.store, str(session), "head"),
        lambda: commit_overlay(mounts.store, str(session), CommitNote()),
        lambda: make_adoption(mounts.store, str(session), str(mounts.place("other"))),
    ):
        with pytest.raises(NotFoundError, match="which this store does not have"):
            bring_in()
    assert mounts.sessions == []
