"""Commits of mounts without a kernel: what went wrong once, or nearly; each case small."""

from __future__ import annotations

import pytest

from tests.harness.rig import Rig, check_books, list_tree, list_version
from volfs.errors import (
    OutOfSpaceError,
    OverriddenError,
)
from volfs.store.contract.refs import VolumeRecord
from volfs.store.contract.store import Store
from volfs.vfs.inode import File


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
