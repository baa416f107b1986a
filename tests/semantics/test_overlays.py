"""The contract, sentence by sentence: the docstring is the sentence, the test a short look.

Overlays after an older copy of the store was restored; more of it is in ``tests/daemon``.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.harness.fixtures import mounts
from tests.harness.mounted import Mounts
from tests.harness.stranded import back_up, export, leave_without_base, replace_store, write
from volfs.daemon.sessions.discard import discard_overlay
from volfs.daemon.sessions.rebase import NeededError, rebase_overlay
from volfs.errors import BaseGoneError, NotFoundError

pytestmark = [pytest.mark.fuse, pytest.mark.noisy("its index is older")]

__all__ = ["mounts"]


def bring(mounts: Mounts, session: Path) -> Path:
    """The session's directory lies in the restored store, as where it was restored in place."""
    place = mounts.store_path / "mounts" / session.name
    shutil.rmtree(place, ignore_errors=True)
    return Path(shutil.copytree(session, place))


def test_a_damaged_one_is_exported_as_far_as_it_is_whole(mounts: Mounts) -> None:
    """One that is damaged is listed with the reason and is not committed; export gives what
    its checksums say is whole, and names the rest."""
    mounted = mounts.mount()
    write(mounted.path / "whole", b"1" * 50_000)
    write(mounted.path / "damaged", b"2" * 50_000)
    mounted.kill()
    (arena,) = (mounts.store_path / "mounts").glob("*/scratch/*.arena")
    with arena.open("r+b") as file:
        file.seek(arena.stat().st_size - 10)
        file.write(b"!")
    result, output = export(mounts)
    assert [item.path for item in result.incomplete] == [b"damaged"]
    assert (output / "files" / "whole").read_bytes() == b"1" * 50_000
    mounts.mount(mounted.path).unmount(discard=True)


def test_taken_over_on_a_restored_store(mounts: Mounts) -> None:
    """After an older copy of the store was restored, the next mount at that place takes the
    overlay over if the version that it stands on is there."""
    mounted = mounts.mount()
    write(mounted.path / "f", b"1")
    mounted.commit()
    backup = back_up(mounts)
    write(mounted.path / "g", b"fsynced")
    mounted.kill()
    newer = replace_store(mounts, backup)
    bring(mounts, next((newer / "mounts").iterdir()))
    assert (mounts.mount(mounted.path).path / "g").read_bytes() == b"fsynced"


def test_taken_over_from_the_directory_that_was_the_store(mounts: Mounts) -> None:
    """Also where the overlay went away with the directory that was the store, as long as that
    is beside the store or where the mount left it: it is copied from there, which stays as it
    is, and what the backup has of that mount is listed under another name."""
    mounted = mounts.mount()
    write(mounted.path / "f", b"old")
    mounted.kill()
    backup = back_up(mounts)
    again = mounts.mount(mounted.path)
    write(again.path / "f", b"newest")
    again.kill()
    newer = replace_store(mounts, backup)
    (session,) = (newer / "mounts").iterdir()
    assert (mounts.mount(mounted.path).path / "f").read_bytes() == b"newest"
    assert session.is_dir()
    assert sorted(name.partition(".")[2][:7] for name in mounts.sessions) == ["", "before-"]


def test_not_taken_over_without_its_version(mounts: Mounts) -> None:
    """If it is not, or another version has its number, the mount fails, says which version
    is missing, and changes nothing."""
    mounted, session, _, _ = leave_without_base(mounts)
    place = bring(mounts, session)
    before = {path: path.read_bytes() for path in place.rglob("*.arena")}
    with pytest.raises(BaseGoneError, match="version 2"):
        mounts.mount(mounted.path)
    assert {path: path.read_bytes() for path in place.rglob("*.arena")} == before
    assert mounts.version == 1


def test_exported_without_its_version(mounts: Mounts) -> None:
    """`volfs overlays export` needs neither that version nor the volume: what the overlay has
    is written out, with what the store still has of the rest. A file of which bytes are
    missing is kept apart from whole ones, and the ranges are listed."""
    _, session, old, _ = leave_without_base(mounts)
    result, output = export(mounts, session)
    assert sorted(os.listdir(output / "files")) == ["d", "fresh", "old"]
    assert (output / "files" / "old").read_bytes() == old[:70_000] + b"NEW" + old[70_003:]
    assert [item.missing for item in result.incomplete] == [[(0, 70_000), (70_003, 200_000)]]
    assert os.listdir(output / "incomplete") == ["lost"]


def test_rebased(mounts: Mounts) -> None:
    """`volfs overlays rebase --onto VERSION` puts the overlay onto another version, and it can
    be mounted and committed again. Where its own is not there, each path that it changed
    becomes what it says, and every other stays as that version has it. What needs bytes that
    are lost is named, and then nothing is changed; with `--leave-out` it stays in an overlay
    of its own."""
    mounted, session, old, _ = leave_without_base(mounts)
    place = bring(mounts, session)
    with pytest.raises(NeededError) as told:
        rebase_overlay(mounts.store, place.name, "1")
    assert [item.path for item in told.value.needed] == [(b"lost",)]
    result = rebase_overlay(mounts.store, place.name, "1", leave_out=True)
    again = mounts.mount(mounted.path)
    assert sorted(os.listdir(again.path)) == ["d", "fresh", "old"]
    assert (again.path / "old").read_bytes() == old[:70_000] + b"NEW" + old[70_003:]
    again.unmount()
    assert mounts.sessions == [result.rest]


def test_a_path_names_an_overlay(mounts: Mounts) -> None:
    """An overlay is named by its session's directory, too. One in another store's directory
    is copied into this one, and the other store is not changed."""
    _, session, _, _ = leave_without_base(mounts)
    shutil.rmtree(mounts.store_path / "mounts")
    before = {path: path.stat().st_mtime_ns for path in session.rglob("*")}
    result = rebase_overlay(mounts.store, str(session), "head", leave_out=True)
    assert mounts.sessions == sorted([result.overlay, result.rest])
    assert {path: path.stat().st_mtime_ns for path in session.rglob("*")} == before
    with pytest.raises(NotFoundError, match="not in this store"):
        discard_overlay(mounts.store, str(session))
