"""Metrics for Prometheus: what a scrape gets, and the server that answers scrapes."""

from __future__ import annotations

import socket
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from wsgiref.simple_server import make_server

from prometheus_client import CollectorRegistry, generate_latest, make_wsgi_app
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import ThreadingWSGIServer, _SilentHandler
from prometheus_client.registry import Collector

from volfs.metrics.hosts_named import is_expected_host
from volfs.metrics.metric_numbers import FAMILIES, Family, MountTotals, NumberKey, NumbersByKey
from volfs.metrics.seen_mounts import SeenMount, look
from volfs.metrics.store_numbers import STORE_FAMILIES, count_stores
from volfs.metrics.stores import StoreWatch, is_ours

STORES = 1.0
"""Seconds that a scrape waits for stores to be measured. Later results are in the next scrape."""
FIRST = 20.0
"""Seconds that a process waits which makes one measurement and ends."""
WsgiStart = Callable[..., Any]
WsgiApp = Callable[[dict[str, Any], WsgiStart], Iterable[bytes]]


class MountCollector(Collector):
    """Looks at all mounts and stores whenever a scrape asks."""

    def __init__(self, store: str | None = None, patience: float = STORES) -> None:
        """``store`` is measured in any case, if it belongs to this user."""
        self._store = store
        self._patience = patience
        self._totals, self._watch = MountTotals(), StoreWatch()
        self._lock = threading.Lock()

    def collect(self) -> Iterator[Metric]:
        began = time.monotonic()
        mounts = look()
        with self._lock:
            numbers = self._totals.add_up(mounts)
        stores = filter(is_ours, self._list_stores(mounts))
        numbers |= count_stores(self._watch.ask(stores, self._patience))
        yield from to_metrics(numbers)
        took = time.monotonic() - began
        yield GaugeMetricFamily("volfs_scrape_duration_seconds", "Time of this scrape.", value=took)

    def describe(self) -> Iterable[Metric]:
        return []  # Registering must not look at anything.

    def _list_stores(self, mounts: list[SeenMount]) -> list[str]:
        found = [seen.status.store for seen in mounts if seen.status and not seen.status.bucket]
        return ([self._store] if self._store else []) + found


def to_metrics(numbers: NumbersByKey) -> Iterator[Metric]:
    """The numbers as prometheus_client takes them, in the order of the families."""
    by_family: dict[Family, list[tuple[NumberKey, float]]] = defaultdict(list)
    for key, number in numbers.items():
        by_family[key.family].append((key, number))
    for family in (*FAMILIES, *STORE_FAMILIES):
        if family in by_family:
            yield _to_metric(family, by_family[family])


def _to_metric(family: Family, found: list[tuple[NumberKey, float]]) -> Metric:
    if family.kind == "histogram":
        return _to_histogram(family, found)
    kind = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
    metric = kind(family.name, family.help, labels=family.labels)
    for key, number in found:
        metric.add_metric(key.labels, number)
    return metric


def _to_histogram(family: Family, found: list[tuple[NumberKey, float]]) -> Metric:
    metric = HistogramMetricFamily(family.name, family.help, labels=family.labels)
    parts: dict[tuple[str, ...], dict[str, float]] = defaultdict(dict)
    for key, number in found:
        parts[key.labels][key.part] = number
    for labels, numbers in parts.items():
        total = numbers.pop("sum")
        metric.add_metric(labels, list(numbers.items()), total)
    return metric


def make_registry(store: str | None = None, patience: float = STORES) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(MountCollector(store, patience))
    return registry


def print_once(store: str | None = None) -> str:
    """What one scrape gets."""
    return generate_latest(make_registry(store, FIRST)).decode()


# --- the server --------------------------------------------------------------


def make_metrics_server(
    host: str, port: int, store: str | None, allowed: Iterable[str] = ()
) -> ThreadingWSGIServer:
    """A server that answers scrapes, each in a thread of its own. OSError.

    Besides the address itself, only these names are accepted as the host of a request.
    """
    app = guard(make_wsgi_app(make_registry(store)), host, frozenset(allowed))
    server = make_server(host, port, app, _class_for(host), handler_class=_SilentHandler)
    assert isinstance(server, ThreadingWSGIServer)
    return server


def _class_for(host: str) -> type[ThreadingWSGIServer]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = {"address_family": family, "daemon_threads": True}
    return type("MetricsServer", (ThreadingWSGIServer,), made)


def guard(app: WsgiApp, host: str, allowed: frozenset[str]) -> WsgiApp:
    """The app, but only for ``/metrics``, and only for requests that name a host of ours. So a page
    of another site whose name leads here gets nothing."""

    def answer(environ: dict[str, Any], start: WsgiStart) -> Iterable[bytes]:
        if not is_expected_host(environ.get("HTTP_HOST", ""), host, allowed):
            return _refuse(start, "403 Forbidden", "another host; see --allow-host\n")
        if environ.get("PATH_INFO") != "/metrics":
            return _refuse(start, "404 Not Found", "metrics are at /metrics\n")
        return app(environ, start)

    return answer


def _refuse(start: WsgiStart, status: str, why: str) -> list[bytes]:
    start(status, [("Content-Type", "text/plain; charset=utf-8")])
    return [why.encode()]
