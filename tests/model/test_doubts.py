"""Wrong clocks: whatever they say, nothing goes that true dates would keep, as far as that
can be known."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from volfs.model.doubts import choose_doubted, place_versions
from volfs.model.retention import DAY_NS, HOUR_NS, Dated, KeepRules, choose_kept
from volfs.volume.history import to_local

START = int(datetime(2026, 3, 1, 9, tzinfo=UTC).timestamp()) * 10**9
YEAR_NS = 365 * DAY_NS
I64 = 1 << 63


def in_utc(ns: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=ns // 1000)


def keep(versions: list[Dated], rules: KeepRules, now_ns: int) -> set[int]:
    """What stays, as ``judge_versions`` has it."""
    kept = set(choose_kept(versions, rules, in_utc, now_ns))
    return kept | set(choose_doubted(versions, rules, in_utc, now_ns))


def make(*dates: int) -> list[Dated]:
    """Versions 1, 2 … of these dates; newest first."""
    return [Dated(*item) for item in enumerate(dates, start=1)][::-1]


DAYS = [START + day * DAY_NS for day in range(10)]
NOW = DAYS[-1] + HOUR_NS
WEEK = KeepRules(within_ns=3 * DAY_NS)
WRONG = {
    "in ten years": NOW + 10 * YEAR_NS,
    "past 2262": I64 - 1,
    "1970": 0,
    "before 1970": -YEAR_NS,
    "the first there is": -I64,
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG.keys())
@pytest.mark.parametrize("where", range(10))
@pytest.mark.parametrize(
    "rules", [WEEK, KeepRules(daily=4), KeepRules(hourly=4), KeepRules(last=4), KeepRules(weekly=2)]
)
def test_one_wrong_date_removes_nothing(wrong: int, where: int, rules: KeepRules) -> None:
    dates = [*DAYS[:where], wrong, *DAYS[where + 1 :]]
    kept = keep(make(*dates), rules, NOW)
    assert kept >= keep(make(*DAYS), rules, NOW)
    if wrong > NOW or where < 9:
        # And not much more. (A newest one at 1970 says nothing of how old the others are.)
        assert len(kept) <= len(keep(make(*DAYS), rules, NOW)) + 2


@pytest.mark.parametrize("wrong", [*WRONG.values(), START - HOUR_NS])
def test_a_wrong_clock_of_this_moment_removes_nothing(wrong: int) -> None:
    for rules in (WEEK, KeepRules(daily=4), KeepRules(hourly=2, monthly=1)):
        assert keep(make(*DAYS), rules, wrong) >= keep(make(*DAYS), rules, NOW)


def test_all_dates_equal() -> None:
    versions = make(*[START] * 5)
    assert keep(versions, WEEK, NOW) == {1, 2, 3, 4, 5}
    assert keep(versions, KeepRules(daily=2), NOW) == {5}


def test_what_is_in_doubt() -> None:
    def doubted(*dates: int) -> list[int]:
        return [each.version for each in place_versions(make(*dates), NOW) if each.in_doubt]

    assert doubted(*DAYS) == []
    assert doubted(*DAYS[:5], 0, *DAYS[6:]) == [6]
    assert doubted(NOW + YEAR_NS, *DAYS[1:]) == [1]
    assert doubted(*DAYS, NOW + 10**9) == []  # a clock that was set back a little


class Clocks(NamedTuple):
    true: list[Dated]
    said: list[Dated]
    """By clocks of which some were wrong, each so that it shows."""
    now_ns: int


@st.composite
def wrong_clocks(draw: st.DrawFn) -> Clocks:
    """Any number of versions with dates in the future, or before that of an older one."""
    steps = st.sampled_from([0, 1, 60 * 10**9, HOUR_NS, 7 * HOUR_NS, DAY_NS, 40 * DAY_NS])
    date, true, said = START, [], []
    highest: int | None = None
    for _ in range(draw(st.integers(0, 30))):
        date += draw(steps)
        true.append(date)
        kind = draw(st.sampled_from(["right", "right", "right", "future", "past"]))
        if kind == "past" and highest is not None:
            back = draw(st.integers(1, 3 * YEAR_NS) | st.just(highest + YEAR_NS))
            said.append(max(-I64, highest - back))
        elif kind == "future":
            said.append(-1)
        else:
            said.append(date)
            highest = date
    now = date + draw(steps)
    ahead = st.integers(2 * 60 * 10**9, 10 * YEAR_NS) | st.just(I64 - 1 - now)
    said = [now + draw(ahead) if each == -1 else each for each in said]
    return Clocks(make(*true), make(*said), now)


counts = st.none() | st.integers(1, 5)
windows = st.none() | st.sampled_from([0, HOUR_NS, DAY_NS, 30 * DAY_NS])
rule_sets = st.builds(KeepRules, counts, counts, counts, counts, counts, counts, windows)


@given(wrong_clocks(), rule_sets)
def test_nothing_goes_that_true_dates_keep(clocks: Clocks, rules: KeepRules) -> None:
    said, now = clocks.said, clocks.now_ns
    assert keep(said, rules, now) >= keep(clocks.true, rules, now)


@given(st.lists(st.integers(-I64, I64 - 1), max_size=20), rule_sets, st.integers(-I64, I64 - 1))
def test_any_dates_at_all(dates: list[int], rules: KeepRules, now: int) -> None:
    """No error; order alone decides for ``last``; ``within`` keeps a run of the newest; and
    the newest stays if there is any rule."""
    versions = make(*dates)
    kept = set(choose_kept(versions, rules, to_local, now))
    kept |= set(choose_doubted(versions, rules, to_local, now))
    assert kept >= {each.version for each in versions[: rules.last or 0]}
    alone = keep(versions, KeepRules(within_ns=rules.within_ns), now)
    assert alone == {each.version for each in versions[: len(alone)]}
    if versions and not rules.is_empty:
        assert versions[0].version in kept


@given(st.lists(st.integers(START, START + YEAR_NS), max_size=30).map(sorted), rule_sets)
def test_clocks_that_are_right_are_believed(dates: list[int], rules: KeepRules) -> None:
    versions = make(*dates)
    assert choose_doubted(versions, rules, in_utc, START + 2 * YEAR_NS) == []
