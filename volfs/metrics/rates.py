"""What mounts did between two looks, for people who watch. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from volfs.control.protocol import ActivityCounts, MountStatus, RequestTimes
from volfs.metrics.seen_mounts import SeenMount


class OperationRate(NamedTuple):
    """One operation of a mount in the time between two looks."""

    operation: str
    per_second: float
    errors_per_second: float
    mean_us: float
    p99_us: int
    """A power of two, below which 99 of 100 requests stayed."""
    busy: float
    """The share of the time that it took; more than 1 if several run at a time."""


class MountRate(NamedTuple):
    """One mount in the time between two looks. Sizes are those of the later look."""

    volume: str
    mountpoint: str
    state: str
    version: int | None
    behind: int
    dirty_files: int
    dirty_bytes: int
    open_files: int
    requests_per_second: float
    errors_per_second: float
    read_bytes_per_second: float
    written_bytes_per_second: float
    p99_us: int
    cache_share: float | None
    """The share of reads that did not have to wait; None if there were none."""
    commits: int
    failed_commits: int
    commit_mean_ms: float | None
    operations: Sequence[OperationRate]
    """The busiest first."""


class Look(NamedTuple):
    """The mounts at one time, in seconds of a clock that nobody sets."""

    at: float
    mounts: Sequence[SeenMount]


def compare(before: Look | None, now: Look) -> list[MountRate]:
    """The rates of each mount between two looks. Without a look before, all rates are 0. A mount
    that was not there before counts from its beginning."""
    known = {_identify(seen): seen.status for seen in before.mounts} if before else {}
    seconds = max(now.at - before.at, 0.001) if before else 0.0
    return [_compare(seen, known.get(_identify(seen)), seconds) for seen in now.mounts]


def _identify(seen: SeenMount) -> tuple[object, ...]:
    return seen.mount.device, seen.mount.number


def describe_state(status: MountStatus | None) -> str:
    """The state in a few words, ``ok`` if all is well."""
    if status is None:
        return "not answering"
    if status.away_since_ns:
        return "store unreachable"
    if status.lease_lost:
        return "lease lost"
    return "store replaced" if status.store_replaced else "ok"


def _compare(seen: SeenMount, before: MountStatus | None, seconds: float) -> MountRate:
    now = seen.status
    if now is None:
        nothing = (0, 0, 0, 0, 0.0, 0.0, 0.0, 0.0, 0, None, 0, 0, None, ())
        return MountRate(seen.volume, seen.mount.path, describe_state(None), None, *nothing)
    operations = _list_operations(before.requests if before else {}, now.requests, seconds)
    merged = _merge([_take(now.requests[name], before, name) for name in now.requests])
    done = _subtract_activity(before.activity if before else None, now.activity)
    per = 1 / seconds if seconds else 0.0
    reads = done.reads_ready + done.reads_waited
    made = done.commits.count
    return MountRate(
        seen.volume,
        seen.mount.path,
        describe_state(now),
        None if now.bucket else now.version,
        max(0, (now.head or 0) - now.version),
        now.dirty_files,
        now.dirty_bytes,
        now.open_files,
        merged.count * per,
        merged.errors * per,
        done.read_bytes * per,
        done.written_bytes * per,
        find_bound(merged.histogram, 99) if seconds else 0,
        done.reads_ready / reads if reads and seconds else None,
        made if seconds else 0,
        done.commits.errors if seconds else 0,
        done.commits.total_us / made / 1000 if made and seconds else None,
        operations,
    )


def _list_operations(
    before: Mapping[str, RequestTimes], now: Mapping[str, RequestTimes], seconds: float
) -> list[OperationRate]:
    found = []
    for name, times in now.items():
        new = subtract_times(times, before.get(name))
        if new.count and seconds:
            found.append(
                OperationRate(
                    name,
                    new.count / seconds,
                    new.errors / seconds,
                    new.total_us / new.count,
                    find_bound(new.histogram, 99),
                    new.total_us / 1e6 / seconds,
                )
            )
    return sorted(found, key=lambda one: -one.busy)


def _take(times: RequestTimes, before: MountStatus | None, name: str) -> RequestTimes:
    return subtract_times(times, before.requests.get(name) if before else None)


def subtract_times(now: RequestTimes, before: RequestTimes | None) -> RequestTimes:
    """What was added since ``before``; everything if the counts began again."""
    if before is None or before.count > now.count:
        return now
    old = before.histogram + [0] * (len(now.histogram) - len(before.histogram))
    histogram = [n - o for n, o in zip(now.histogram, old, strict=False)]
    return RequestTimes(
        now.count - before.count,
        now.errors - before.errors,
        now.total_us - before.total_us,
        histogram,
    )


def _merge(all_times: Sequence[RequestTimes]) -> RequestTimes:
    length = max((len(times.histogram) for times in all_times), default=0)
    histogram = [0] * length
    for times in all_times:
        for power, count in enumerate(times.histogram):
            histogram[power] += count
    return RequestTimes(
        sum(times.count for times in all_times),
        sum(times.errors for times in all_times),
        sum(times.total_us for times in all_times),
        histogram,
    )


_NOTHING = RequestTimes(0, 0, 0, [])
_IDLE = ActivityCounts(_NOTHING, _NOTHING, 0, 0, 0, 0, 0, 0, 0)


def _subtract_activity(before: ActivityCounts | None, now: ActivityCounts | None) -> ActivityCounts:
    if now is None:
        return _IDLE
    old = before or _IDLE
    return msgspec.structs.replace(
        now,
        commits=subtract_times(now.commits, old.commits),
        reloads=subtract_times(now.reloads, old.reloads),
        reads_ready=now.reads_ready - old.reads_ready,
        reads_waited=now.reads_waited - old.reads_waited,
        read_bytes=now.read_bytes - old.read_bytes,
        written_bytes=now.written_bytes - old.written_bytes,
    )


def find_bound(histogram: Sequence[int], percent: int) -> int:
    """The time in microseconds, a power of two, below which ``percent`` of the requests stayed."""
    wanted = -(-sum(histogram) * percent // 100)
    seen = 0
    for power, count in enumerate(histogram):
        seen += count
        if seen >= wanted > 0:
            return 1 << power
    return 0
