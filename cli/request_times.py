"""The requests to mounts, by operation: their number, the number of failures, and the time they
took."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from volfs_cli.columns import Column
from volfs_cli.listings import print_listing
from volfs_cli.output import show_count

if TYPE_CHECKING:
    from volfs.control.protocol import RequestTimes

COLUMNS_OF_REQUESTS = (
    Column("Mountpoint", cut="middle"),
    Column("Operation"),
    Column("Requests", show_count),
    Column("Errors", show_count),
    Column("Mean us", show_count, rank=1),
    Column("P50 us", show_count, rank=2),
    Column("P99 us", show_count),
)


def print_requests(
    mounts: Iterable[tuple[str, Mapping[str, RequestTimes]]], *, as_json: bool
) -> None:
    """Print a row for each operation of each mount. Operations that took the most time in total
    come first."""
    rows = [row for mountpoint, requests in mounts for row in _iter_rows(mountpoint, requests)]
    print_listing(COLUMNS_OF_REQUESTS, rows, as_json=as_json)


def _iter_rows(
    mountpoint: str, requests: Mapping[str, RequestTimes]
) -> Iterator[tuple[str | int, ...]]:
    from volfs.metrics.rates import find_bound

    for name, times in sorted(requests.items(), key=lambda item: -item[1].total_us):
        bounds = (find_bound(times.histogram, percent) for percent in (50, 99))
        mean = times.total_us // times.count if times.count else 0
        yield mountpoint, name, times.count, times.errors, mean, *bounds


def to_json(requests: Mapping[str, RequestTimes]) -> dict[str, dict[str, Any]]:
    """The requests of a mount by operation. The histogram has the number of requests below each
    time and not below half of it; empty counts are left out."""
    return {name: _to_json(times) for name, times in requests.items()}


def _to_json(times: RequestTimes) -> dict[str, Any]:
    bounds = ((1 << power, count) for power, count in enumerate(times.histogram))
    return {
        "count": times.count,
        "errors": times.errors,
        "total_us": times.total_us,
        "histogram": [{"below_us": below, "count": count} for below, count in bounds if count],
    }
