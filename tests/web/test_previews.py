"""Previews: whatever a file is, something bounded is shown of it; paths are bytes."""

from __future__ import annotations

import io
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from volfs.errors import InvalidError
from volfs.model.entry import Entry, FileKind
from volfs.web.paths_in_urls import decode_path, encode_path, find_raw
from volfs.web.previews import Preview, make_preview
from volfs.web.shown_text import decode_text, diff_lines, make_visible, split_lines

NAME = st.binary(min_size=1, max_size=40).filter(
    lambda name: not {0, 47} & set(name) and name not in (b".", b"..")
)


def preview(data: bytes, name: bytes = b"f", size: int | None = None) -> Preview:
    entry = Entry(name, FileKind.FILE, size=len(data) if size is None else size)
    return make_preview(name, entry, lambda offset, length: data[offset : offset + length])


@given(st.lists(NAME, min_size=1, max_size=4).map(tuple))
def test_a_path_comes_back_from_its_address(path: tuple[bytes, ...]) -> None:
    encoded = encode_path(path)
    assert encoded.isascii()
    assert decode_path(find_raw(f"skip=1&path={encoded}&x=2".encode(), "path")) == path


@pytest.mark.parametrize("path", ["..", "a/../b", "%00", "a/%2e%2e"])
def test_what_is_no_path(path: str) -> None:
    with pytest.raises(InvalidError):
        decode_path(path)


@given(st.text())
def test_nothing_is_invisible(text: str) -> None:
    assert all(character.isprintable() or character in "\t\n" for character in make_visible(text))
    assert make_visible("a\tb\n\u3164\xa0\udcff") == "a\tb\n\\u3164 \\xff"


@given(st.text(), st.integers(0, 8))
def test_cut_text_is_text_and_other_bytes_are_none(text: str, cut: int) -> None:
    data = text.replace("\0", "").encode("utf-8", "replace")
    data = data[: max(0, len(data) - cut)]
    assert decode_text(data, is_cut=True) is not None
    assert decode_text(b"\xff\xfe" + data + b"more text", is_cut=True) is None


@given(
    st.lists(st.text("ab", max_size=3), max_size=30),
    st.lists(st.text("ab", max_size=3), max_size=30),
)
def test_the_lines_of_a_difference_make_both_sides(old: list[str], new: list[str]) -> None:
    lines = diff_lines(old, new)
    assert bool(lines) == (old != new)
    assert sum(line.sign == "-" for line in lines) - sum(line.sign == "+" for line in lines) == (
        len(old) - len(new)
    )


@given(st.binary(max_size=300), st.sampled_from([b"f", b"f.csv", b"f.tsv", b"f.parquet"]))
def test_any_bytes_have_a_preview(data: bytes, name: bytes) -> None:
    if not data.startswith(b"PAR1"):
        assert preview(data, name) != Preview()


def test_long_lines_and_files_are_cut() -> None:
    shown = preview(b"x" * 300_000)
    assert shown.is_cut
    assert shown.lines is not None
    assert len(shown.lines[0]) < 3000
    assert split_lines("a\r\nb\n") == ["a", "b"]


def test_rows_and_schema_of_a_table() -> None:
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    file = io.BytesIO()
    table = arrow.table({"id": range(100), "word": ["<b>"] * 100, "long": ["y" * 999] * 100})
    parquet.write_table(table, file)
    found = preview(file.getvalue(), b"t.parquet").table
    assert found is not None
    assert found.fields == [["id", "int64"], ["word", "string"], ["long", "string"]]
    assert (len(found.rows), found.rows_total, found.columns) == (50, 100, 3)
    assert found.rows[1][:2] == ["1", "<b>"]
    assert len(found.rows[0][2]) < 200


def test_a_table_that_asks_for_more_than_there_is_harms_nobody() -> None:
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    bomb = io.BytesIO()
    once = arrow.array(["z" * (64 << 20)])
    rows = arrow.DictionaryArray.from_arrays(arrow.array([0] * 100, arrow.int32()), once)
    options = {"compression": "zstd", "dictionary_pagesize_limit": 1 << 30, "store_schema": False}
    parquet.write_table(arrow.table({"x": rows}), bomb, **options)
    assert len(bomb.getvalue()) < 1 << 20, "it is small, and 3 GiB for the first 50 rows"
    shown = preview(bomb.getvalue(), b"bomb.parquet")
    assert shown.table is not None or shown.note
    if shown.table:
        assert all(len(cell) < 200 for row in shown.table.rows for cell in row)
    broken = b"PAR1" + bytes(100) + struct.pack("<I", 0x7FFFFFFF) + b"PAR1"
    assert "cannot be read" in preview(broken, b"broken.parquet").note
    assert preview(broken, b"sparse.parquet", size=1 << 40).note
