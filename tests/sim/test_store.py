"""Hosts that use a whole store beside gc, by hundreds of schedules."""

from __future__ import annotations

from tests.sim.host_actions import run_store
from tests.sim.scheduler import count_schedules, run_schedules

SCHEDULES = 60


def test_schedules_of_stores() -> None:
    """Every acknowledged commit is a version, or has expired; every version and every lease in
    force reads byte for byte."""
    run_schedules(count_schedules(SCHEDULES), run_store)
