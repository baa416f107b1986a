"""What gc and undelete need of an open store, and the tools that both make of it."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from volfs.buckets.access import Bucket
from volfs.model.logs.gc_log import GcChange, GcState
from volfs.store.distributed.care.gc_roots import LeasesForGc, RootsFinder
from volfs.store.distributed.care.sweeping import Sweeper
from volfs.store.distributed.data.place_finder import PlaceFinder
from volfs.store.distributed.log.follower import Follower
from volfs.store.distributed.log.log import Log
from volfs.store.distributed.place.object_keys import gc_log
from volfs.store.distributed.refs.log_rules import GC_RULES
from volfs.store.distributed.refs.volume_logs import VolumeLogs

GcFollower = Follower[GcState | None, GcChange]


class GcParts(NamedTuple):
    """What gc needs of an open store."""

    bucket: Bucket
    logs: VolumeLogs
    leases: LeasesForGc
    finder: PlaceFinder
    spools: Path

    def follow(self) -> GcFollower:
        """The log of gc."""
        return Follower(Log(self.bucket, gc_log()), GC_RULES)

    def find_roots(self) -> RootsFinder:
        return RootsFinder(self.bucket, self.logs, self.leases)

    def sweep(self, log: Log) -> Sweeper:
        return Sweeper(self.bucket, self.logs, self.finder.packs, log)
