"""Making a store in a bucket."""

from __future__ import annotations

from importlib import metadata
from shlex import quote

from volfs.buckets.access import Bucket
from volfs.errors import AlreadyExistsError, NotAStoreError, ObjectExistsError, ObjectNotFoundError
from volfs.model.logs.gc_log import GC_CHANGES
from volfs.model.logs.line import NO_LINE
from volfs.store.distributed.log.log import Log
from volfs.store.distributed.place.object_keys import FACTS, GC, PROBES, gc_log
from volfs.store.distributed.place.probe import check_canary, check_fit
from volfs.store.distributed.place.store_facts import (
    FORMAT,
    StoreFacts,
    decode_facts,
    encode_facts,
    find_facts,
)
from volfs.store.identity import make_id

JUST_NOW = "another has made a store there just now"
OURS = (PROBES, f"{GC}/")
"""The folders that the making of a store leaves behind if it dies."""


def create_store(bucket: Bucket, url: str) -> StoreFacts:
    """Make a store, and return its facts. ``volfs.json`` comes last: before it there is no store.

    AlreadyExistsError if there is one; NotAStoreError if there are other objects;
    UnfitBucketError; StoreError. One that died half way can be made again.
    """
    there = find_facts(bucket, url)
    if there is not None:
        raise AlreadyExistsError(f"{url}: there is a store already: {there.store}")
    _check_empty(bucket, url)
    check_fit(bucket)
    log = Log(bucket, gc_log())
    # Without any change, so that the first condemnation has an era above 0.
    log.append(0, log.make_line(NO_LINE, 0, GC_CHANGES.encode(())))
    facts = StoreFacts(
        FORMAT,
        make_id("st"),
        bucket.world.wall_ns(),
        f"volfs {metadata.version('volfs')}",
        url.partition(":")[0],
    )
    try:
        bucket.put(FACTS, encode_facts(facts), create=True)
    except ObjectExistsError:
        raise AlreadyExistsError(f"{url}: {JUST_NOW}") from None
    return facts


def examine_store(bucket: Bucket, url: str) -> StoreFacts:
    """The facts of the store that is in the bucket, after the *canary* has shown that the service
    still refuses what it must refuse. NotAStoreError; UnfitBucketError; StoreError."""
    try:
        data = bytes(bucket.get(FACTS)[1])
    except ObjectNotFoundError:
        raise NotAStoreError(
            f"{url}: there is no store; make one with `volfs store create {quote(url)}`"
        ) from None
    facts = decode_facts(data, url)
    check_canary(bucket, FACTS, data)
    return facts


def _check_empty(bucket: Bucket, url: str) -> None:
    """NotAStoreError if there are objects that are not ours. AlreadyExistsError if a store was
    made meanwhile."""
    page = bucket.list_page("")
    keys = [info.key for info in page.objects] + page.prefixes
    if FACTS in keys:
        raise AlreadyExistsError(f"{url}: {JUST_NOW}")
    others = [key for key in keys if key not in OURS]
    if others:
        raise NotAStoreError(
            f"{url}: there are other objects, such as {others[0]}; name an empty folder of the "
            "bucket"
        )
