"""Commits of content to a bucket: every version reads byte for byte.

Commits beside gc are in ``test_store.py`` and ``test_gc_interleavings.py``.
"""

from __future__ import annotations

from pathlib import Path

from tests.sim.by_hand import finish, step_until
from tests.sim.commit_actions import (
    Ledger,
    Scripted,
    begin_volume,
    judge,
    make_publisher,
    run_commits,
)
from tests.sim.listed_content import CHUNKS, LARGE
from tests.sim.scheduler import count_schedules, run_schedules
from tests.sim.simulation import Simulation

SCHEDULES = 150


def test_schedules_of_commits() -> None:
    run_schedules(count_schedules(SCHEDULES), run_commits)


def test_a_small_commit_is_one_request(tmp_path: Path) -> None:
    """And a large one is two: its pack, and its line. Nobody looks at the head first."""
    sim, ledger = Simulation(), Ledger()
    begin_volume(sim.direct_bucket())
    contents = [(CHUNKS[0],), (CHUNKS[1], CHUNKS[0]), (LARGE[0],)]
    client = sim.add("a", Scripted("a", contents, ledger, tmp_path, make_publisher).live)
    step_until(client, "PUT")
    before = len(sim.trace)
    finish(client)
    asked = [text.split(": ")[1].split("/")[0] for text in sim.trace[before:]]
    assert asked == ["PUT v", "PUT v", "PUT packs", "PUT v"]
    judge(sim.direct_bucket(), ledger, tmp_path)
    assert sorted(ledger.committed) == [1, 2, 3]
