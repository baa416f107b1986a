"""Stores that several clients make at once, in a network that loses and repeats requests."""

from __future__ import annotations

import random

from tests.sim.faults import DISTURBANCES, Fate
from tests.sim.scheduler import Scheduler, count_schedules, run_schedules, telling_schedule
from tests.sim.simulation import Client, Simulation
from volfs.errors import AlreadyExistsError, StoreError
from volfs.store.distributed.creation import create_store, examine_store

SCHEDULES = 40
KINDS = [fate for fate in DISTURBANCES if fate not in (Fate.LATE, Fate.ECHO)]
"""A creation that arrives after its deletion looks like a service that deletes late."""


def run_creations(seed: int) -> Simulation:
    """One schedule: at most one store is made, and an honest service is never called unfit."""
    sim, made = Simulation(seed), list[str]()

    def live(client: Client) -> None:
        try:
            made.append(create_store(client.bucket, "sim://bucket").store)
        except (AlreadyExistsError, StoreError):
            pass

    for name in "ab"[: random.Random(seed).randint(1, 2)]:
        sim.add(name, live)
    with telling_schedule(sim, seed):
        Scheduler(sim, seed, kinds=KINDS).run()
        assert len(made) <= 1
        if made:
            assert examine_store(sim.direct_bucket(), "sim://bucket").store == made[0]
    return sim


def test_schedules_of_creation() -> None:
    run_schedules(count_schedules(SCHEDULES), run_creations)
