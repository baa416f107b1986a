"""What went wrong once, or nearly: each case small, in the words of the rooms it is about."""

from __future__ import annotations

import os

import pytest

from tests.harness.rig import Rig, check_books, list_tree, list_version
from tests.vfs.conftest import NewRig
from volfs.errors import (
    FileTooLargeError,
    LimitError,
    MissingObjectError,
    NoEntryError,
    OutOfSpaceError,
    OverriddenError,
    ReadOnlyMountError,
    StaleHandleError,
    StaleInodeError,
)
from volfs.model.entry import FileKind
from volfs.model.profile import Profile
from volfs.store.contract.refs import VolumeRecord
from volfs.store.contract.store import Store
from volfs.vfs.checkout import KernelNotice
from volfs.vfs.inode import File

# --- commit -------------------------------------------------------------------


def test_a_link_made_while_a_commit_is_under_way(rig: Rig) -> None:
    """The name it was made of says another thing now than what was sealed."""
    rig.write((b"f",), b"one")
    rig.commit(meanwhile=lambda: rig.link((b"f",), (b"g",)))
    rig.write((b"g",), b"two")
    rig.commit()
    rig.forget()
    assert rig.read((b"f",)) == rig.read((b"g",)) == b"two"
    assert rig.get((b"f",)) is rig.get((b"g",))


def test_the_same_change_on_two_mounts(store: Store, rig: Rig, other: Rig) -> None:
    """The second commit adds nothing to the head, but its own tree must be in the store."""
    rig.mkdir((b"d",))
    for name in (b"x", b"y"):
        rig.write((b"d", name), name)
    rig.commit()
    other.reload()
    other.unlink((b"d", b"x"))
    rig.unlink((b"d", b"x"))
    rig.commit()
    other.commit()
    other.forget()
    assert other.list((b"d",)) == [b"y"]
    assert other.read((b"d", b"y")) == b"y"


def test_a_clean_overlay_has_no_records(rig: Rig, other: Rig) -> None:
    """Else a death leaves an overlay with nothing in it, which stays at its version."""
    rig.mkdir((b"d",))
    for name in (b"x", b"y"):
        rig.write((b"d", name), name)
    rig.commit()
    other.reload()
    other.unlink((b"d", b"x"))
    rig.unlink((b"d", b"x"))
    rig.commit()
    other.reload()
    other.commit()
    other.flush()
    assert other.state.overlay.is_clean
    assert other.catalog is not None
    assert other.catalog.find_base() is None


def test_what_the_kernel_forgot_while_it_was_dirty_is_unloaded_by_the_commit(rig: Rig) -> None:
    for number in range(20):
        rig.write((b"%d" % number,), b"x")
    rig.forget()
    assert len(rig.state.inodes) == 21
    rig.commit()
    assert len(rig.state.inodes) == 1


def test_writes_after_the_seal_stay_on_top(rig: Rig, store: Store, volume: VolumeRecord) -> None:
    rig.write((b"f",), b"a" * 10_000)
    rig.commit(meanwhile=lambda: rig.write((b"f",), b"b" * 100, 5000))
    expected = b"a" * 5000 + b"b" * 100 + b"a" * 4900
    assert list_version(store, volume)[b"f",][-1] == b"a" * 10_000
    assert rig.read((b"f",)) == expected
    rig.commit()
    assert list_version(store, volume)[b"f",][-1] == expected


def test_a_name_removed_after_the_seal_stays_removed(
    rig: Rig, store: Store, volume: VolumeRecord
) -> None:
    rig.write((b"f",), b"x")
    rig.commit(meanwhile=lambda: rig.unlink((b"f",)))
    assert rig.list() == []
    rig.commit()
    assert list(list_version(store, volume)) == [()]


def test_a_failed_commit_changes_nothing(rig: Rig, store: Store, volume: VolumeRecord) -> None:
    rig.mkdir((b"d",))
    rig.write((b"d", b"f"), b"x" * 5000)
    before = list_tree(rig)

    def fail() -> None:
        raise OutOfSpaceError("no room")

    for _ in range(2):
        with pytest.raises(OutOfSpaceError):
            rig.commit(meanwhile=fail)
    assert list_tree(rig) == before
    assert rig.commit().changed
    assert list_version(store, volume) == before


def test_a_refused_commit_changes_nothing(rig: Rig, other: Rig) -> None:
    rig.write((b"f",), b"ours")
    other.write((b"f",), b"theirs")
    rig.commit()
    with pytest.raises(OverriddenError):
        other.commit(on_conflict="fail")
    assert other.read((b"f",)) == b"theirs"
    assert [item.path for item in other.commit().overridden] == [(b"f",)]


