"""The log of a volume."""

from __future__ import annotations

import pytest

from tests.volume.shortcuts import publish_files
from volfs.errors import AlreadyExistsError, InvalidNameError, NotFoundError
from volfs.store.contract.refs import VolumeRecord
from volfs.store.contract.store import Store
from volfs.volume.commit import CommitNote
from volfs.volume.history import (
    create_tag,
    fold_automatic,
    get_version,
    iter_history,
    list_tags_by_version,
    to_local,
)


@pytest.fixture
def busy(store: Store, volume: VolumeRecord) -> VolumeRecord:
    """Versions 1 to 6; 2, 3, 4 and 6 automatic."""
    for number, auto in enumerate((False, True, True, True, False, True), start=1):
        note = CommitNote(f"m{number}", "me", auto)
        publish_files(store, volume, {f"d/{number}": b"12345"}, note)
    return volume


def test_newest_first_without_version_0(store: Store, busy: VolumeRecord) -> None:
    log = list(iter_history(store, busy))
    assert [info.version for info in log] == [6, 5, 4, 3, 2, 1]
    first = log[-1]
    assert first[2:8] == ("m1", "me", 1, 1, 5, False)
    assert (log[0].files, log[0].bytes, log[0].auto) == (6, 30, True)
    assert log[0].manifest == store.refs.get_head(busy.id).manifest


def test_automatic_ones_in_a_row_are_folded(store: Store, busy: VolumeRecord) -> None:
    folded = [
        (item.info.version, item.hidden) for item in fold_automatic(iter_history(store, busy))
    ]
    assert folded == [(6, 0), (5, 0), (4, 2), (1, 0)]


def test_a_new_volume_has_no_history(store: Store, volume: VolumeRecord) -> None:
    assert list(iter_history(store, volume)) == []
    assert list(fold_automatic([])) == []


def test_versions_are_named_by_number_or_head(store: Store, busy: VolumeRecord) -> None:
    assert get_version(store.refs, busy, "head") == store.refs.get_head(busy.id)
    assert [get_version(store.refs, busy, text).version for text in ("0", "3", "03")] == [0, 3, 3]
    for text in ("7", "-1", "x", "", "3.0", "٣", "9" * 30):
        with pytest.raises(NotFoundError, match="no version"):
            get_version(store.refs, busy, text)


def name(store: Store, volume: VolumeRecord, *texts: str) -> list[int]:
    return [get_version(store.refs, volume, text).version for text in texts]


def test_versions_are_named_by_tags(store: Store, busy: VolumeRecord) -> None:
    create_tag(store.refs, busy, "v1", get_version(store.refs, busy, "2"))
    create_tag(store.refs, busy, "4a", get_version(store.refs, busy, "head~2"))
    assert name(store, busy, "v1", "4a", "HEAD", "Head") == [2, 4, 6, 6]
    assert list_tags_by_version(store.refs, busy) == {2: ["v1"], 4: ["4a"]}


def test_versions_are_named_by_their_distance(store: Store, busy: VolumeRecord) -> None:
    create_tag(store.refs, busy, "v", get_version(store.refs, busy, "4"))
    assert name(store, busy, "~", "~1", "~0", "head~2", "HEAD~6") == [5, 5, 6, 4, 0]
    assert name(store, busy, "v~1", "3~3", "v~") == [3, 0, 3]
    for text in ("head~7", "0~1", "v~5", "~x", "~-1", "head~1~1", "none~1", "head~" + "9" * 30):
        with pytest.raises(NotFoundError, match="no version"):
            get_version(store.refs, busy, text)


def test_distances_count_what_is_there(store: Store, busy: VolumeRecord) -> None:
    store.refs.remove_versions(busy.id, [4, 5])
    assert name(store, busy, "~1", "~2", "6~3") == [3, 2, 1]


@pytest.mark.parametrize("tag", ["7", "007", "head", "HEAD", "", "a b", "a~1", "x" * 65, "\u00e9"])
def test_what_is_no_tag(store: Store, busy: VolumeRecord, tag: str) -> None:
    with pytest.raises(InvalidNameError, match="invalid tag"):
        create_tag(store.refs, busy, tag, store.refs.get_head(busy.id))


def test_a_tag_is_moved_only_on_purpose(store: Store, busy: VolumeRecord) -> None:
    one, two = (get_version(store.refs, busy, text) for text in ("1", "2"))
    create_tag(store.refs, busy, "v", one)
    with pytest.raises(AlreadyExistsError):
        create_tag(store.refs, busy, "v", two)
    create_tag(store.refs, busy, "v", two, move=True)
    assert get_version(store.refs, busy, "v") == two


def test_tagged_versions_are_not_folded(store: Store, busy: VolumeRecord) -> None:
    folded = fold_automatic(iter_history(store, busy), {3})
    assert [(item.info.version, item.hidden) for item in folded] == [
        (6, 0),
        (5, 0),
        (4, 0),
        (3, 1),
        (1, 0),
    ]


def test_every_time_that_can_be_stored_can_be_shown() -> None:
    assert [to_local(ns).year for ns in (-(1 << 63), 0, (1 << 63) - 1)] == [1677, 1970, 2262]
