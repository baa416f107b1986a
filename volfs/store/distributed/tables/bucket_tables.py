"""The small tables of a store in a bucket: a log, of which each line is one change.

They are for what is written seldom: Secrets, environments, ephemeral volumes. Dicts and Queues
change often, and are on a server instead (docs/tables.md). So there are no volatile tables here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from volfs.buckets.access import Bucket
from volfs.model.logs import table_log
from volfs.model.logs.table_log import NO_ROWS, TABLE_CHANGES, TableChange, TablesState
from volfs.store.distributed.log.follower import Follower, LogRules
from volfs.store.distributed.log.log import Log
from volfs.store.distributed.place.object_keys import secrets_log
from volfs.store.distributed.tables.table_changes import TablesChanging, TablesSeen
from volfs.store.tables import Changing, Reading

T = TypeVar("T")
TABLE_RULES: LogRules[TablesState, TableChange] = LogRules(TABLE_CHANGES, table_log.apply, NO_ROWS)


class LogTables:
    """``store.tables.Tables``: the durable tables of one open store. Thread-safe."""

    def __init__(self, bucket: Bucket) -> None:
        self._follower = Follower(Log(bucket, secrets_log()), TABLE_RULES)

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
