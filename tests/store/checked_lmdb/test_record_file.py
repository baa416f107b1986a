"""A file of records: what was put is what is read, and damage is told at each opening."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from volfs.errors import DamagedObjectError
from volfs.store.checked_lmdb.pages import CHECKED, DATA, SMALL
from volfs.store.checked_lmdb.record_file import RecordFile, RowChange

MAP_SIZE = 1 << 30
KEYS = st.binary(min_size=1, max_size=3)
RECORDS = st.lists(st.tuples(KEYS, st.none() | st.binary(max_size=5000)), max_size=8)
RANGES = st.lists(st.tuples(KEYS, KEYS), max_size=3)


def open_file(place: Path, *, readonly: bool = False) -> closing[RecordFile]:
    return closing(RecordFile(place, "notes", map_size=MAP_SIZE, readonly=readonly))


@settings(max_examples=40, deadline=None)
@given(writes=st.lists(st.tuples(RECORDS, RANGES, st.booleans()), max_size=6))
def test_it_has_what_was_written(
    writes: list[tuple[list[RowChange], list[tuple[bytes, bytes]], bool]],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    place = tmp_path_factory.mktemp("records") / "file"
    expected: dict[bytes, bytes] = {}
    for records, ranges, is_cleared in writes:
        with open_file(place) as file:
            if is_cleared:
                file.clear()
                expected.clear()
            file.write(records, ranges)
        for first, last in ranges:
            expected = {key: row for key, row in expected.items() if not first <= key <= last}
        for key, row in records:
            expected.pop(key, None)
            if row is not None:
                expected[key] = row
        with open_file(place, readonly=True) as file:
            assert file.list_all() == sorted(expected.items())


def test_a_row_that_was_changed_is_told(tmp_path: Path) -> None:
    with open_file(tmp_path) as file:
        file.write([(b"a", b"one row"), (b"b", b"another row")])
    data = (tmp_path / DATA).read_bytes()
    (tmp_path / DATA).write_bytes(data.replace(b"another row", b"another cow"))
    with open_file(tmp_path) as file, pytest.raises(DamagedObjectError, match="row b'b'"):
        file.list_all()


def test_a_large_file_is_looked_at_each_time(tmp_path: Path) -> None:
    """Also in a boot in which it was found sound: it is read whole anyway."""
    with open_file(tmp_path) as file:
        file.write([(b"%06d" % n, bytes(100)) for n in range(40_000)])
    assert (tmp_path / DATA).stat().st_size > SMALL
    (tmp_path / CHECKED).write_bytes(Path("/proc/sys/kernel/random/boot_id").read_bytes())
    with open_file(tmp_path) as file:
        assert len(file.list_all()) == 40_000
    with (tmp_path / DATA).open("r+b") as data:
        data.seek(SMALL // 2)
        data.write(b"\xff" * 4096)
    with pytest.raises(DamagedObjectError, match=r"notes .* is damaged"):
        RecordFile(tmp_path, "notes", map_size=MAP_SIZE)
