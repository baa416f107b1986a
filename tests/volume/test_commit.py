"""Publishing: merges, lost races, refusals, and what a commit says of itself."""

from __future__ import annotations

from typing import cast

import pytest

from tests.volume.shortcuts import (
    Interloper,
    LostAnswer,
    head_snapshot,
    list_paths,
    publish_files,
    put_bytes,
    read_file,
)
from volfs.errors import LimitError, OverriddenError, UserError
from volfs.model.manifest import MESSAGE_MAX
from volfs.model.merge import OverriddenChange
from volfs.model.profile import Profile
from volfs.store.contract.refs import Head, VolumeRecord
from volfs.store.contract.store import Store
from volfs.volume import edit as edit_module
from volfs.volume.commit import CommitNote
from volfs.volume.edit import Edit
from volfs.volume.history import load_manifest


def test_a_version_follows_its_parent_and_says_who_and_why(
    store: Store, volume: VolumeRecord
) -> None:
    before = store.refs.get_head(volume.id)
    note = CommitNote("first", author="me", auto=True)
    published = publish_files(store, volume, {"a": b"1"}, note)
    manifest = load_manifest(store.objects_of(volume.id), published.head.manifest)
    assert published.changed
    assert published.head == store.refs.get_head(volume.id)
    assert (manifest.version, manifest.parent) == (1, before.manifest)
    assert (manifest.message, manifest.author, manifest.auto) == ("first", "me", True)
    assert published.snapshot == head_snapshot(store, volume)


def test_nothing_changed_makes_no_version(store: Store, volume: VolumeRecord) -> None:
    with Edit(store, volume) as edit:
        published = edit.commit(CommitNote())
    assert not published.changed
    assert published.head.version == store.refs.get_head(volume.id).version == 0


@pytest.mark.parametrize("times", [1, 2])
def test_a_lost_race_keeps_both_changes(store: Store, volume: VolumeRecord, times: int) -> None:
    others = [{f"theirs{n}": b"theirs"} for n in range(times)]
    between = Interloper(store, *others)
    published = publish_files(cast(Store, between), volume, {"ours": b"ours" * 500})
    assert between.attempts == times + 1
    assert published.head.version == times + 1
    assert published.overridden == []
    assert list_paths(store, volume) == ["ours", *(f"theirs{n}" for n in range(times))]
    assert read_file(store, volume, "ours") == b"ours" * 500


class Behind(Interloper):
    """A store that guesses a head which others have left."""

    def __init__(self, store: Store, guess: Head) -> None:
        super().__init__(store)
        self.guess = guess

    def guess_head(self, volume_id: str) -> Head:
        return self.guess


def test_a_guess_that_is_behind_costs_one_swap(store: Store, volume: VolumeRecord) -> None:
    publish_files(store, volume, {"f": b"base", "g": b"base"})
    behind = Behind(store, store.refs.get_head(volume.id))
    with Edit(cast(Store, behind), volume) as edit:
        publish_files(store, volume, {"theirs": b"1", "g": b"theirs"})
        put_bytes(edit, "f", b"ours")
        put_bytes(edit, "g", b"ours")
        published = edit.commit(CommitNote())
        assert behind.attempts == 2
        assert published.head == store.refs.get_head(volume.id)
        assert [item.path for item in published.overridden] == [(b"g",)]
    assert list_paths(store, volume) == ["f", "g", "theirs"]
    # Nothing to publish: no swap would tell that the guess is wrong.
    with Edit(cast(Store, behind), volume) as edit:
        assert edit.commit(CommitNote()).head == store.refs.get_head(volume.id)


def test_one_file_is_won_whole_by_the_later_commit_and_reported(
    store: Store, volume: VolumeRecord
) -> None:
    publish_files(store, volume, {"d/f": b"base", "d/g": b"base"})
    between = Interloper(store, {"d/f": b"theirs", "d/g": None})
    published = publish_files(cast(Store, between), volume, {"d/f": b"ours"})
    assert published.overridden == [OverriddenChange((b"d", b"f"), "modified", "modified")]
    assert read_file(store, volume, "d/f") == b"ours"
    assert list_paths(store, volume) == ["d/", "d/f"]


def test_local_is_our_own_tree_without_theirs(store: Store, volume: VolumeRecord) -> None:
    between = Interloper(store, {"theirs": b"1"})
    published = publish_files(cast(Store, between), volume, {"ours": b"1"})
    assert published.local.totals.files == 1
    assert published.snapshot.totals.files == 2


def test_fail_on_conflict_publishes_nothing_and_can_be_tried_again(
    store: Store, volume: VolumeRecord
) -> None:
    publish_files(store, volume, {"f": b"base"})
    between = cast(Store, Interloper(store, {"f": b"theirs"}))
    with Edit(between, volume) as edit:
        put_bytes(edit, "f", b"ours")
        with pytest.raises(OverriddenError, match="f"):
            edit.commit(CommitNote(on_conflict="fail"))
        assert read_file(store, volume, "f") == b"theirs"
        assert edit.commit(CommitNote()).overridden
    assert read_file(store, volume, "f") == b"ours"


def test_fail_on_conflict_lets_distinct_files_pass(store: Store, volume: VolumeRecord) -> None:
    between = cast(Store, Interloper(store, {"theirs": b"1"}))
    publish_files(between, volume, {"ours": b"2"}, CommitNote(on_conflict="fail"))
    assert list_paths(store, volume) == ["ours", "theirs"]


def test_a_swap_that_lost_against_itself_has_won(store: Store, volume: VolumeRecord) -> None:
    lost = LostAnswer(store)
    published = publish_files(cast(Store, lost), volume, {"f": b"1"})
    assert lost.attempts == 1
    assert published.changed
    assert published.head == store.refs.get_head(volume.id)
    assert published.head.version == 1


def test_a_directory_that_they_removed_comes_back_with_our_file(
    store: Store, volume: VolumeRecord
) -> None:
    publish_files(store, volume, {"d/old": b"1"})
    between = cast(Store, Interloper(store, {"d": None}))
    publish_files(between, volume, {"d/new": b"2"})
    assert list_paths(store, volume) == ["d/", "d/new"]


def test_a_merge_that_breaks_a_limit_names_the_directory_and_loses_nothing(
    store: Store, volume: VolumeRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = Profile(2, None, max_entries=3)
    monkeypatch.setattr(edit_module, "get_profile", lambda number: small)
    monkeypatch.setattr("volfs.volume.commit.get_profile", lambda number: small)
    between = cast(Store, Interloper(store, {"d/1": b"", "d/2": b""}))
    with pytest.raises(LimitError, match="directory d"):
        publish_files(between, volume, {"d/3": b"", "d/4": b""})
    assert list_paths(store, volume) == ["d/", "d/1", "d/2"]


def test_a_message_that_no_reader_would_take_is_refused(store: Store, volume: VolumeRecord) -> None:
    with pytest.raises(UserError, match="message"):
        publish_files(store, volume, {"f": b""}, CommitNote("x" * (MESSAGE_MAX + 1)))
    publish_files(store, volume, {"f": b""}, CommitNote("x" * MESSAGE_MAX, author="y" * 999))
    head = store.refs.get_head(volume.id)
    assert len(load_manifest(store.objects_of(volume.id), head.manifest).author) == 256


def test_a_message_of_bytes_that_are_no_text_can_be_stored(
    store: Store, volume: VolumeRecord
) -> None:
    publish_files(store, volume, {"f": b""}, CommitNote("a\udcffb"))
    manifest = load_manifest(store.objects_of(volume.id), store.refs.get_head(volume.id).manifest)
    assert manifest.message == "a\udcffb"
