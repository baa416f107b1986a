"""What cannot be read is never written. The limits at decode are in test_tree.py."""

from __future__ import annotations

import pytest

from tests.harness.memory import MemoryObjects
from tests.model.builders import directory_entry, file_entry
from volfs.errors import DamagedObjectError
from volfs.model.diff import without_content
from volfs.model.entry import Entry, Totals, check_storable, replace, same_but_times, with_tree
from volfs.model.objects import Kind, Oid, compute_oid
from volfs.model.tree import build_tree

OID = Oid(b"\1" * 32)


@pytest.mark.parametrize(
    "entry",
    [
        file_entry(b"f", mtime_ns=1 << 63),
        file_entry(b"f", ctime_ns=-(1 << 63) - 1),
        file_entry(b"f", mtime_ns=1 << 70),
        file_entry(b"f", b"text", group=1),
        file_entry(b".."),
        Entry(b"f", 1, 0o100644),
        Entry(b"f", 1, size=5),
        Entry(b"f", 1, xattrs=((b"b", b""), (b"a", b""))),
        replace(directory_entry(b"d"), content_bytes=1 << 63),
    ],
)
def test_what_no_reader_would_accept_is_not_written(entry: Entry) -> None:
    store = MemoryObjects()
    with pytest.raises(DamagedObjectError):
        check_storable(entry)
    with pytest.raises(DamagedObjectError):
        build_tree(store.put, [entry])
    assert store.objects == {}


def test_times_alone() -> None:
    entry = file_entry(b"f", b"1")
    assert same_but_times(entry, replace(entry, mtime_ns=5, ctime_ns=6))
    assert not same_but_times(entry, replace(entry, mode=0))


def test_a_directorys_tree_comes_and_goes_with_its_totals() -> None:
    bare = directory_entry(b"d", 0o700, 5)
    full = with_tree(bare, OID, Totals(1, 2, 3, 4, 2, 1))
    assert (full.tree, full.totals) == (OID, Totals(1, 3, 3, 1, 2, 1))
    assert without_content(full) == bare


def test_the_kind_is_part_of_the_id() -> None:
    ids = {compute_oid(kind, b"same") for kind in Kind}
    assert len(ids) == len(Kind)
    assert all(len(oid) == 32 for oid in ids)
