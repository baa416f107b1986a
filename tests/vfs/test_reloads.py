"""Reloads of mounts without a kernel: what went wrong once, or nearly; each case small."""

from __future__ import annotations

import os

import pytest

from tests.harness.rig import Rig, check_books, list_tree
from volfs.errors import (
    StaleInodeError,
)
from volfs.vfs.checkout_plan import KernelNotice


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
