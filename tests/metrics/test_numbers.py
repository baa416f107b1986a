"""The samples of Prometheus: sums, histograms, and labels that are bounded and harmless."""

from __future__ import annotations

import json
import re
from importlib.resources import files
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from volfs.control.mounts import MountPoint, containers_directory
from volfs.control.protocol import ActivityCounts, MountStatus, RequestTimes
from volfs.metrics.exporter import to_metrics
from volfs.metrics.hosts_named import is_expected_host
from volfs.metrics.metric_numbers import (
    BOUNDS,
    CONTAINERS,
    DIRTY_BYTES,
    FAMILIES,
    REQUESTS,
    UP,
    MountTotals,
    NumberKey,
    count_mount,
)
from volfs.metrics.seen_mounts import SeenMount
from volfs.metrics.store_numbers import STORE_FAMILIES, count_stores
from volfs.metrics.stores import FoundStore, Measurement
from volfs.store.contract.care import Space, StoredSize

DURATIONS = st.lists(st.integers(0, 1 << 36), max_size=50)


def make_times(taken: list[int], errors: int = 0) -> RequestTimes:
    histogram = [0] * (max((us.bit_length() for us in taken), default=-1) + 1)
    for us in taken:
        histogram[us.bit_length()] += 1
    return RequestTimes(len(taken), errors, sum(taken), histogram)


def make_mount(path: str, number: int = 1, source: str = "v") -> MountPoint:
    return MountPoint(path, (0, number), "fuse.volfs", source, number, "/")


def make_seen(path: str, taken: list[int], number: int = 1, volume: str = "v") -> SeenMount:
    times = make_times(taken)
    activity = ActivityCounts(times, times, 7, 10**18, 3, 1, 100, 200, 5)
    status = MountStatus(
        volume, path, 4, 1, 2, 300, 0, False, None, "/s", "vo-1", 6,
        requests={"read": times}, activity=activity, logged={"warning": 1, "error": 0},
    )  # fmt: skip
    return SeenMount(make_mount(path, number), status)


def render(numbers: dict[NumberKey, float]) -> str:
    class Fixed:
        def collect(self) -> object:
            return to_metrics(numbers)

        def describe(self) -> object:
            return []

    registry = CollectorRegistry()
    registry.register(Fixed())  # type: ignore[arg-type]
    return generate_latest(registry).decode()


@given(DURATIONS)
def test_a_histogram_has_every_request_once(taken: list[int]) -> None:
    numbers = count_mount(make_seen("/m", taken))
    labels = ("v", "/m", "read")
    for bound in BOUNDS:
        below = numbers[NumberKey(REQUESTS, labels, f"{bound / 1e6:g}")]
        assert below == sum(us < bound for us in taken)
    assert numbers[NumberKey(REQUESTS, labels, "+Inf")] == len(taken)
    assert numbers[NumberKey(REQUESTS, labels, "sum")] == sum(taken) / 1e6


@given(st.text(min_size=1), st.text(min_size=1))
def test_any_name_is_one_label(volume: str, path: str) -> None:
    text = render(count_mount(make_seen(path, [1], volume=volume)))
    found = {
        sample.labels["mountpoint"]
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert len(found) == 1


def test_names_are_those_of_the_guide() -> None:
    for family in (*FAMILIES, *STORE_FAMILIES):
        assert re.fullmatch(r"volfs_[a-z_]+", family.name)
        assert family.name.endswith("_total") == (family.kind == "counter"), family.name
        assert not re.search(r"_(ms|us|ns|kib|mib|percent)(_|$)", family.name)
        assert family.help.endswith(".")
    names = [family.name for family in (*FAMILIES, *STORE_FAMILIES)]
    assert len(names) == len(set(names))


def private(number: int, taken: list[int]) -> SeenMount:
    return make_seen(f"{containers_directory()}/{number}", taken, number)


def test_mounts_of_containers_are_one_series_that_only_grows() -> None:
    totals = MountTotals()
    count = NumberKey(REQUESTS, ("v", CONTAINERS, "read"), "+Inf")
    dirty = NumberKey(DIRTY_BYTES, ("v", CONTAINERS))
    both = totals.add_up([private(1, [1, 2]), private(2, [3])])
    assert (both[count], both[dirty], both[NumberKey(UP, ("v", CONTAINERS))]) == (3, 600, 2)
    one = totals.add_up([private(2, [3, 4])])
    assert (one[count], one[dirty]) == (4, 300)
    hung = totals.add_up([SeenMount(private(2, []).mount, None)])
    assert (hung[count], hung[NumberKey(UP, ("v", CONTAINERS))]) == (4, 0)
    assert totals.add_up([])[count] == 4
    assert dirty not in totals.add_up([])
    again = totals.add_up([private(3, [9])])
    assert again[count] == 5


def test_two_mounts_at_one_place_are_one_series() -> None:
    below, above = make_seen("/m", [1, 1], 1), make_seen("/m", [1], 2)
    numbers = MountTotals().add_up([below, above])
    assert numbers[NumberKey(REQUESTS, ("v", "/m", "read"), "+Inf")] == 1
    render(numbers)


def test_a_store_that_cannot_be_measured_keeps_what_was_known() -> None:
    facts = FoundStore(StoredSize(2, 500, 1, 100), Space(1000, 400), 3, None)
    text = render(count_stores({"/s": Measurement(facts, 9.0, failed=True), "/t": Measurement()}))
    assert 'volfs_store_up{store="/s"} 0.0' in text
    assert 'volfs_store_size_bytes{store="/s"} 500.0' in text
    assert 'volfs_store_up{store="/t"} 0.0' in text
    assert 'volfs_store_size_bytes{store="/t"}' not in text


def test_the_dashboard_asks_for_metrics_that_there_are() -> None:
    board = json.loads(files("volfs.metrics").joinpath("dashboard.json").read_text())
    known = {family.name for family in (*FAMILIES, *STORE_FAMILIES)}
    known |= {f"{family.name}_{part}" for family in FAMILIES for part in ("bucket", "count")}
    asked = set(re.findall(r"volfs_[a-z_]+", json.dumps(board)))
    assert asked
    assert asked <= known
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])


def test_each_alert_asks_for_metrics_that_there_are_and_is_explained() -> None:
    rules = files("volfs.metrics").joinpath("alerts.yaml").read_text()
    known = {family.name for family in (*FAMILIES, *STORE_FAMILIES)}
    assert set(re.findall(r"volfs_[a-z_]+", rules)) <= known
    manual = (Path(__file__).parents[2] / "docs/operations.md").read_text()
    alerts = re.findall(r"alert: (\w+)", rules)
    assert alerts == re.findall(r"^\*\*(Volfs\w+)\.\*\*", manual, re.MULTILINE)
    for name in known:
        assert f"`{name}`" in manual, name


def test_only_names_of_its_own_lead_to_a_server() -> None:
    for header in ("localhost:9467", "127.0.0.1", "[::1]:9467", "LOCALHOST"):
        assert is_expected_host(header, "127.0.0.1", ())
    for header in ("", "evil.example", "127.0.0.1.evil.example", "evil@127.0.0.1", "localhost/x",
                   "10.0.0.1", "[::1", "a b"):  # fmt: skip
        assert not is_expected_host(header, "127.0.0.1", ())
    assert is_expected_host("node7:9467", "0.0.0.0", {"node7"})
    assert is_expected_host("10.0.0.1:9467", "0.0.0.0", ())
    assert not is_expected_host("evil.example", "0.0.0.0", {"node7"})