def test_an_open_file_that_was_removed_keeps_its_bytes_over_commits(rig: Rig) -> None:
    rig.write((b"f",), b"kept" * 1000)
    handle = rig.open((b"f",))
    rig.unlink((b"f",))
    rig.commit()
    rig.write_handle(handle, 2, b"XX")
    rig.commit()
    assert rig.read_handle(handle) == b"keXX" + b"kept" * 999
    rig.files.release(handle)
    rig.forget()
    rig.commit()
    rig.write((b"g",), b"1")
    rig.commit()
    assert list(rig.scratch.directory.iterdir()) == []


def test_usage_after_a_directory_of_hard_links_was_removed(rig: Rig) -> None:
    """Counted anew, too: the view's record of the group says nothing of where its names are."""
    rig.mkdir((b"d",))
    rig.mkdir((b"moved",))
    rig.write((b"f",), b"x" * 1000)
    rig.link((b"f",), (b"d", b"g"))
    rig.link((b"f",), (b"moved", b"h"))
    rig.commit()
    rig.unlink((b"f",))
    rig.rename((b"moved",), (b"there",))
    rig.unlink((b"d", b"g"))
    rig.rmdir((b"d",))
    check_books(rig)
    assert (rig.state.usage.inodes, rig.state.usage.data) == (2, 1000)
    rig.unlink((b"there", b"h"))
    rig.rmdir((b"there",))
    check_books(rig)
    assert (rig.state.usage.inodes, rig.state.usage.data) == (0, 0)


def test_a_sparse_file_is_clean_after_its_commit(rig: Rig) -> None:
    rig.write((b"f",), b"x", 5000)
    rig.commit()
    file = rig.get((b"f",))
    assert isinstance(file, File)
    assert file.extents is None
    assert rig.read((b"f",)) == bytes(5000) + b"x"


# --- reload -------------------------------------------------------------------


def test_an_inode_left_behind_is_stale_until_it_is_forgotten(rig: Rig, other: Rig) -> None:
    rig.write((b"f",), b"old")
    rig.commit()
    other.reload()
    ino = other.get((b"f",)).ino
    rig.write((b"f",), b"new")
    rig.commit()
    other.reload()
    with pytest.raises(StaleInodeError):
        other.state.get(ino)
    with pytest.raises(StaleInodeError):
        other.settle(other.files.open, ino, os.O_RDONLY)
    assert other.get((b"f",)).ino != ino
    assert other.read((b"f",)) == b"new"
    other.forget()
    assert other.state.inodes.find(ino) is None


def test_the_kernel_is_told_what_changed_and_no_more(rig: Rig, other: Rig) -> None:
    for name in (b"same", b"changed", b"mode"):
        rig.write((name,), name)
    rig.commit()
    other.reload()
    numbers = {name: other.get((name,)).ino for name in (b"same", b"changed", b"mode")}
    other.notices.clear()
    rig.write((b"changed",), b"new")
    rig.set((b"mode",), mode=0o600)
    rig.write((b"new",), b"new")
    rig.commit()
    other.reload()
    told = {(1, None), (1, b"changed"), (1, b"new"), (numbers[b"mode"], None)}
    assert set(other.notices) == {KernelNotice(*each) for each in told}


def test_a_directory_that_both_made_has_what_both_made(rig: Rig, other: Rig) -> None:
    for each, name in ((rig, b"one"), (other, b"two")):
        each.mkdir((b"d",))
        each.mkdir((b"d", b"deep"))
        each.write((b"d", b"deep", name), name)
        each.write((b"d", b"both"), name)
    rig.commit()
    other.reload()
    assert other.list((b"d", b"deep")) == [b"one", b"two"]
    assert other.read((b"d", b"both")) == b"two"
    other.commit()
    rig.reload()
    assert list_tree(rig) == list_tree(other)


def test_a_changed_file_that_others_removed_is_still_listed(rig: Rig, other: Rig) -> None:
    rig.mkdir((b"d",))
    rig.write((b"d", b"f"), b"old")
    rig.write((b"d", b"stays"), b"x")
    rig.commit()
    other.reload()
    other.write((b"d", b"f"), b"new")
    rig.unlink((b"d", b"f"))
    rig.commit()
    other.reload()
    assert other.list((b"d",)) == [b"f", b"stays"]
    assert other.read((b"d", b"f")) == b"new"


