"""gc by many schedules, beside everything that a store does.

There are commits, mounts, expiry, forks, revoked leases, deletions, two gcs without a grace and
undelete, in any order, with a bad network and with deaths. ``VOLFS_PROVE=long`` runs a hundred
times as many. Random orders find two of the rules when they are taken out. Which rules gc needs,
each with the loss that follows without it, is in ``test_gc_interleavings.py`` and
``test_many_gcs.py``.
"""

from __future__ import annotations

import pytest

from tests.sim import gc_mutants
from tests.sim.scheduler import ScheduleError, count_schedules, run_schedules
from tests.sim.store_judge import run_store

SCHEDULES = 40


def test_schedules_of_stores() -> None:
    run_schedules(count_schedules(SCHEDULES), run_store)


@pytest.mark.parametrize(
    "mutant",
    [gc_mutants.no_fence, gc_mutants.looks_once],
    ids=lambda mutant: mutant.__name__,
)
def test_schedules_find_what_is_missing(
    mutant: gc_mutants.Mutant, monkeypatch: pytest.MonkeyPatch
) -> None:
    mutant(monkeypatch)

    def find() -> None:
        for seed in range(1, 100):
            run_store(seed)

    with pytest.raises(ScheduleError):
        find()
