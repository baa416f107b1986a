"""The plain logs of a store as one process knows them: the catalog, the log of gc, the tables.

Each is read from its newest checkpoint on, and gets checkpoints, as the log of a volume does.
"""

from __future__ import annotations

from typing import Generic, NamedTuple, TypeVar

from volfs.buckets.access import Bucket
from volfs.model.logs.catalog_log import CatalogChange, CatalogState
from volfs.model.logs.gc_log import GcChange, GcState
from volfs.model.logs.line import Line
from volfs.model.logs.table_log import TableChange, TablesState
from volfs.store.distributed.checkpoints.due_checkpoints import DueCheckpoints, Pace, choose_pace
from volfs.store.distributed.checkpoints.framed_objects import FramedObjects
from volfs.store.distributed.checkpoints.log_checkpoints import PlainCheckpoints
from volfs.store.distributed.checkpoints.log_forms import (
    CATALOG_FORM,
    GC_FORM,
    TABLES_FORM,
    LogForm,
)
from volfs.store.distributed.checkpoints.machine_memory import MachineMemory
from volfs.store.distributed.log.follower import UNWATCHED, Follower, LogRules, Watch
from volfs.store.distributed.log.log import NO_NUMBER, Log
from volfs.store.distributed.log.log_rules import CATALOG_RULES, GC_RULES, TABLE_RULES
from volfs.store.distributed.place.object_keys import (
    LogPlace,
    catalog_log,
    gc_log,
    secrets_log,
)

State = TypeVar("State")
Change = TypeVar("Change")
CatalogFollower = Follower[CatalogState, CatalogChange]
GcFollower = Follower[GcState | None, GcChange]
TablesFollower = Follower[TablesState, TableChange]


class PlainKind(NamedTuple, Generic[State, Change]):
    """One kind of plain log."""

    place: LogPlace
    rules: LogRules[State, Change]
    form: LogForm[State]


CATALOG_KIND = PlainKind(catalog_log(), CATALOG_RULES, CATALOG_FORM)
GC_KIND = PlainKind(gc_log(), GC_RULES, GC_FORM)
TABLES_KIND = PlainKind(secrets_log(), TABLE_RULES, TABLES_FORM)


class CheckpointedPlainLog(Generic[State, Change]):
    """A plain log and its checkpoints. ``CheckpointedLog``, and the ``Watch`` of its follower."""

    def __init__(
        self,
        bucket: Bucket,
        kind: PlainKind[State, Change],
        due: DueCheckpoints,
        pace: Pace,
        memory: MachineMemory | None,
    ) -> None:
        self.name = kind.place.lines
        self._checkpoints = PlainCheckpoints(FramedObjects(bucket), kind.place, kind.form, memory)
        self._due = due
        self._pace = pace
        self._unsaved = 0
        watch: Watch = self
        log = Log(bucket, kind.place)
        self.follower = Follower(
            log, kind.rules, self._checkpoints.begin, watch, self._checkpoints.recall
        )

    @property
    def number(self) -> int:
        return self.follower.known.number

    def is_due(self, tried: int, *, is_ours: bool) -> bool:
        newest = self._checkpoints.newest
        since = self.number - max(newest.number, tried)
        return self._pace.is_due(since, newest.size, self._unsaved, is_ours=is_ours)

    def renew(self) -> None:
        self._checkpoints.renew(self.follower.log)

    def keep(self) -> None:
        known, self._unsaved = self.follower.known, 0
        if known.number > self._checkpoints.newest.number:
            self._checkpoints.write(known)
            self._checkpoints.remember(known)

    def remember(self) -> None:
        """Let this machine remember the log, if this process has read it."""
        if self.follower.is_known and self.number != NO_NUMBER:
            self._checkpoints.remember(self.follower.known)

    # --- Watch -----------------------------------------------------------------------

    def on_line(self, number: int, line: Line, *, is_ours: bool) -> None:
        self._unsaved += len(line.body)

    def on_moved(self, number: int, *, is_ours: bool) -> None:
        self._due.look(self, is_ours=is_ours)


class PlainLogs:
    """The plain logs of an open store. Each is there once in a process."""

    def __init__(
        self, bucket: Bucket, due: DueCheckpoints, memory: MachineMemory | None = None
    ) -> None:
        pace = choose_pace()
        self._catalog = CheckpointedPlainLog(bucket, CATALOG_KIND, due, pace, memory)
        self._gc = CheckpointedPlainLog(bucket, GC_KIND, due, pace, memory)
        self._tables = CheckpointedPlainLog(bucket, TABLES_KIND, due, pace, memory)
        self.catalog: CatalogFollower = self._catalog.follower
        self.gc: GcFollower = self._gc.follower
        self.tables: TablesFollower = self._tables.follower

    def remember(self) -> None:
        """Let this machine remember what this process has read."""
        self._catalog.remember()
        self._gc.remember()
        self._tables.remember()


def follow_plain(bucket: Bucket, kind: PlainKind[State, Change]) -> Follower[State, Change]:
    """A plain log that is read from its newest checkpoint on. No checkpoint is made."""
    checkpoints = PlainCheckpoints(FramedObjects(bucket), kind.place, kind.form)
    return Follower(Log(bucket, kind.place), kind.rules, checkpoints.begin, UNWATCHED)
