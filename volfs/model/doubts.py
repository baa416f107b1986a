"""Dates of versions that cannot be right, and what stays because of them. Pure.

A clock may be wrong for one version or for many: ahead by years, at 1970 after a start
without a battery, or jumping. A date is *in doubt* if it is in the future, or before the
date of an older version that is not. What is in doubt counts for no rule, and a rule that
might keep such a version if its true date were known does keep it.

What holds (``tests/model/test_doubts.py`` tries it with clocks of any sort): if every
wrong date is in doubt and no right one is, then whatever the rules keep of the same
history with true dates is in ``choose_kept`` or in ``choose_doubted``.

Which of two dates that contradict each other is wrong cannot be known. While a clock that
was ahead has not been caught up with, later versions are in doubt, and stay.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from volfs.model.retention import PERIODS, Dated, KeepRules, Period, ToLocal

SLACK_NS = 60 * 1_000_000_000
"""A clock may be set back by so much without anybody calling it wrong."""


class Placed(NamedTuple):
    """A version, and between which dates it was made as far as others tell."""

    version: int
    created_ns: int
    in_doubt: bool
    earliest_ns: int | None
    """The date of the next older version whose date is not in doubt."""
    latest_ns: int | None
    """That of the next newer one; its own where it is not in doubt."""


def is_future(created_ns: int, now_ns: int) -> bool:
    return created_ns > now_ns + SLACK_NS


def place_versions(versions: Sequence[Dated], now_ns: int) -> list[Placed]:
    """The versions, newest first, as they are given."""
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
    """Versions that stay for the rules' sake because dates are in doubt, newest first.

    Also those in no doubt that a version in doubt would have taken the place of.
    """
    placed = place_versions(versions, now_ns)
    if not any(each.in_doubt for each in placed):
        return []
    kept = set(_iter_within(placed, rules.within_ns, now_ns))
    for rule in PERIODS:
        kept.update(_iter_periods(placed, rule, getattr(rules, rule) or 0, to_local))
    return sorted(kept, reverse=True)


def _iter_within(placed: Sequence[Placed], within_ns: int | None, now_ns: int) -> Iterator[int]:
    """Counted from the newest version that is not in the future; without one, all."""
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
    """The newest of each period without what is in doubt; of that, all up to there.

    But not what was made between two versions of one period: the newer one stays for it.
    """
    found: set[Period] = set()
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
