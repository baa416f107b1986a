"""What a mount has done since it began: numbers that only grow, and how long things took."""

from __future__ import annotations

_BUCKETS = 64
"""Enough for any number of microseconds that a clock counts."""


class Timing:
    """The timing of one operation since the mount began. Only the trio thread counts and reads."""

    __slots__ = ("errors", "histogram", "total_ns")

    def __init__(self) -> None:
        self.errors = 0
        self.total_ns = 0
        self.histogram = [0] * _BUCKETS
        """The number of requests that took less than 1, 2, 4, 8 … microseconds, each counted
        once."""

    @property
    def count(self) -> int:
        return sum(self.histogram)

    def add(self, took_ns: int, *, failed: bool = False) -> None:
        """Count one more, which took so long."""
        self.total_ns += took_ns
        self.histogram[(took_ns // 1000).bit_length()] += 1
        self.errors += failed


class Activity:
    """What a mount does beside the kernel's requests, and the bytes of those requests. Only the
    trio thread counts and reads."""

    __slots__ = (
        "commits",
        "committed_bytes",
        "last_commit_ns",
        "read_bytes",
        "reads_ready",
        "reads_waited",
        "reloads",
        "written_bytes",
    )

    def __init__(self) -> None:
        self.commits = Timing()
        """Commits that made a version, and those that failed."""
        self.reloads = Timing()
        self.committed_bytes = 0
        """Bytes of the objects that commits have added to the store."""
        self.last_commit_ns = 0
        """The time of day of the last commit that made a version; 0 if there was none."""
        self.reads_ready = 0
        """Reads that were answered from memory or the page cache, without waiting."""
        self.reads_waited = 0
        """Reads that had to wait for a disk or a bucket."""
        self.read_bytes = 0
        self.written_bytes = 0