def test_a_changed_file_with_links_that_others_removed_comes_back(rig: Rig, other: Rig) -> None:
    rig.write((b"a",), b"old")
    rig.link((b"a",), (b"b",))
    rig.commit()
    other.reload()
    other.write((b"a",), b"new")
    other.get((b"b",))
    rig.unlink((b"a",))
    rig.unlink((b"b",))
    rig.commit()
    other.reload()
    assert other.read((b"a",)) == b"new"
    other.commit()
    rig.reload()
    assert rig.read((b"a",)) == b"new"


def test_names_that_others_gave_a_file_that_we_removed(rig: Rig, other: Rig) -> None:
    rig.write((b"a",), b"content")
    rig.link((b"a",), (b"b",))
    rig.commit()
    other.reload()
    other.get((b"a",))
    other.unlink((b"a",))
    other.unlink((b"b",))
    rig.link((b"a",), (b"c",))
    rig.commit()
    other.reload()
    assert other.list() == [b"c"]
    assert other.read((b"c",)) == b"content"
    other.write((b"c",), b"CONTENT")
    other.commit()
    rig.reload()
    assert rig.list() == [b"c"]
    assert rig.read((b"c",)) == b"CONTENT"


def test_attributes_that_others_gave_a_directory_in_which_we_made_a_file(
    rig: Rig, other: Rig
) -> None:
    rig.mkdir((b"d",))
    rig.commit()
    other.reload()
    rig.set((b"d",), mode=0o700)
    rig.commit()
    other.write((b"d", b"f"), b"x")
    other.reload()
    assert other.get((b"d",)).entry.mode == 0o700
    other.commit()
    rig.reload()
    assert rig.get((b"d",)).entry.mode == 0o700


def test_usage_is_right_after_a_reload_onto_the_same_files(rig: Rig, other: Rig) -> None:
    rig.write((b"f",), b"x" * 10)
    rig.commit()
    other.reload()
    rig.write((b"f",), b"x" * 1000)
    rig.write((b"g",), b"x" * 1000)
    rig.commit()
    other.write((b"f",), b"y" * 500)
    other.write((b"g",), b"y" * 5)
    other.reload()
    check_books(other)
    assert (other.state.usage.inodes, other.state.usage.data) == (2, 505)


def test_what_others_made_in_a_directory_that_we_moved_away(rig: Rig, other: Rig) -> None:
    rig.mkdir((b"d",))
    rig.write((b"d", b"old"), b"x")
    rig.commit()
    other.reload()
    other.rename((b"d",), (b"moved",))
    rig.write((b"d", b"new"), b"x")
    rig.commit()
    other.reload()
    assert other.list() == [b"d", b"moved"]
    assert other.list((b"d",)) == [b"new"]
    check_books(other)


def test_what_others_made_below_a_directory_that_we_removed(rig: Rig, other: Rig) -> None:
    """Deep down, hard-linked to a file elsewhere; what was there before stays removed."""
    deep = (b"d", b"e")
    for path in ((b"d",), deep, (b"d", b"gone")):
        rig.mkdir(path)
    rig.write((*deep, b"old"), b"x")
    rig.write((b"outside",), b"content")
    rig.commit()
    other.reload()
    other.unlink((*deep, b"old"))
    for path in (deep, (b"d", b"gone"), (b"d",)):
        other.rmdir(path)
    rig.mkdir((*deep, b"made"))
    rig.write((*deep, b"made", b"f"), b"new")
    rig.link((b"outside",), (*deep, b"link"))
    rig.write((*deep, b"old"), b"changed")
    rig.commit()
    assert other.find((b"d",)) is None
    other.reload()
    for again in range(2):
        assert other.list((b"d",)) == [b"e"]
        assert other.list(deep) == [b"link", b"made"]
        assert other.read((*deep, b"made", b"f")) == b"new"
        assert other.get((*deep, b"link")) is other.get((b"outside",))
        assert other.get(deep).entry.subdirectories == 1
        check_books(other)
        if not again:
            other.commit()
    rig.reload()
    assert list_tree(rig) == list_tree(other)


def test_a_directory_that_we_made_again_and_others_removed(rig: Rig, other: Rig) -> None:
    """It is empty, and in its place there was another: it is ours all the same."""
    rig.mkdir((b"d",))
    rig.write((b"d", b"old"), b"x")
    rig.commit()
    other.reload()
    other.unlink((b"d", b"old"))
    other.rmdir((b"d",))
    other.mkdir((b"d",))
    rig.unlink((b"d", b"old"))
    rig.rmdir((b"d",))
    rig.commit()
    other.reload()
    assert other.list() == [b"d"]
    other.commit()
    rig.reload()
    assert list_tree(rig) == list_tree(other)


