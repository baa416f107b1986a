"""Keep rules: what stays, and that more rules keep more."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from volfs.errors import UserError
from volfs.model.retention import (
    DAY_NS,
    HOUR_NS,
    Dated,
    KeepRules,
    choose_kept,
    parse_duration,
)

START = datetime(2024, 12, 28, 22, 30, tzinfo=UTC)
PERIODS = ["hourly", "daily", "weekly", "monthly", "yearly"]


def in_utc(ns: int) -> datetime:
    return datetime.fromtimestamp(ns / 1e9, UTC)


def make(*hours: int) -> list[Dated]:
    """Versions 1, 2 … made so many hours after the start; newest first."""
    times = [int((START + timedelta(hours=hour)).timestamp()) * 10**9 for hour in hours]
    return [Dated(number, ns) for number, ns in enumerate(times, start=1)][::-1]


def keep(versions: list[Dated], **rules: int) -> list[int]:
    return sorted(choose_kept(versions, KeepRules(**rules), in_utc))


EVERY_HOUR = make(*range(24 * 40))


def test_no_rule_keeps_nothing() -> None:
    assert KeepRules().is_empty
    assert keep(EVERY_HOUR) == []
    assert not KeepRules(tagged=True).is_empty
    assert keep(EVERY_HOUR, tagged=True) == []


def test_the_last_ones() -> None:
    assert keep(EVERY_HOUR, last=3) == [958, 959, 960]
    assert keep(EVERY_HOUR[:2], last=3) == [959, 960]


def test_the_newest_of_each_day() -> None:
    # The first version is of 22:30, so a day's last has a number of 2 more than a day's hours.
    assert keep(EVERY_HOUR, daily=3) == [24 * 38 + 2, 24 * 39 + 2, 960]


def test_weeks_are_those_of_the_calendar() -> None:
    """30 December 2024 is a Monday, of the first week of 2025."""
    versions = make(0, 24, 26, 48, 24 * 8)
    assert [in_utc(each.created_ns).day for each in versions[::-1]] == [28, 29, 30, 30, 5]
    assert keep(versions, weekly=9) == [2, 5]
    assert keep(versions, monthly=9) == [4, 5]
    assert keep(versions, yearly=9) == [4, 5]
    assert keep(versions, daily=9) == [1, 2, 4, 5]
    assert keep(versions, hourly=2) == [4, 5]


def test_periods_without_versions_do_not_count() -> None:
    versions = make(0, 1000, 20_000)
    assert keep(versions, daily=2) == [2, 3]
    assert keep(versions, yearly=2) == [2, 3]


def test_days_are_those_of_the_place() -> None:
    versions = make(0, 1, 2)
    east = timezone(timedelta(hours=2))
    there = choose_kept(
        versions, KeepRules(daily=9), lambda ns: datetime.fromtimestamp(ns / 1e9, east)
    )
    assert sorted(there) == [3]
    assert keep(versions, daily=9) == [2, 3]


def test_within_counts_from_the_newest() -> None:
    assert keep(make(0, 1, 2, 10), within_ns=8 * HOUR_NS) == [3, 4]
    assert keep([], within_ns=8 * HOUR_NS) == []
    assert keep(make(0, 1), within_ns=0) == [2]


def test_each_rule_is_named() -> None:
    kept = choose_kept(make(0, 1), KeepRules(last=1, daily=1, within_ns=DAY_NS), in_utc)
    assert kept == {2: ["last", "within", "daily"], 1: ["within"]}


@st.composite
def histories(draw: st.DrawFn) -> list[Dated]:
    """Clocks may go back, and there are gaps in the numbers."""
    hours = draw(st.lists(st.integers(0, 20_000), max_size=30))
    versions = make(*(hours if draw(st.booleans()) else sorted(hours)))
    return [each for each in versions if draw(st.integers(0, 3))]


counts = st.none() | st.integers(1, 6)
rule_sets = st.builds(
    KeepRules, counts, counts, counts, counts, counts, counts, st.none() | st.just(DAY_NS * 30)
)


@given(histories(), rule_sets, st.data())
def test_more_of_a_rule_never_keeps_less(
    versions: list[Dated], rules: KeepRules, data: st.DataObject
) -> None:
    name = data.draw(st.sampled_from(["last", *PERIODS]))
    more = replace(rules, **{name: (getattr(rules, name) or 0) + 1})
    assert choose_kept(versions, rules, in_utc).keys() <= choose_kept(versions, more, in_utc).keys()


@given(histories(), rule_sets)
def test_rules_are_independent(versions: list[Dated], rules: KeepRules) -> None:
    each: set[int] = set()
    for name in ("last", "within_ns", *PERIODS):
        alone = KeepRules(**{name: getattr(rules, name)})
        each |= choose_kept(versions, alone, in_utc).keys()
    assert choose_kept(versions, rules, in_utc).keys() == each


@given(histories(), st.sampled_from(PERIODS), st.integers(1, 6))
def test_one_of_each_period_and_it_is_the_newest(
    versions: list[Dated], rule: str, count: int
) -> None:
    kept = keep(versions, **{rule: count})
    assert len(kept) == min(count, len(keep(versions, **{rule: len(versions) or 1})))
    assert not versions or versions[0].version in kept


@given(histories(), rule_sets)
def test_expiring_again_removes_nothing(versions: list[Dated], rules: KeepRules) -> None:
    kept = choose_kept(versions, rules, in_utc)
    left = [each for each in versions if each.version in kept]
    assert choose_kept(left, rules, in_utc).keys() == kept.keys()


@pytest.mark.parametrize(
    ("text", "hours"),
    [("36h", 36), ("0h", 0), ("1d12h", 36), ("2w", 336), ("1y1m", 395 * 24), ("1h1h", 2)],
)
def test_durations(text: str, hours: int) -> None:
    assert parse_duration(text) == hours * HOUR_NS


@pytest.mark.parametrize("text", ["", "h", "5", "5 d", "1x", "d1", "-1d", "1d2", "1.5h", "٣d"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(UserError, match="duration"):
        parse_duration(text)
