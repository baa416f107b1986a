"""The time by the store's own clock: what it says of an object that was written just now.

Time decides only when gc looks for garbage, and how long garbage waits. Nothing that is needed is
removed because a clock is wrong.
"""

from __future__ import annotations

from volfs.buckets.access import Bucket
from volfs.errors import StoreDeniedError
from volfs.store.distributed.log.log import Log
from volfs.store.distributed.place.object_keys import PROBES, make_random_name


class StoreClock:
    """Reads the clock at most once, because one run of gc needs it to a minute at best."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self._now_ns: int | None = None

    def read_ns(self) -> int:
        """Nanoseconds since 1970. Whoever may not write is told the time of this machine."""
        if self._now_ns is None:
            try:
                self._now_ns = self._ask()
            except StoreDeniedError:
                self._now_ns = self._bucket.world.wall_ns()
        return self._now_ns

    def find_age_ns(self, written_ns: int) -> int:
        """How long ago something was written that the store dates so."""
        return self.read_ns() - written_ns

    def find_line_age_ns(self, log: Log, number: int) -> int:
        """How long ago a line was written. ObjectNotFoundError; StoreError."""
        return self.find_age_ns(self._bucket.head(log.place.line(number)).mtime_ns)

    def _ask(self) -> int:
        key = f"{PROBES}clock-{make_random_name(self._bucket.world.random_bytes)}"
        self._bucket.put(key, b"")
        try:
            return self._bucket.head(key).mtime_ns
        finally:
            self._bucket.delete(key)
