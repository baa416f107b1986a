"""Uploads of small files, for which no thread waits.

A thread for each small upload costs more than the upload: the threads and the trio thread take the
interpreter from each other many times a request. So the trio thread sends the request itself, and
waits for its answer as it waits for everything else. If that is not a plain success, a thread goes
on (docs/decisions/0067-small-files-without-threads.md).
"""

from __future__ import annotations

import trio

from volfs.bucketfs.looking import Asker
from volfs.bucketfs.names import Facts, to_facts
from volfs.bucketfs.uploads import IfReplaced, UploadSource, put_checked, upload, upload_over
from volfs.buckets.access import Bucket
from volfs.buckets.answers import FailureKind, RequestFailure
from volfs.buckets.objects import ObjectInfo
from volfs.buckets.writing import BegunPut
from volfs.errors import ObjectChangedError, ObjectExistsError

SMALL = 64 << 10
"""The largest file that is uploaded like this, in bytes. A connection takes as many at once."""


async def upload_small(
    asker: Asker, bucket: Bucket, key: str, source: UploadSource, if_replaced: IfReplaced
) -> Facts:
    """Upload as ``upload`` does, without a thread if the file is small."""
    ready = None if if_replaced is IfReplaced.OVERWRITE else _read_ready(source)
    if ready is None:
        return await asker.run(upload, bucket, key, source, if_replaced)
    try:
        return to_facts(await _put(asker, bucket, key, ready, source.staged.base))
    except (ObjectExistsError, ObjectChangedError):
        return await asker.run(upload_over, bucket, key, ready, if_replaced)


def _read_ready(source: UploadSource) -> bytes | None:
    """All bytes of a file; None if it is not small, or if they are not all in the page cache."""
    if source.size > SMALL or not all(piece.is_local for piece in source.pieces):
        return None
    return source.staged.read_ready(0, source.size)


async def _put(
    asker: Asker, bucket: Bucket, key: str, data: bytes, base: Facts | None
) -> ObjectInfo:
    begun = await _begin(asker, bucket, key, data, base)
    if begun is None:
        return await asker.run(put_checked, bucket, key, data, base)
    await _wait(asker, begun)
    if begun.info is not None:
        return begun.info
    return await asker.run(begun.settle)


async def _begin(
    asker: Asker, bucket: Bucket, key: str, data: bytes, base: Facts | None
) -> BegunPut | None:
    """Begin a write over a kept connection, or over a new one."""
    condition = {"create": True} if base is None else {"etag": base.etag}
    begun = bucket.begin_put(key, data, **condition)
    if begun is None and await asker.run(bucket.connect):
        return bucket.begin_put(key, data, **condition)
    return begun


async def _wait(asker: Asker, begun: BegunPut) -> None:
    """Wait for the answer as long as one may take. If cancelled, drop the connection."""
    asker.waiting += 1
    try:
        with trio.move_on_after(begun.patience):
            while not begun.is_over:
                if begun.is_sending:
                    await trio.lowlevel.wait_writable(begun)
                else:
                    await trio.lowlevel.wait_readable(begun)
                begun.advance()
    finally:
        asker.waiting -= 1
        begun.give_up(RequestFailure(FailureKind.TIMEOUT))
