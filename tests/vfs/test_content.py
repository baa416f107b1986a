"""Reading and writing files: what goes wrong next door stays there."""

from __future__ import annotations

import random

import pytest

from tests.harness.rig import Rig, list_version
from tests.vfs.test_records import damaged
from volfs.errors import MissingObjectError, StoreUnavailableError
from volfs.model.content import FANOUT
from volfs.model.extents import BASE
from volfs.model.objects import Oid
from volfs.store.contract.refs import VolumeRecord
from volfs.store.contract.store import Store
from volfs.vfs.view import FETCHED_MAX


def test_reading_ahead_into_damage_is_no_error(rig: Rig, volume: VolumeRecord) -> None:
    """The bytes that were asked for are there; whoever asks for the others is told."""
    window = 1 << volume.chunk_bits
    data = random.Random(5).randbytes((FANOUT + 8) * window)
    rig.write((b"f",), data)
    rig.commit()
    lists = rig.state.view.reader.get_list(Oid(rig.get((b"f",)).entry.root)).children
    handle = rig.open((b"f",))
    with damaged(rig.state.view, Oid(lists[1])):
        for number in range(FANOUT):
            at = number * window
            assert rig.read_handle(handle, at, window) == data[at : at + window]
        with pytest.raises(MissingObjectError):
            rig.read_handle(handle, FANOUT * window, window)
    rig.files.release(handle)


def test_a_write_that_failed_leaves_the_file_as_it_was(
    rig: Rig, other: Rig, store: Store, volume: VolumeRecord
) -> None:
    """Not half made, so that a commit leaves out a file that a reload has bound again."""
    rig.mkdir((b"d",))
    rig.commit()
    other.reload()
    other.write((b"d", b"f"), b"x" * 5000)
    other.commit()
    rig.rmdir((b"d",))
    rig.reload()
    handle = rig.open((b"d", b"f"))
    place = rig.scratch.directory
    place.rename(place.with_name("away"))
    with pytest.raises(StoreUnavailableError):
        rig.write_handle(handle, 0, b"y")
    place.with_name("away").rename(place)
    rig.files.release(handle)
    rig.commit()
    assert list_version(store, volume)[b"d", b"f"][-1] == b"x" * 5000


def test_a_removed_file_keeps_a_path_for_messages(rig: Rig) -> None:
    """Otherwise the log tells of a request for it as of one for the root."""
    rig.mkdir((b"d",))
    rig.write((b"d", b"f"), b"x")
    file = rig.get((b"d", b"f"))
    assert (rig.get(()).path, file.path) == ((), (b"d", b"f"))
    handle = rig.open((b"d", b"f"))
    rig.unlink((b"d", b"f"))
    rig.rmdir((b"d",))
    assert file.path == (b"f",)
    assert rig.files.open_paths() == [b"f"]
    rig.files.release(handle)


def test_objects_that_were_fetched_for_nothing_are_let_go(rig: Rig) -> None:
    """Two operations missed the same one, or the one that asked for it failed."""
    view = rig.state.view
    for number in range(3 * FETCHED_MAX):
        view.keep(Oid(b"%032d" % number), b"data")
    assert len(view._fetched) == FETCHED_MAX
    view.keep(Oid(b"%032d" % 1000), b"data")
    assert view._load_ready(Oid(b"%032d" % 1000)) == b"data"


def test_a_sparse_file_written_during_its_commit_costs_what_changes(
    rig: Rig, store: Store, volume: VolumeRecord
) -> None:
    """Its holes are not looked at one window after the other: here there are four million."""
    at = 1 << 38
    rig.write((b"f",), b"x" * 5000, at)
    rig.commit(meanwhile=lambda: rig.write((b"f",), b"y", at + 10))
    extents = rig.get((b"f",)).extents  # type: ignore[attr-defined]
    assert [(piece.start, piece.end) for piece in extents.pieces if piece.source == BASE] == [
        (0, at),
        (at + 4096, at + 5000),
    ]
    rig.commit()
    handle = rig.open((b"f",))
    assert rig.read_handle(handle, at - 1, 20) == b"\0" + b"x" * 10 + b"y" + b"x" * 8
    rig.files.release(handle)
