"""A change of tables while it is being made: the tables as they are, and what differs from them."""

from __future__ import annotations

from volfs.model.logs.table_log import RowPlace, RowPut, RowRemoved, TableChange, TablesState


class TablesSeen:
    """``store.tables.Reading``: the tables after one line of their log."""

    def __init__(self, state: TablesState) -> None:
        self._state = state

    def find(self, table: str, key: bytes) -> bytes | None:
        return self._state.rows.get((table, key))

    def scan(self, table: str, first: bytes, end: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        return self._state.scan(table, first, end)[:limit]


class TablesChanging(TablesSeen):
    """``store.tables.Changing``. ``changes`` is the line that makes the changes."""

    def __init__(self, state: TablesState) -> None:
        super().__init__(state)
        self._before = state
        self._touched: set[RowPlace] = set()

    @property
    def changes(self) -> list[TableChange]:
        """What differs from the tables before."""
        return [found for row in sorted(self._touched) if (found := self._compare(row))]

    def put(self, table: str, key: bytes, value: bytes) -> None:
        self._set((table, key), bytes(value))

    def delete(self, table: str, key: bytes) -> bool:
        there = (table, key) in self._state.rows
        if there:
            self._set((table, key), None)
        return there

    def delete_range(self, table: str, first: bytes, end: bytes, limit: int | None = None) -> int:
        keys = [key for key, _ in self._state.scan(table, first, end)[:limit]]
        return sum(self.delete(table, key) for key in keys)

    def _set(self, row: RowPlace, value: bytes | None) -> None:
        rows = self._state.rows
        rows = rows.delete(row) if value is None else rows.set(row, value)
        self._state = self._state._replace(rows=rows)
        self._touched.add(row)

    def _compare(self, row: RowPlace) -> TableChange | None:
        before, after = self._before.rows.get(row), self._state.rows.get(row)
        if before == after:
            return None
        return RowRemoved(*row) if after is None else RowPut(*row, after)
