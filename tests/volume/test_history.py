"""The log of a volume."""

from __future__ import annotations

import pytest

from tests.volume.shortcuts import publish_files
from volfs.errors import NotFoundError
from volfs.store.base import Store, VolumeRecord
from volfs.volume.commit import CommitNote
from volfs.volume.history import fold_automatic, get_version, iter_history


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
    assert log[0].manifest == store.get_head(busy.id).manifest


def test_automatic_ones_in_a_row_are_folded(store: Store, busy: VolumeRecord) -> None:
    folded = [
        (item.info.version, item.hidden) for item in fold_automatic(iter_history(store, busy))
    ]
    assert folded == [(6, 0), (5, 0), (4, 2), (1, 0)]


def test_a_new_volume_has_no_history(store: Store, volume: VolumeRecord) -> None:
    assert list(iter_history(store, volume)) == []
    assert list(fold_automatic([])) == []


def test_versions_are_named_by_number_or_head(store: Store, busy: VolumeRecord) -> None:
    assert get_version(store, busy, "head") == store.get_head(busy.id)
    assert [get_version(store, busy, text).version for text in ("0", "3", "03")] == [0, 3, 3]
    for text in ("7", "-1", "x", "", "3.0", "٣", "9" * 30):
        with pytest.raises(NotFoundError, match="no version"):
            get_version(store, busy, text)
