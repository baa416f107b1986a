"""Which versions of a volume to keep: rules, and their result. Pure: no clock, no store.

The order of versions is that of their numbers, and dates only describe them. So a version counts
as made no later than the next one, and not in the future. ``model/doubts.py`` says which versions
stay because dates contradict each other.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from volfs.errors import InvalidError

HOUR_NS = 3600 * 1_000_000_000
DAY_NS = 24 * HOUR_NS
_UNITS_NS = {"y": 365 * DAY_NS, "m": 30 * DAY_NS, "w": 7 * DAY_NS, "d": DAY_NS, "h": HOUR_NS}
_DURATION = re.compile(r"([0-9]{1,6})([ymwdh])")

CalendarPeriod = tuple[int, ...]
PERIODS: dict[str, Callable[[datetime], CalendarPeriod]] = {
    "hourly": lambda when: (when.year, when.month, when.day, when.hour),
    "daily": lambda when: (when.year, when.month, when.day),
    "weekly": lambda when: tuple(when.isocalendar()[:2]),
    "monthly": lambda when: (when.year, when.month),
    "yearly": lambda when: (when.year,),
}


@dataclass(frozen=True, slots=True)
class KeepRules:
    """A version stays if any rule keeps it. A rule that is None does not exist.

    ``hourly`` to ``yearly`` keep the newest version of each of the last so many hours, days,
    weeks, months and years that have any.
    """

    last: int | None = None
    hourly: int | None = None
    daily: int | None = None
    weekly: int | None = None
    monthly: int | None = None
    yearly: int | None = None
    within_ns: int | None = None
    """Keeps versions that are not older than this, counted from the newest version."""
    tagged: bool = False
    """Keeps nothing that would not stay anyhow. Alone, it is a rule to keep nothing else."""

    @property
    def is_empty(self) -> bool:
        """Whether there is no rule, so that nobody has said what may go."""
        return self == KeepRules()


class Dated(NamedTuple):
    """A version and when it was made."""

    version: int
    created_ns: int


ToLocal = Callable[[int], datetime]
"""The date and time of day of nanoseconds since 1970, in the time zone whose hours, days and weeks
the rules count."""


def choose_kept(
    versions: Sequence[Dated], rules: KeepRules, to_local: ToLocal, now_ns: int | None = None
) -> dict[int, list[str]]:
    """The versions that rules keep, each with the rules' names. ``versions`` are newest first.

    ``last`` counts versions, whatever their dates. ``within`` keeps a run of the newest versions:
    no version goes while it keeps an older one. Without ``now_ns`` no date counts as in the
    future.
    """
    versions = clamp_dates(versions, now_ns)
    kept: dict[int, list[str]] = {}
    for rule, chosen in (
        ("last", versions[: rules.last or 0]),
        ("within", _choose_within(versions, rules.within_ns)),
        *((rule, _choose_periods(versions, rule, rules, to_local)) for rule in PERIODS),
    ):
        for each in chosen:
            kept.setdefault(each.version, []).append(rule)
    return kept


def clamp_dates(versions: Sequence[Dated], now_ns: int | None = None) -> list[Dated]:
    """The versions, newest first, each made no later than the next one, and not after now."""
    latest = now_ns
    clamped = []
    for each in versions:
        latest = each.created_ns if latest is None else min(latest, each.created_ns)
        clamped.append(each._replace(created_ns=latest))
    return clamped


def _choose_within(versions: Sequence[Dated], within_ns: int | None) -> Iterable[Dated]:
    if within_ns is None or not versions:
        return ()
    oldest = versions[0].created_ns - within_ns
    return (each for each in versions if each.created_ns >= oldest)


def _choose_periods(
    versions: Sequence[Dated], rule: str, rules: KeepRules, to_local: ToLocal
) -> Iterable[Dated]:
    """The newest version of each period, until there are as many as the rule says."""
    wanted: int = getattr(rules, rule) or 0
    newest: dict[CalendarPeriod, Dated] = {}
    for each in versions:
        if len(newest) == wanted:
            break
        newest.setdefault(PERIODS[rule](to_local(each.created_ns)), each)
    return newest.values()


def parse_duration(text: str) -> int:
    """Nanoseconds of ``1y2m3w4d5h``, any of these; a year is 365 days, a month 30. InvalidError."""
    found = _DURATION.findall(text)
    if not found or "".join(number + unit for number, unit in found) != text:
        raise InvalidError(f"duration {text!r}: numbers with y, m, w, d or h, such as 1y6m or 36h")
    return sum(int(number) * _UNITS_NS[unit] for number, unit in found)
