"""The log of a store's small tables: Secrets, environments, and the lives of ephemeral things.

Layout: docs/format.md, "The log of tables". A line is one change of tables, whole or not at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, NamedTuple

import msgspec
from immutables import Map
from msgspec import Meta

from volfs.errors import ConflictError, DamagedObjectError
from volfs.model.logs.change_codec import ChangeCodec, LogChange, decode_content
from volfs.model.logs.volume_facts import Natural, OidField
from volfs.model.objects import Buffer

TABLES_MAGIC = b"VOLFSTC1"
TableName = Annotated[str, Meta(min_length=1, max_length=64)]
RowKey = Annotated[bytes, Meta(min_length=1, max_length=500)]
RowPlace = tuple[str, bytes]
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
    rows: Map[RowPlace, bytes] = Map()

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


# --- checkpoints ------------------------------------------------------------


class TablesCheckpoint(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """The tables after line ``number``. Rows are sorted."""

    number: Natural
    digest: OidField
    """The digest of that line."""
    rows: tuple[tuple[TableName, RowKey, bytes], ...]


_decoder = msgspec.msgpack.Decoder(TablesCheckpoint)


def encode_tables(state: TablesState, digest: bytes) -> bytes:
    """The content of a checkpoint. Equal states give equal bytes."""
    rows = tuple(sorted((*row, value) for row, value in state.rows.items()))
    return msgspec.msgpack.encode(TablesCheckpoint(state.number, digest, rows))


def decode_tables(data: Buffer) -> tuple[TablesState, bytes]:
    """A state, and the digest of its line. DamagedObjectError."""
    found = decode_content("checkpoint of the tables", _decoder, data)
    rows: Map[RowPlace, bytes] = Map({(table, key): value for table, key, value in found.rows})
    if len(rows) < len(found.rows):
        raise DamagedObjectError("checkpoint of the tables: a row twice")
    return TablesState(found.number, rows), found.digest
