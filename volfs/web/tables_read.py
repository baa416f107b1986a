"""Reads the first rows of a table, in a process of its own with little memory and little time.

Run as a program: the table is descriptor 0, and the answer is JSON on descriptor 1. A file can
state anything, such as a column of petabytes; whatever that does, only this process dies.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from typing import Any

ROWS, COLUMNS, CELL = 50, 60, 120
MEMORY = 2 << 30
SECONDS = 10


def main() -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    present = int(sys.argv[1])
    import pyarrow as arrow
    import pyarrow.parquet as parquet

    arrow.set_cpu_count(1)
    arrow.set_io_thread_count(1)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    with os.fdopen(0, "rb") as file:
        table = parquet.ParquetFile(arrow.PythonFile(file, mode="r"))
        answer = describe(table, present)
    os.write(1, json.dumps(answer).encode())


def describe(table: Any, present: int) -> dict[str, Any]:
    schema = table.schema_arrow
    fields = [[field.name[:CELL], str(field.type)[:CELL]] for field in schema][:COLUMNS]
    answer = {"fields": fields, "columns": len(schema), "rows_total": table.metadata.num_rows}
    names = [field.name for field in schema][:COLUMNS]
    rows, why = read_rows(table, names, present)
    return answer | {"rows": rows, "why": why}


def read_rows(table: Any, names: list[str], present: int) -> tuple[list[list[str]], str]:
    """The first rows; none, and the reason, if they are not among the first ``present`` bytes."""
    if not table.metadata.num_row_groups or not names:
        return [], ""
    group = table.metadata.row_group(0)
    columns = [group.column(at) for at in range(group.num_columns)]
    if any(find_start(column) + column.total_compressed_size > present for column in columns):
        return [], "the first group of rows is too large for a preview"
    try:
        batch = next(table.iter_batches(batch_size=ROWS, row_groups=[0], columns=names), None)
    except Exception as error:  # noqa: BLE001 - whatever a hostile file makes of pyarrow
        return [], f"the rows cannot be read: {str(error)[:CELL]}"
    if batch is None:
        return [], ""
    return [[show_cell(column[at]) for column in batch.columns] for at in range(len(batch))], ""


def find_start(column: Any) -> int:
    """Where a column begins: at its dictionary, if it has one."""
    if column.has_dictionary_page:
        return int(min(column.dictionary_page_offset, column.data_page_offset))
    return int(column.data_page_offset)


def show_cell(value: Any) -> str:
    text = str(value)
    return text if len(text) <= CELL else f"{text[:CELL]} …"


if __name__ == "__main__":
    main()
