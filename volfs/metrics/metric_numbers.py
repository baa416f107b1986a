"""The numbers of mounts as samples of Prometheus: names, labels and values. Pure.

Names follow Prometheus' guide: base units, `_total` for what only grows. A sample's key is its
family with its labels, so that samples of several mounts can be added.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

from volfs.control.protocol import ActivityCounts, MountStatus, RequestTimes
from volfs.metrics.seen_mounts import SeenMount
from volfs.model.text import show

NumberKind = Literal["counter", "gauge", "histogram"]
CONTAINERS = "(containers)"
"""The mount point in the labels of all mounts of containers: each has its own for a short time, and
Prometheus would keep a series of each for ever."""
BOUNDS = tuple(4**power for power in range(2, 14))
"""The upper bounds of histograms in microseconds: 16 us to 67 s. Each is a power of two, because
daemons count by powers of two."""


class Family(NamedTuple):
    """A metric: its name, what it says, and the names of its labels."""

    name: str
    kind: NumberKind
    help: str
    labels: tuple[str, ...] = ("volume", "mountpoint")


def _f(name: str, kind: NumberKind, help: str, *labels: str) -> Family:
    return Family(f"volfs_{name}", kind, help, ("volume", "mountpoint", *labels))


UP = _f("mount_up", "gauge", "1 if the daemon of the mount answers in time, else 0.")
STORE_UP = _f("mount_store_up", "gauge", "1 if the store of the mount is there and its own.")
LEASE = _f("mount_lease_held", "gauge", "1 if the store keeps what the mount stands on.")
BEHIND = _f("mount_behind_versions", "gauge", "Versions published since the one that is shown.")
VERSION = _f("mount_version", "gauge", "The version that the mount shows.")
DIRTY_BYTES = _f("mount_dirty_bytes", "gauge", "Bytes that are not committed.")
DIRTY_FILES = _f("mount_dirty_files", "gauge", "Files that are not committed.")
OPEN_FILES = _f("mount_open_files", "gauge", "Open files.")
REQUESTS = _f(
    "request_duration_seconds",
    "histogram",
    "Time of the kernel's requests, from taking one up to its answer.",
    "operation",
)
FAILED = _f(
    "request_errors_total", "counter", "Requests that were answered by an error.", "operation"
)
COMMITS = _f("commit_duration_seconds", "histogram", "Time of commits, failed ones too.")
COMMIT_ERRORS = _f("commit_errors_total", "counter", "Commits that failed; nothing is lost.")
COMMITTED = _f("committed_bytes_total", "counter", "Bytes that commits have added to the store.")
LAST_COMMIT = _f("last_commit_timestamp_seconds", "gauge", "When the last version was made.")
RELOADS = _f("reload_duration_seconds", "histogram", "Time of reloads, failed ones too.")
RELOAD_ERRORS = _f(
    "reload_errors_total", "counter", "Reloads that failed, mostly because files were open."
)
READS = _f(
    "reads_total", "counter", "Reads by source: cache (no wait) or store (waited).", "source"
)
FETCHES = _f("object_fetches_total", "counter", "Objects that an operation had to wait for.")
READ_BYTES = _f("read_bytes_total", "counter", "Bytes that were read past the kernel's cache.")
WRITTEN = _f("written_bytes_total", "counter", "Bytes that were written.")
LOGGED = _f("log_lines_total", "counter", "Lines in the log of the mount, by level.", "level")
LEFT_FILES = _f("bucket_left_files", "gauge", "Files whose upload to the bucket failed.")
FAMILIES = (
    *(UP, STORE_UP, LEASE, BEHIND, VERSION, DIRTY_BYTES, DIRTY_FILES, OPEN_FILES),
    *(REQUESTS, FAILED, COMMITS, COMMIT_ERRORS, COMMITTED, LAST_COMMIT, RELOADS, RELOAD_ERRORS),
    *(READS, FETCHES, READ_BYTES, WRITTEN, LOGGED, LEFT_FILES),
)


class NumberKey(NamedTuple):
    """What a number is about. ``part`` is a part of a histogram: the upper bound of a bucket in
    seconds, ``sum``, or empty."""

    family: Family
    labels: tuple[str, ...]
    part: str = ""


NumbersByKey = dict[NumberKey, float]


def count_mount(seen: SeenMount) -> NumbersByKey:
    """The numbers of one mount."""
    labels = (show(seen.volume), CONTAINERS if seen.is_private else show(seen.mount.path))
    said = seen.status
    found: NumbersByKey = {NumberKey(UP, labels): float(said is not None)}
    if said is None:
        return found
    found |= {NumberKey(family, labels): value for family, value in _iter_gauges(said)}
    found |= {NumberKey(LOGGED, (*labels, level)): n for level, n in said.logged.items()}
    for operation, times in said.requests.items():
        found |= _count_times(REQUESTS, (*labels, operation), times)
        found[NumberKey(FAILED, (*labels, operation))] = times.errors
    if said.activity is not None:
        found |= _count_activity(said.activity, labels)
    return found


def _iter_gauges(said: MountStatus) -> Iterator[tuple[Family, float]]:
    yield STORE_UP, float(not said.away_since_ns and not said.store_replaced)
    yield DIRTY_BYTES, said.dirty_bytes
    yield DIRTY_FILES, said.dirty_files
    yield OPEN_FILES, said.open_files
    if said.bucket is not None:
        yield LEFT_FILES, said.bucket.left_files
        return
    yield LEASE, float(not said.lease_lost)
    yield VERSION, said.version
    if said.head is not None:
        yield BEHIND, max(0, said.head - said.version)


def _count_activity(done: ActivityCounts, labels: tuple[str, ...]) -> NumbersByKey:
    found = _count_times(COMMITS, labels, done.commits) | _count_times(
        RELOADS, labels, done.reloads
    )
    simple = (
        (COMMIT_ERRORS, done.commits.errors),
        (RELOAD_ERRORS, done.reloads.errors),
        (COMMITTED, done.committed_bytes),
        (FETCHES, done.fetches),
        (READ_BYTES, done.read_bytes),
        (WRITTEN, done.written_bytes),
    )
    found |= {NumberKey(family, labels): value for family, value in simple}
    found[NumberKey(READS, (*labels, "cache"))] = done.reads_ready
    found[NumberKey(READS, (*labels, "store"))] = done.reads_waited
    if done.last_commit_ns:
        found[NumberKey(LAST_COMMIT, labels)] = done.last_commit_ns / 1e9
    return found


def _count_times(family: Family, labels: tuple[str, ...], times: RequestTimes) -> NumbersByKey:
    """A histogram, whose buckets are cumulative."""
    found = {NumberKey(family, labels, "sum"): times.total_us / 1e6}
    for bound in BOUNDS:
        below = sum(times.histogram[: bound.bit_length()])
        found[NumberKey(family, labels, f"{bound / 1e6:g}")] = below
    found[NumberKey(family, labels, "+Inf")] = times.count
    return found


class MountTotals:
    """The numbers of all mounts. A sum that must only grow does so: what a container's mount has
    counted stays in it when the mount is gone."""

    def __init__(self) -> None:
        self._last: dict[tuple[object, ...], NumbersByKey] = {}
        self._past: NumbersByKey = {}

    def add_up(self, mounts: Iterable[SeenMount]) -> NumbersByKey:
        """The numbers of all mounts, those of containers as sums for each volume."""
        total = dict(self._past)
        last: dict[tuple[object, ...], NumbersByKey] = {}
        for seen in mounts:
            numbers = count_mount(seen)
            if not seen.is_private:
                total.update(numbers)  # The topmost of several at one place is the last.
                continue
            one: tuple[object, ...] = (seen.mount.device, seen.mount.number)
            last[one] = numbers if seen.status else self._last.get(one, {}) | numbers
            add(total, last[one])
        for one, numbers in self._last.items():
            if one not in last:
                grown = {key: n for key, n in numbers.items() if key.family.kind != "gauge"}
                add(self._past, grown)
                add(total, grown)
        self._last = last
        return total


def add(total: NumbersByKey, more: NumbersByKey) -> None:
    """Add numbers. Times of commits are not added: the later one stays."""
    for key, number in more.items():
        if key.family is LAST_COMMIT:
            total[key] = max(total.get(key, 0.0), number)
        else:
            total[key] = total.get(key, 0.0) + number
