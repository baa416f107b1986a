"""A set of millions of object ids in little memory."""

from __future__ import annotations

from volfs.model.objects import Oid

_BUCKET_BYTES = 2
_KEPT = 16
_WIDTH = _KEPT - _BUCKET_BYTES


class OidSet:
    """The first 16 bytes of ids: nobody can make a collision in 128 bits.

    An id takes about 18 bytes. A lookup searches one of 65,536 buckets, which has 2 KB at ten
    million ids. Not thread-safe.
    """

    def __init__(self) -> None:
        self._buckets: dict[bytes, bytearray] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __contains__(self, oid: Oid) -> bool:
        bucket = self._buckets.get(oid[:_BUCKET_BYTES])
        return bucket is not None and _has(bucket, oid[_BUCKET_BYTES:_KEPT])

    def add(self, oid: Oid) -> bool:
        """Add an id. Whether it is new."""
        bucket = self._buckets.setdefault(oid[:_BUCKET_BYTES], bytearray())
        rest = oid[_BUCKET_BYTES:_KEPT]
        if _has(bucket, rest):
            return False
        bucket += rest
        self._count += 1
        return True


def _has(bucket: bytearray, rest: bytes) -> bool:
    at = bucket.find(rest)
    while at > 0 and at % _WIDTH:
        # The match spans two ids that lie side by side.
        at = bucket.find(rest, at + 1)
    return at >= 0
