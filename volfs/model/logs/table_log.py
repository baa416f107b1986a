"""The log of a store's small tables: Secrets, environments, and the lives of ephemeral things.

Layout: docs/format.md, "The log of tables". A line is one change of tables, whole or not at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, NamedTuple

from immutables import Map
from msgspec import Meta

from volfs.errors import ConflictError
from volfs.model.logs.change_codec import ChangeCodec, LogChange

TableName = Annotated[str, Meta(min_length=1, max_length=64)]
RowKey = Annotated[bytes, Meta(min_length=1, max_length=500)]
Row = tuple[str, bytes]
"""The name of a table, and a key."""


class RowPut(LogChange, tag="put", frozen=True):
    """A row has this value from now on."""

    table: TableName
    key: RowKey
    value: bytes


class RowRemoved(LogChange, tag="removed", frozen=True):
    table: TableName
    key: RowKey


TableChange = RowPut | RowRemoved
TABLE_CHANGES: ChangeCodec[TableChange] = ChangeCodec("line of the tables", TableChange)


class TablesState(NamedTuple):
    """The tables after a line."""

    number: int = -1
    rows: Map[Row, bytes] = Map()

    def scan(self, table: str, first: bytes, end: bytes) -> list[tuple[bytes, bytes]]:
        """The rows of a table with ``first <= key < end``, in the order of keys."""
        return sorted(
            (key, value)
            for (of_table, key), value in self.rows.items()
            if of_table == table and first <= key < end
        )


NO_ROWS = TablesState()
"""The tables before the first line."""


def apply(state: TablesState, number: int, era: int, changes: Sequence[TableChange]) -> TablesState:
    """The state after one more line. ConflictError if the line cannot follow."""
    if number != state.number + 1 or era or not changes:
        raise ConflictError(f"line {number} of era {era} cannot follow line {state.number}")
    rows = state.rows.mutate()
    for change in changes:
        row = (change.table, change.key)
        if isinstance(change, RowPut):
            rows[row] = change.value
        elif rows.pop(row, None) is None:
            raise ConflictError(f"line {number}: it removes a row that is not there")
    return TablesState(number, rows.finish())
