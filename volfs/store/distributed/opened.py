"""The parts of one open store in a bucket, wired together."""

from __future__ import annotations

import os
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from volfs.buckets.access import Bucket
from volfs.errors import StoreError
from volfs.store.distributed.care.bucket_care import BucketCare
from volfs.store.distributed.care.gc_parts import GcParts
from volfs.store.distributed.checkpoints.due_checkpoints import DueCheckpoints
from volfs.store.distributed.checkpoints.machine_memory import MachineMemory
from volfs.store.distributed.checkpoints.plain_logs import PlainLogs
from volfs.store.distributed.data.bucket_data import SPOOLS, BucketData, open_cached_packs
from volfs.store.distributed.data.bucket_packs import OpenPacks
from volfs.store.distributed.leases.bucket_leases import BucketLeases
from volfs.store.distributed.leases.session_logs import SessionLogs
from volfs.store.distributed.leases.unwritten_leases import UnwrittenLeases
from volfs.store.distributed.log.log import Log
from volfs.store.distributed.machine import CACHE, HOLDS, REMEMBERED, read_machine
from volfs.store.distributed.mending.bucket_repair import RepairParts
from volfs.store.distributed.place.object_keys import gc_log
from volfs.store.distributed.refs.checkpoint_keeper import CheckpointKeeper
from volfs.store.distributed.refs.condemned_packs import find_condemned
from volfs.store.distributed.refs.open_volumes import OpenVolumes
from volfs.store.distributed.refs.publishing_refs import PublishingRefs
from volfs.store.distributed.refs.volume_logs import VolumeLogs
from volfs.store.distributed.refs.volume_publisher import GcFacts
from volfs.store.distributed.tables.bucket_tables import LogTables
from volfs.store.holds import Holds


class BucketEngine:
    """One store in a bucket, shared by all its handles in this process. ``local`` is what this
    machine has of it."""

    def __init__(
        self, bucket: Bucket, local: Path, packs: OpenPacks | None = None, denied: str = ""
    ) -> None:
        self.bucket = bucket
        self.local = local
        self.handles = 0
        self.denied = denied
        """Why this process may only read the bucket; empty if it may write."""
        self._process = os.getpid()
        memory = MachineMemory(local / CACHE / REMEMBERED)
        logs = VolumeLogs(bucket, memory=memory)
        host = read_machine(local)
        leases = UnwrittenLeases if denied else BucketLeases
        self.leases = leases(SessionLogs(bucket), logs, Holds(local / HOLDS), host)
        facts = GcFacts(partial(find_condemned, Log(bucket, gc_log())), self.leases.is_in_force)
        with ExitStack() as stack:
            data = BucketData(bucket, local / CACHE, packs or open_cached_packs(bucket))
            stack.callback(data.close)
            self.volumes = OpenVolumes(logs, data, facts, bucket.world)
            due = DueCheckpoints(bucket.world)
            plain = PlainLogs(bucket, due, memory)
            self.recognize = plain.catalog.recognize
            stack.callback(plain.remember)
            stack.callback(logs.remember)
            self.tables = LogTables(plain.tables)
            self.keeper = CheckpointKeeper(logs, self.volumes, bucket.world, due=due)
            stack.callback(self.keeper.close)
            logs.listen(self.keeper)
            self.refs = PublishingRefs(bucket, logs, self.volumes, self.leases, plain.catalog)
            spools = local / CACHE / SPOOLS
            self.care = BucketCare(
                GcParts(bucket, logs, self.leases, data.finder, spools, plain.gc),
                RepairParts(bucket, local, logs, self.volumes, self.refs.names),
            )
            self._closing = stack.pop_all()

    def check_usable(self) -> None:
        """StoreError in a process that was forked after the store was opened."""
        if os.getpid() != self._process:
            raise StoreError("the store was opened before this process was forked; open it again")

    def close_parts(self) -> None:
        """Close everything but the bucket."""
        self._closing.close()

    def close(self) -> None:
        self.close_parts()
        self.bucket.close()
