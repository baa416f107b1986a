"""What gc and undelete need of an open store, and the tools that both make of it."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from volfs.buckets.access import Bucket
from volfs.store.distributed.care.gc_roots import LeasesForGc, RootsFinder
from volfs.store.distributed.care.sweeping import Sweeper
from volfs.store.distributed.checkpoints.plain_logs import GC_KIND, GcFollower, follow_plain
from volfs.store.distributed.data.place_finder import PlaceFinder
from volfs.store.distributed.log.log import Log
from volfs.store.distributed.refs.volume_logs import VolumeLogs


class GcParts(NamedTuple):
    """What gc needs of an open store."""

    bucket: Bucket
    logs: VolumeLogs
    leases: LeasesForGc
    finder: PlaceFinder
    spools: Path
    log: GcFollower | None = None
    """The log of gc, if this process has it already."""

    def follow(self) -> GcFollower:
        """The log of gc."""
        return follow_plain(self.bucket, GC_KIND) if self.log is None else self.log

    def find_roots(self) -> RootsFinder:
        return RootsFinder(self.bucket, self.logs, self.leases)

    def sweep(self, log: Log) -> Sweeper:
        return Sweeper(self.bucket, self.logs, self.finder.packs, log)
