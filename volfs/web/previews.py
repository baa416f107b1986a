"""What a page shows of a file: text, a picture, a table, or bytes. Bounded whatever the file is."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Callable
from io import StringIO
from typing import Any, NamedTuple

from volfs.model.entry import Entry
from volfs.model.objects import Buffer
from volfs.web.shown_text import decode_text, dump_bytes, make_visible, split_lines
from volfs.web.tables_read import CELL, COLUMNS, ROWS

TEXT_BYTES, TEXT_LINES = 256 << 10, 3000
DUMP_BYTES = 512
IMAGE_BYTES = 32 << 20
HEAD, TAIL = 48 << 20, 16 << 20
"""How much of the beginning and of the end of a Parquet file is read for its preview."""
PATIENCE = 20.0
"""Seconds for the process that reads a table."""
ReadRange = Callable[[int, int], Buffer]
"""Bytes of the file from an offset on, of a length."""

_IMAGES = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
)


class TablePreview(NamedTuple):
    """The schema and the first rows. ``why`` says why there are none, or not all columns."""

    fields: list[list[str]]
    """The name and the type of each column. The type is empty if it is not known."""
    rows: list[list[str]]
    rows_total: int | None
    columns: int
    why: str


class Preview(NamedTuple):
    """What is shown of a file: lines, a picture, a table or a dump. The others are None."""

    lines: list[str] | None = None
    is_cut: bool = False
    """Whether the file goes on after what is shown."""
    image: str | None = None
    """The media type of a picture."""
    table: TablePreview | None = None
    dump: list[str] | None = None
    note: str = ""


def find_image_type(head: bytes) -> str | None:
    """The media type of a picture that browsers draw from its bytes alone, as its first bytes
    tell; else None. SVG is not among them, because it can contain programs."""
    for magic, media_type in _IMAGES:
        if head.startswith(magic):
            return media_type
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    return "image/avif" if head[4:12] in (b"ftypavif", b"ftypavis") else None


def make_preview(name: bytes, entry: Entry, read: ReadRange) -> Preview:
    """The preview of a file. DataError; StoreError."""
    head = bytes(read(0, TEXT_BYTES))
    if not head:
        return Preview(note="The file is empty.")
    media_type = find_image_type(head)
    if media_type and entry.size <= IMAGE_BYTES:
        return Preview(image=media_type)
    if head[:4] == b"PAR1":
        return _preview_parquet(head, entry, read)
    is_cut = entry.size > len(head)
    text = decode_text(head, is_cut=is_cut)
    if text is None:
        return _preview_bytes(head, entry)
    if name.lower().endswith((b".csv", b".tsv")):
        table = _preview_csv(text, is_cut=is_cut, is_tabbed=name.lower().endswith(b".tsv"))
        if table is not None:
            return Preview(table=table)
    lines = split_lines(text)
    return Preview(lines[:TEXT_LINES], is_cut=is_cut or len(lines) > TEXT_LINES)


def _preview_bytes(head: bytes, entry: Entry, note: str = "") -> Preview:
    shown = dump_bytes(head[:DUMP_BYTES])
    return Preview(dump=shown, is_cut=entry.size > DUMP_BYTES, note=note)


# --- tables ------------------------------------------------------------------


def _preview_csv(text: str, *, is_cut: bool, is_tabbed: bool) -> TablePreview | None:
    """The table in a CSV file; None if it is none."""
    if is_cut:
        text = text[: text.rfind("\n") + 1] or text
    try:
        dialect: Any = csv.excel_tab if is_tabbed else _find_dialect(text)
        reader = csv.reader(StringIO(text, newline=""), dialect, strict=False)
        rows = [row for row, _ in zip(reader, range(ROWS + 1), strict=False)]
    except csv.Error:
        return None
    if not rows or len(rows[0]) < 2:
        return None
    widest = max(map(len, rows))
    names, *rest = [[_cut(cell) for cell in row[:COLUMNS]] for row in rows]
    fields = [[name, ""] for name in names]
    return TablePreview(fields, rest, None, widest, "")


def _find_dialect(text: str) -> Any:
    first = text[:4096]
    try:
        return csv.Sniffer().sniff(first.split("\n", 1)[0][:1000], delimiters=",;\t|")
    except csv.Error:
        return csv.excel


def _cut(cell: str) -> str:
    cell = make_visible(cell)
    return cell if len(cell) <= CELL else f"{cell[:CELL]} …"


def _preview_parquet(head: bytes, entry: Entry, read: ReadRange) -> Preview:
    """The table that another process reads from a sparse copy, which has only the beginning and the
    end of the file."""
    present = min(entry.size, HEAD)
    copy = os.memfd_create("table", os.MFD_CLOEXEC)
    try:
        os.truncate(copy, entry.size)
        _copy(copy, read, 0, present)
        _copy(copy, read, max(present, entry.size - TAIL), entry.size)
        answer = _ask_reader(copy, entry.size if present == entry.size else present)
    except OSError as error:
        answer = f"no preview: {error.strerror}"
    finally:
        os.close(copy)
    if isinstance(answer, str):
        return _preview_bytes(head, entry, answer)
    fields = [[_cut(str(part)) for part in field[:2]] for field in answer["fields"]]
    rows = [[_cut(str(cell)) for cell in row] for row in answer["rows"]]
    total, columns, why = int(answer["rows_total"]), int(answer["columns"]), str(answer["why"])
    return Preview(table=TablePreview(fields, rows, total, columns, make_visible(why)))


def _copy(copy: int, read: ReadRange, start: int, end: int) -> None:
    step = 1 << 20
    for offset in range(start, end, step):
        os.pwrite(copy, read(offset, min(step, end - offset)), offset)


def _ask_reader(copy: int, present: int) -> Any:
    """What the process says of the table, or as text why there is no table."""
    command = [sys.executable, "-I", "-m", "volfs.web.tables_read", str(present)]
    try:
        done = subprocess.run(
            command, stdin=copy, capture_output=True, timeout=PATIENCE, check=False
        )
        if done.returncode == 0:
            return json.loads(done.stdout)
    except (subprocess.TimeoutExpired, ValueError):
        return "The table could not be read in time."
    if b"No module named 'pyarrow'" in done.stderr:
        return "A table: pip install pyarrow to see its rows."
    return "The table cannot be read: it is damaged, or asks for too much memory."
