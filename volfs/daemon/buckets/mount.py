"""The parts of one bucket's mount, and what it does at its end."""

from __future__ import annotations

import logging
import os
import time
from contextlib import AsyncExitStack

import trio

from volfs.bucketfs.mount import BucketFiles
from volfs.bucketfs.staging import Staging, StagingFacts
from volfs.bucketfs.state import BucketState, Rules
from volfs.buckets.address import parse_bucket_address
from volfs.buckets.cache.cached_bucket import CachedBucket, open_cached_bucket
from volfs.buckets.cache.disk_cache import DiskCache
from volfs.daemon.buckets.control import BucketControl
from volfs.daemon.buckets.leftovers import clear_ended
from volfs.daemon.buckets.opening import check_bucket, open_planned
from volfs.daemon.mount_options import BucketPlan, MountOptions
from volfs.daemon.serving import Served
from volfs.daemon.task_guard import surviving
from volfs.daemon.whereabouts import Whereabouts
from volfs.errors import MountError
from volfs.fuse.bucket_ops import BucketOperations
from volfs.fuse.notices import forget
from volfs.store.clock import now_ns
from volfs.store.location import state_directory
from volfs.vfs.checkout_plan import KernelNotice

log = logging.getLogger(__name__)

NOTE_USES = 60.0
LOOK_AGAIN, NAMES_MAX = 0.5, 100_000
NOT_UPLOADED = "not all that was written is uploaded; `volfs overlays` lists it, and uploads it"
REQUESTS = 2000
"""The most requests at a time. Programs that close files wait for uploads, and other programs must
not wait for them."""


class ServedBucket(Served):
    """The mount of a bucket."""

    service: BucketControl

    def __init__(
        self,
        options: MountOptions,
        operations: BucketOperations,
        service: BucketControl,
        cached: CachedBucket,
    ) -> None:
        super().__init__(options, operations, service)
        self.service = service
        self.cached = cached
        self.files = service.files
        self.requests = REQUESTS

    @property
    def source(self) -> str:
        return self.service.address

    @property
    def is_read_only(self) -> bool:
        return self.files.state.rules.read_only

    def drop_new(self) -> None:
        """Do nothing, because nothing was kept yet."""

    def note_device(self, device: tuple[int, int]) -> None:
        """Do nothing, because a bucket's mounts are found by their mount points alone."""

    def start_background(self, nursery: trio.Nursery) -> None:
        nursery.start_soon(_note_uses, self.cached.disk)
        nursery.start_soon(_forget_names, self.files.state)

    async def finish(self) -> None:
        """Upload what is left, because files whose last bytes have just arrived may still need
        it."""
        discards = self.service.at_end == "discard"
        if not discards:
            with surviving("uploading what is left"):
                await self.files.upload_all()
        with surviving("the directory of what was written"):
            if self.files.end(discards=discards):
                log.info("ended; `volfs overlays` lists what was not uploaded")
                if not discards:
                    self.service.last_error = MountError(NOT_UPLOADED)
            else:
                log.info("ended")


async def _note_uses(disk: DiskCache) -> None:
    """Note from time to time what is read, so that it stays in the cache longest."""
    while True:
        await trio.sleep(NOTE_USES)
        with surviving("noting what of the cache is used"):
            await trio.to_thread.run_sync(disk.note_uses)


async def _forget_names(state: BucketState) -> None:
    """Have the kernel forget names that it has not used for long, beyond so many.

    It keeps a million if it has the memory, and each takes memory here, too.
    """
    while True:
        await trio.sleep(LOOK_AGAIN)
        surplus = len(state.nodes) - NAMES_MAX
        idle = state.nodes.list_idle(surplus) if surplus > 0 else []
        notices = [
            KernelNotice(node.parent.ino, node.name) for node in idle if node.parent is not None
        ]
        if notices:
            with surviving("letting the kernel forget names"):
                await trio.to_thread.run_sync(forget, notices)


async def build_bucket(
    options: MountOptions, plan: BucketPlan, stack: AsyncExitStack
) -> ServedBucket:
    """Open the bucket, and check that it answers. StoreError, BucketNotFoundError,
    InvalidError."""
    await trio.to_thread.run_sync(clear_ended)
    bucket = open_planned(plan)
    stack.callback(bucket.close)
    address = parse_bucket_address(plan.address)
    await trio.to_thread.run_sync(check_bucket, bucket)
    staging = make_staging(options, plan)
    if not options.read_only:
        staging.check()
    rules = Rules(plan.metadata_ttl, options.read_only, os.geteuid(), os.getegid())
    state = BucketState(rules, time.monotonic, now_ns)
    cached = open_cached_bucket(bucket)
    stack.callback(cached.close)
    files = BucketFiles(state, bucket, cached.open, staging)
    operations = BucketOperations(files)
    place = Whereabouts(options.mountpoint)
    control = BucketControl(address.text, files, operations, place)
    return ServedBucket(options, operations, control, cached)


def make_staging(options: MountOptions, plan: BucketPlan) -> Staging:
    """The place where the mount keeps what is written until it is uploaded."""
    facts = StagingFacts(
        plan.address,
        options.mountpoint,
        os.getpid(),
        now_ns(),
        plan.profile,
        plan.role_arn,
        plan.unsigned,
        plan.requester_pays,
    )
    name = parse_bucket_address(plan.address).bucket
    return Staging(state_directory(), name, facts)
