"""The meaning of the lines of each kind of log, in the form that a follower asks for."""

from __future__ import annotations

from volfs.model.logs import catalog_log, gc_log, volume_log
from volfs.model.logs.catalog_log import CATALOG_CHANGES, NO_NAMES, CatalogChange, CatalogState
from volfs.model.logs.gc_log import GC_CHANGES, GcChange, GcState
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
