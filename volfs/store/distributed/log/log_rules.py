"""The meaning of the lines of each kind of log, in the form that a follower asks for."""

from __future__ import annotations

from collections.abc import Sequence

from volfs.errors import ConflictError
from volfs.model.logs import catalog_log, gc_log, table_log, volume_log
from volfs.model.logs.catalog_log import CATALOG_CHANGES, NO_NAMES, CatalogChange, CatalogState
from volfs.model.logs.gc_log import GC_CHANGES, GcChange, GcState
from volfs.model.logs.table_log import NO_ROWS, TABLE_CHANGES, TableChange, TablesState
from volfs.model.logs.volume_changes import VOLUME_CHANGES, VolumeChange
from volfs.model.logs.volume_log import VolumeState
from volfs.store.distributed.log.follower import LogRules

VOLUME_RULES: LogRules[VolumeState | None, VolumeChange] = LogRules(
    VOLUME_CHANGES, volume_log.apply, None
)
CATALOG_RULES: LogRules[CatalogState, CatalogChange] = LogRules(
    CATALOG_CHANGES, catalog_log.apply, NO_NAMES
)
GC_RULES: LogRules[GcState | None, GcChange] = LogRules(GC_CHANGES, gc_log.apply, None)
TABLE_RULES: LogRules[TablesState, TableChange] = LogRules(TABLE_CHANGES, table_log.apply, NO_ROWS)


def volume_rules(volume_id: str) -> LogRules[VolumeState | None, VolumeChange]:
    """As ``VOLUME_RULES``, in the log of one volume. A line 0 follows no line whose digest tells
    the log to which it belongs, so what the line says is compared with the log's name."""

    def apply(
        state: VolumeState | None, number: int, era: int, changes: Sequence[VolumeChange]
    ) -> VolumeState:
        after = volume_log.apply(state, number, era, changes)
        if state is None and after.facts is not None and after.facts.id != volume_id:
            raise ConflictError(f"line 0: it begins the log of {after.facts.id}")
        return after

    return VOLUME_RULES._replace(apply=apply)