def test_a_directory_that_we_put_in_the_place_of_one_that_others_removed(
    rig: Rig, other: Rig
) -> None:
    """What is in both is what they removed; a reload and a commit alone agree on that."""
    rig.mkdir((b"c",))
    rig.mkdir((b"d",))
    rig.write((b"c", b"same"), b"x")
    rig.link((b"c", b"same"), (b"d", b"same"))
    rig.write((b"c", b"own"), b"x")
    rig.commit()
    other.reload()
    other.exchange((b"c",), (b"d",))
    rig.rename((b"d",), (b"gone",))
    rig.commit()
    other.reload()
    assert other.list((b"d",)) == [b"own"]
    check_books(other)
    other.commit()
    rig.reload()
    assert list_tree(rig) == list_tree(other)


def test_a_name_of_theirs_that_was_ours_for_the_time_of_a_commit(rig: Rig, other: Rig) -> None:
    """Made and removed while a commit was under way, it leaves no removal behind."""

    def make_and_remove() -> None:
        rig.write((b"tmp",), b"ours")
        rig.unlink((b"tmp",))

    rig.write((b"f",), b"x")
    rig.commit(meanwhile=make_and_remove)
    other.write((b"tmp",), b"theirs")
    other.commit()
    rig.reload()
    assert rig.read((b"tmp",)) == b"theirs"
    rig.commit()
    other.reload()
    assert other.read((b"tmp",)) == b"theirs"


# --- death and return ------------------------------------------------------------


def test_a_file_whose_known_name_is_gone_comes_back_under_the_other(new_rig: NewRig) -> None:
    """Of a hard-linked file only the name that was removed was loaded."""
    rig = new_rig()
    rig.mkdir((b"d",))
    rig.write((b"d", b"a"), b"x")
    rig.link((b"d", b"a"), (b"d", b"b"))
    rig.commit()
    rig.forget()
    rig.unlink((b"d", b"a"))
    rig.flush()
    rig = new_rig(again=rig)
    assert rig.find((b"a",)) is None
    assert rig.list() == [b"d"]
    assert rig.read((b"d", b"b")) == b"x"
    assert rig.get((b"d", b"b")).entry.links == 1
    rig.commit()


def test_a_daemon_that_died_clean_begins_with_the_newest_version(new_rig: NewRig) -> None:
    rig, other = new_rig(), new_rig()
    other.write((b"f",), b"1")
    other.commit()
    rig.write((b"g",), b"1")
    rig.commit()
    assert rig.list() == [b"g"]
    rig = new_rig(again=rig)
    assert rig.list() == [b"f", b"g"]


def test_a_removed_directory_leaves_no_record(new_rig: NewRig) -> None:
    """What it had lost before stayed in the catalog, and a clean mount on its old version."""
    rig, other = new_rig(), new_rig()
    rig.mkdir((b"d",))
    rig.write((b"d", b"f"), b"x")
    rig.commit()
    rig.unlink((b"d", b"f"))
    rig.flush()
    rig.rmdir((b"d",))
    rig.commit()
    other.write((b"new",), b"x")
    other.commit()
    rig = new_rig(again=rig)
    assert rig.list() == [b"new"]


def test_unflushed_work_is_gone_and_the_rest_is_whole(new_rig: NewRig) -> None:
    rig = new_rig()
    rig.write((b"f",), b"x" * 10_000)
    rig.mkdir((b"d",))
    rig.flush()
    rig.write((b"d", b"g"), b"y")
    rig.rename((b"f",), (b"d", b"f"))
    rig = new_rig(again=rig)
    assert rig.list() == [b"d", b"f"]
    assert rig.list((b"d",)) == []
    assert rig.read((b"f",)) == b"x" * 10_000


def test_directories_deeper_than_python_calls_itself(new_rig: NewRig) -> None:
    rig, other = new_rig(), new_rig()
    here = 1
    for _ in range(1500):
        here = rig.names.make(here, b"d", FileKind.DIRECTORY, 0o755, (0, 0)).ino
    rig.names.make(here, b"f", FileKind.FILE, 0o644, (0, 0))
    rig.flush()
    rig = new_rig(again=rig)
    rig.commit()
    other.reload()
    deep = (b"d",) * 1500
    for each in (rig, other):
        each.strict = False
        assert each.list(deep) == [b"f"]
    rig.unlink((*deep, b"f"))
    rig.commit()
    other.reload()
    assert other.list(deep) == []


# --- limits and refusals ---------------------------------------------------------


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
