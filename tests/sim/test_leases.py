"""Leases: who was told that a version stays finds it, whatever the network and gc do."""

from __future__ import annotations

import re

import pytest

from tests.sim.lease_deeds import (
    run_leases,
)
from tests.sim.scheduler import ScheduleError, count_schedules, run_schedules
from volfs.model.logs.lease_log import LeaseMade
from volfs.store.distributed.leases.bucket_leases import BucketLeases
from volfs.store.distributed.leases.session_log import SessionLog

SCHEDULES = 150
MUTATED = 600
RELIED_ON = re.compile("relies on .* which gc removes|(put|renewed), and .* gone")


def test_schedules_of_leases() -> None:
    run_schedules(count_schedules(SCHEDULES), run_leases)


def find_failure(mutation: str) -> str:
    """What goes wrong in some schedule."""
    for seed in range(1, MUTATED):
        try:
            run_leases(seed)
        except ScheduleError as error:
            return str(error.cause)
    raise AssertionError(f"no schedule finds it: {mutation}")


def test_without_the_look_at_the_version_after_the_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    """L3."""
    monkeypatch.setattr(BucketLeases, "_check_versions", lambda *_: None)
    assert RELIED_ON.search(find_failure("L3"))


def test_without_the_look_at_the_line_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """L6: gc has deleted the log of a lease that it had revoked."""
    monkeypatch.setattr(SessionLog, "check_stays", lambda *_: None)
    assert RELIED_ON.search(find_failure("L6"))


def test_without_the_rule_that_others_end_a_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    """L6: a session that finds its lease revoked goes on as if it were not."""

    def go_on(log: SessionLog, made: LeaseMade) -> None:
        while log.append(log.look(), made) is None:
            pass

    monkeypatch.setattr(SessionLog, "continue_with", go_on)
    monkeypatch.setattr("volfs.model.logs.lease_log._check_same", lambda *_: None)
    assert RELIED_ON.search(find_failure("L6"))
