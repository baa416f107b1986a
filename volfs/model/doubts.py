"""Dates of versions that cannot be right, and versions that stay because of them. Pure.

A clock may be wrong for one version or for many: ahead by years, at 1970 after a start without a
battery, or jumping. A date is *in doubt* if it is in the future, or before the date of an older
version that is not in doubt. A date in doubt counts for no rule. If a rule might keep the version,
were its true date known, the version stays.

``tests/model/test_doubts.py`` tries this promise with clocks of any sort: if every wrong date is
in doubt and no right one is, then every version that the rules keep of the same history with true
dates is in ``choose_kept`` or in ``choose_doubted``.

If two dates contradict each other, nobody can know which one is wrong. Until the present has
caught up with a clock that was ahead, later versions are in doubt, and stay.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from volfs.model.retention import PERIODS, CalendarPeriod, Dated, KeepRules, ToLocal

SLACK_NS = 60 * 1_000_000_000
"""By how much a clock may be set back before its dates are called wrong."""


class Placed(NamedTuple):
    """A version, and the dates between which it was made, as far as other versions tell."""

    version: int
    created_ns: int
    in_doubt: bool
    earliest_ns: int | None
    """The date of the next older version whose date is not in doubt."""
    latest_ns: int | None
    """The date of the next newer version that is not in doubt; the version's own date if that is
    not."""


def is_future(created_ns: int, now_ns: int) -> bool:
    return created_ns > now_ns + SLACK_NS


def place_versions(versions: Sequence[Dated], now_ns: int) -> list[Placed]:
    """Place the versions, which are given newest first."""
    placed: list[Placed] = []
    highest: int | None = None
    for version, created_ns in reversed(versions):
        is_back = highest is not None and created_ns < highest
        in_doubt = is_back or is_future(created_ns, now_ns)
        placed.append(Placed(version, created_ns, in_doubt, highest, None))
        highest = highest if in_doubt else created_ns
    return list(_fill_latest(reversed(placed)))


def _fill_latest(placed: Iterable[Placed]) -> Iterator[Placed]:
    latest: int | None = None
    for each in placed:
        latest = latest if each.in_doubt else each.created_ns
        yield each._replace(latest_ns=latest)


def choose_doubted(
    versions: Sequence[Dated], rules: KeepRules, to_local: ToLocal, now_ns: int
) -> list[int]:
    """Versions that stay only because dates are in doubt, newest first.

    Among them are versions not in doubt whose place a version in doubt would have taken.
    """
    placed = place_versions(versions, now_ns)
    if not any(each.in_doubt for each in placed):
        return []
    kept = set(_iter_within(placed, rules.within_ns, now_ns))
    for rule in PERIODS:
        kept.update(_iter_periods(placed, rule, getattr(rules, rule) or 0, to_local))
    return sorted(kept, reverse=True)


def _iter_within(placed: Sequence[Placed], within_ns: int | None, now_ns: int) -> Iterator[int]:
    """The versions that ``within`` might keep.

    The time counts from the newest version that is not in the future. Without one, all might stay.
    """
    if within_ns is None:
        return
    dates = (each.created_ns for each in placed if not is_future(each.created_ns, now_ns))
    newest = next(dates, None)
    for each in placed:
        if newest is None or each.latest_ns is None or each.latest_ns >= newest - within_ns:
            yield each.version


def _iter_periods(
    placed: Sequence[Placed], rule: str, wanted: int, to_local: ToLocal
) -> Iterator[int]:
    """The versions that a rule of periods might keep.

    Of each period that is the newest version not in doubt, and those in doubt up to it. A version
    between two others of its period is not among them, because the newer one stays for that
    period.
    """
    found: set[CalendarPeriod] = set()
    for version, created_ns, in_doubt, earliest_ns, latest_ns in placed:
        if len(found) == wanted:
            return
        period = PERIODS[rule](to_local(created_ns))
        if in_doubt:
            ends = [earliest_ns, latest_ns]
            periods = {PERIODS[rule](to_local(end)) for end in ends if end is not None}
            if None in ends or len(periods) > 1:
                yield version
        elif period not in found:
            found.add(period)
            yield version
