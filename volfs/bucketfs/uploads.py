"""Uploads: one request for what is small, parts of a multipart upload for the rest. Blocking."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from enum import Enum, auto
from typing import NamedTuple

from volfs.bucketfs.names import Facts, to_facts
from volfs.bucketfs.staged import Staged, StagedPiece
from volfs.buckets.access import Bucket
from volfs.buckets.multipart import PARTS_MAX, Multipart
from volfs.buckets.objects import ObjectInfo
from volfs.errors import (
    BaseObjectLostError,
    ObjectChangedError,
    ObjectExistsError,
    ObjectNotFoundError,
    OverriddenError,
    StoreUnavailableError,
)
from volfs.model.objects import Buffer
from volfs.model.text import show

log = logging.getLogger(__name__)

WHOLE_MAX = 16 << 20
"""The largest object that is put with one request, in bytes."""
PART = 8 << 20
PARTS_AT_ONCE = 4
_ROUND = 1 << 20

ReadObject = Callable[[int, int], Buffer]
"""A read of the object that a file lay over: offset and length in bytes."""


class IfReplaced(Enum):
    """What an upload does if the bucket has another object than the file was written over."""

    OVERWRITE = auto()
    LOG = auto()
    """Overwrite that object, and say so in the log."""
    REFUSE = auto()
    """Raise OverriddenError, and leave that object."""


class UploadSource(NamedTuple):
    """A file's bytes as they were divided when the upload began."""

    staged: Staged
    pieces: list[StagedPiece]
    size: int
    read_object: ReadObject | None

    def read(self, start: int, end: int) -> bytearray:
        """Read bytes from both places. StoreError, ObjectChangedError."""
        found = bytearray()
        for piece in self.pieces:
            first, last = max(start, piece.start), min(end, piece.end)
            if first < last:
                found += self._read_piece(piece.is_local, first, last)
        return found

    def _read_piece(self, is_local: bool, start: int, end: int) -> Buffer:
        if is_local or self.read_object is None:
            return self.staged.read(start, end)
        try:
            data = self.read_object(start, end - start)
        except (ObjectChangedError, ObjectNotFoundError) as error:
            raise BaseObjectLostError(
                f"{show(self.staged.about.key)}: the object that it was written over is another "
                "one by now"
            ) from error
        if len(data) != end - start:
            raise StoreUnavailableError(f"{self.staged.about.key}: the object ended too early")
        return data


def make_source(staged: Staged, read_object: ReadObject | None) -> UploadSource:
    """The source of an upload. Only the thread that changes the file may make it."""
    return UploadSource(staged, staged.find_pieces(0, staged.size), staged.size, read_object)


def upload(bucket: Bucket, key: str, source: UploadSource, if_replaced: IfReplaced) -> Facts:
    """Upload an object whole. It is there when this returns. StoreError; OverriddenError.

    The service keeps the condition that nobody else has written the object meanwhile. Google keeps
    none for an upload in parts, so there somebody may still write in the last moment.
    """
    if source.size > WHOLE_MAX:
        return _put_parts(bucket, key, source, if_replaced)
    data = source.read(0, source.size)
    if if_replaced is IfReplaced.OVERWRITE:
        return to_facts(bucket.put(key, data))
    try:
        return to_facts(put_checked(bucket, key, data, source.staged.base))
    except (ObjectExistsError, ObjectChangedError):
        return upload_over(bucket, key, data, if_replaced)


def upload_over(bucket: Bucket, key: str, data: Buffer, if_replaced: IfReplaced) -> Facts:
    """Upload a file over an object that is not the one that the file was written over.
    OverriddenError if ``if_replaced`` refuses that."""
    _meet_another(key, if_replaced)
    return to_facts(bucket.put(key, data))


def put_checked(bucket: Bucket, key: str, data: Buffer, base: Facts | None) -> ObjectInfo:
    """Upload an object, only if the present object is still ``base``; without a base, only if there
    is none. ObjectExistsError, ObjectChangedError."""
    if base is None:
        return bucket.put(key, data, create=True)
    return bucket.put(key, data, etag=base.etag)


def _put_parts(bucket: Bucket, key: str, source: UploadSource, if_replaced: IfReplaced) -> Facts:
    size = choose_part(source.size)
    starts = range(0, source.size, size)
    with bucket.open_multipart(key) as parts:

        def put(number: int) -> None:
            start = starts[number]
            parts.put_part(number + 1, source.read(start, min(start + size, source.size)))

        pool = ThreadPoolExecutor(PARTS_AT_ONCE)
        try:
            for _ in pool.map(put, range(len(starts))):
                pass
        finally:
            pool.shutdown(cancel_futures=True)
        if if_replaced is IfReplaced.OVERWRITE:
            return to_facts(parts.complete())
        return to_facts(_complete_checked(bucket, key, parts, source.staged.base, if_replaced))


def _complete_checked(
    bucket: Bucket, key: str, parts: Multipart, base: Facts | None, if_replaced: IfReplaced
) -> ObjectInfo:
    """Complete an upload over the object that the file was written over. Look for that object
    first, because not every service knows conditions here."""
    if _find(bucket, key) == (base and base.etag):
        try:
            return parts.complete(create=base is None, etag=base and base.etag)
        except (ObjectExistsError, ObjectChangedError):
            pass
    _meet_another(key, if_replaced)
    return parts.complete()


def choose_part(size: int) -> int:
    """The size of each part in bytes: every object has few enough parts."""
    least = -(-size // PARTS_MAX)
    return max(PART, -(-least // _ROUND) * _ROUND)


def _find(bucket: Bucket, key: str) -> str | None:
    try:
        return bucket.head(key).etag
    except ObjectNotFoundError:
        return None


def _meet_another(key: str, if_replaced: IfReplaced) -> None:
    if if_replaced is IfReplaced.REFUSE:
        raise OverriddenError(f"{key}: somebody else wrote it meanwhile")
    log.warning("%s: somebody else wrote it meanwhile, and is overwritten", key)
