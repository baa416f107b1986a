"""Limits, and changes that a mount refuses: nothing of them is left."""

from __future__ import annotations

import os

import pytest

from tests.harness.rig import Rig
from tests.vfs.conftest import NewRig
from volfs.errors import (
    FileTooLargeError,
    LimitError,
    MissingObjectError,
    NoEntryError,
    ReadOnlyMountError,
    StaleHandleError,
)
from volfs.model.entry import FileKind
from volfs.model.profile import Profile
from volfs.store.contract.refs import VolumeRecord
from volfs.store.contract.store import Store


def test_limits_of_a_small_profile(new_rig: NewRig) -> None:
    rig = new_rig(profile=Profile(1, max_inodes=5, max_entries=3, max_file_size=1000))
    rig.mkdir((b"d",))
    for name in (b"a", b"b"):
        rig.write((name,), b"x")
    for call in (
        lambda: rig.make((b"c",)),
        lambda: rig.mkdir((b"c",)),
        lambda: rig.link((b"a",), (b"c",)),
    ):
        with pytest.raises(LimitError, match="more than 3 entries"):
            call()
    rig.link((b"a",), (b"d", b"link"))
    rig.make((b"d", b"x"))
    rig.make((b"d", b"y"))
    with pytest.raises(LimitError, match="more than 3 entries"):
        rig.rename((b"a",), (b"d", b"z"))
    rig.rename((b"a",), (b"d", b"x"))
    with pytest.raises(LimitError, match="more than 3 entries"):
        rig.make((b"d", b"z"))
    rig.make((b"c",))
    rig.rename((b"c",), (b"renamed",))
    rig.unlink((b"renamed",))
    rig.unlink((b"d", b"y"))
    rig.make((b"d", b"y"))
    rig.make((b"more",))
    rig.unlink((b"d", b"link"))
    with pytest.raises(LimitError, match="more than 5 inodes"):
        rig.make((b"d", b"w"))
    with pytest.raises(FileTooLargeError):
        rig.write((b"b",), b"x" * 1001)
    with pytest.raises(FileTooLargeError):
        rig.set((b"b",), size=1001)
    assert rig.read((b"b",)) == b"x"


def test_a_read_only_mount_refuses_every_change(new_rig: NewRig) -> None:
    writer = new_rig()
    writer.write((b"f",), b"x")
    writer.commit()
    rig = new_rig(read_only=True)
    ino = rig.get((b"f",)).ino
    calls = [
        lambda: rig.make((b"g",)),
        lambda: rig.unlink((b"f",)),
        lambda: rig.rename((b"f",), (b"g",)),
        lambda: rig.link((b"f",), (b"g",)),
        lambda: rig.open((b"f",), os.O_RDWR),
        lambda: rig.open((b"f",), os.O_TRUNC),
        lambda: rig.set((b"f",), mode=0),
        lambda: rig.files.set_xattr(ino, b"user.a", b""),
        lambda: rig.files.remove_xattr(ino, b"user.a"),
    ]
    for call in calls:
        with pytest.raises(ReadOnlyMountError):
            call()
    assert rig.read((b"f",)) == b"x"


def test_nothing_is_made_in_a_directory_that_is_gone(rig: Rig) -> None:
    ino = rig.mkdir((b"d",)).ino
    rig.rmdir((b"d",))
    with pytest.raises(NoEntryError):
        rig.settle(rig.names.make, ino, b"f", FileKind.FILE, 0o644, (0, 0))


def test_a_closed_handle_is_stale(rig: Rig) -> None:
    rig.write((b"f",), b"x")
    handle = rig.open((b"f",))
    rig.files.release(handle)
    with pytest.raises(StaleHandleError):
        rig.read_handle(handle)


def test_a_missing_object_is_an_error_and_changes_nothing(
    new_rig: NewRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = new_rig()
    writer.mkdir((b"d",))
    writer.write((b"d", b"f"), b"x" * 100_000)
    writer.commit()
    rig = new_rig(cold=True)
    rig.get((b"d",))

    def lose(oid: object) -> bytes:
        raise MissingObjectError("gone")

    monkeypatch.setattr(rig.state.view, "fetch", lose)
    for call in (lambda: rig.list((b"d",)), lambda: rig.mkdir((b"d", b"new"))):
        with pytest.raises(MissingObjectError):
            call()
    monkeypatch.undo()
    monkeypatch.setattr("volfs.model.tree.PAGE_MASK", 3)
    assert rig.list((b"d",)) == [b"f"]
    assert rig.read((b"d", b"f")) == b"x" * 100_000


def test_a_sub_path_is_the_root_of_its_mount(
    new_rig: NewRig, store: Store, volume: VolumeRecord
) -> None:
    whole = new_rig()
    whole.mkdir((b"sub",))
    whole.write((b"outside",), b"x")
    whole.commit()
    part = new_rig(sub_path=(b"sub",))
    part.write((b"inside",), b"y")
    assert part.list() == [b"inside"]
    part.commit()
    whole.reload()
    assert whole.list() == [b"outside", b"sub"]
    assert whole.read((b"sub", b"inside")) == b"y"
