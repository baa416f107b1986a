"""The small tables of a store in a bucket: a log, of which each line is one change.

They are for what is written seldom: Secrets, environments, ephemeral volumes. Dicts and Queues
change often, and are on a server instead (docs/tables.md). So there are no volatile tables here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from volfs.model.logs.table_log import TableChange, TablesState
from volfs.store.distributed.checkpoints.plain_logs import TablesFollower
from volfs.store.distributed.tables.table_changes import TablesChanging, TablesSeen
from volfs.store.tables import Changing, Reading

T = TypeVar("T")


class LogTables:
    """``store.tables.Tables``: the durable tables of one open store. Thread-safe."""

    def __init__(self, log: TablesFollower) -> None:
        self._follower = log

    def read(self, look: Callable[[Reading], T]) -> T:
        return look(TablesSeen(self._follower.refresh().state))

    def change(self, act: Callable[[Changing], T], adds: int | None = 0) -> T:
        results: list[T] = []

        def decide(state: TablesState) -> list[TableChange]:
            txn = TablesChanging(state)
            results[:] = [act(txn)]
            return txn.changes

        self._follower.change(decide)
        return results[0]
