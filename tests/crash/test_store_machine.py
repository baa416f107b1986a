"""Stores and their mounts, step by step, against a model of every version, tag and view."""

from __future__ import annotations

import random
import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from tests.crash.children import count_rounds, first_seed, is_long
from tests.crash.rig_sessions import MEMORY, RigSession, step_of
from tests.crash.store_damage import DAMAGES
from tests.crash.store_operations import (
    FIRST,
    NAMES,
    SIZES,
    Collect,
    DamageAndRepair,
    Delete,
    Expire,
    LoseIndexAndRebuild,
    Reading,
    StoreOperation,
    Undelete,
    begin_model,
    choose_change,
    look,
)
from volfs.model.progress import Progress
from volfs.sessions.liveness import drop_stale_leases
from volfs.store.contract.care import GcOptions
from volfs.store.registry import open_store
from volfs.volume.check import check_store
from volfs.volume.gc import Mark

pytestmark = [pytest.mark.crash, pytest.mark.usefixtures("greedy_gc")]

STEPS = 200 if is_long() else 50
SESSIONS = 3
READINGS = 3
HOUR = 3600.0


class DiedError(Exception):
    """In place of a kill between two steps."""


class StoreMachine:
    """A store that is open, its sessions, and what should be in them."""

    def __init__(self, directory: Path, seed: int) -> None:
        self.directory = directory
        self.path = directory / "store"
        self.rng = random.Random(seed)
        self.store = open_store(str(self.path), create=True)
        self.model = begin_model(self.store)
        self.sessions: list[RigSession] = []
        self.readings: list[Reading] = []
        self.begun = 0

    def step(self) -> str:
        """Do something; what."""
        what = self.rng.choices(list(STEPS_BY_WEIGHT), list(STEPS_BY_WEIGHT.values()))[0]
        what(self)
        return what.__name__

    def check(self) -> None:
        assert look(self.store) == self.model
        for session in self.sessions:
            session.check()

    def end(self) -> None:
        """Everything in it is right, and stays so when all garbage is gone."""
        self.check()
        while self.readings:
            self.read_on()
        for session in list(self.sessions):
            self.commit(session)
        self.collect(0)
        self.check()
        report = check_store(self.store)
        assert report.is_clean, report
        self.close()

    def close(self) -> None:
        self.readings.clear()
        for session in self.sessions:
            session.rig.close()
        self.store.close()

    # --- the store -------------------------------------------------------

    def do(self, operation: StoreOperation) -> None:
        operation.act(self.store)
        operation.expect(self.model)

    def change(self) -> None:
        operation = choose_change(self.rng, self.model)
        if not (isinstance(operation, Delete) and self.is_mounted(operation.volume)):
            self.do(operation)

    def expire(self) -> None:
        name = self.rng.choice(sorted(self.model))
        volume_id = self.store.refs.get_volume(name).id
        leases = [lease for lease in drop_stale_leases(self.store) if lease.volume_id == volume_id]
        mounted = {version for lease in leases for version in lease.versions}
        mounted |= {reading.version for reading in self.readings if reading.volume == name}
        self.do(Expire(name, self.rng.randrange(1, 4), mounted))
        self.check()

    def collect(self, grace: float) -> None:
        self.do(Collect(grace))
        self.check()

    def collect_at_once(self) -> None:
        self.collect(0)

    def collect_with_grace(self) -> None:
        self.collect(HOUR)

    def collect_in_part(self) -> None:
        """As one that dies between two steps."""
        drop_stale_leases(self.store)
        options = GcOptions(time.time_ns(), self.rng.choice([0, 3600 * 10**9]))
        steps = iter(range(self.rng.randrange(1, 8)))

        def die_in_time(progress: Progress) -> None:
            if next(steps, None) is None:
                raise DiedError

        with suppress(DiedError):
            self.store.care.collect(Mark(self.store), options, die_in_time)
        self.check()

    def undelete(self) -> None:
        self.do(Undelete())
        self.check()

    def read(self) -> None:
        """Begin to read a version, or go on with one, whatever was done since."""
        if len(self.readings) < READINGS:
            name = self.rng.choice(sorted(self.model))
            version, files = self.rng.choice(sorted(self.model[name].versions.items()))
            self.readings.append(Reading(self.store, name, version, files))
        self.read_on()

    def read_on(self) -> None:
        self.rng.choice(self.readings).go_on()
        self.readings = [reading for reading in self.readings if not reading.has_ended]

    def restart(self) -> None:
        """All die; somebody may repair the store before they come back."""
        self.readings.clear()
        for session in self.sessions:
            session.die()
        self.store.close()
        seed = self.rng.getrandbits(32)
        damage = self.rng.choice(sorted(DAMAGES))
        operation = self.rng.choice(
            [DamageAndRepair(damage, seed), LoseIndexAndRebuild(seed), StoreOperation()]
        )
        operation.do(self.path)
        self.store = open_store(str(self.path))
        for session in self.sessions:
            session.begin_again(self.store, self.model[session.volume])
        self.check()

    # --- sessions --------------------------------------------------------

    def is_mounted(self, volume: str) -> bool:
        return any(session.volume == volume for session in self.sessions)

    def pick(self) -> RigSession:
        """A session; often the second one of its volume."""
        if not self.sessions or (len(self.sessions) < SESSIONS and self.rng.random() < 0.3):
            name = self.rng.choice([FIRST, *sorted(self.model)])
            self.begun += 1
            directory = self.directory / f"session-{self.begun}"
            self.sessions.append(RigSession(self.store, name, self.model[name], directory))
        return self.rng.choice(self.sessions)

    def write(self) -> None:
        session = self.pick()
        step_of(self.rng, session, NAMES, self.rng.choice(SIZES))
        session.check()

    def commit(self, session: RigSession | None = None) -> None:
        session = session or self.pick()
        session.commit(self.model[session.volume])
        session.check()

    def reload(self) -> None:
        session = self.pick()
        session.reload(self.model[session.volume])
        session.check()

    def kill(self) -> None:
        session = self.pick()
        session.die()
        session.begin_again(self.store, self.model[session.volume])
        session.check()

    def leave(self) -> None:
        session = self.pick()
        self.commit(session)
        session.end()
        self.sessions.remove(session)


STEPS_BY_WEIGHT: dict[Callable[[StoreMachine], None], int] = {
    StoreMachine.write: 12,
    StoreMachine.commit: 5,
    StoreMachine.reload: 4,
    StoreMachine.kill: 2,
    StoreMachine.leave: 2,
    StoreMachine.change: 10,
    StoreMachine.expire: 3,
    StoreMachine.collect_at_once: 2,
    StoreMachine.collect_with_grace: 3,
    StoreMachine.collect_in_part: 2,
    StoreMachine.undelete: 2,
    StoreMachine.read: 5,
    StoreMachine.restart: 1,
}


def live(directory: Path, seed: int) -> None:
    machine = StoreMachine(directory, seed)
    done: list[str] = []
    try:
        for _ in range(STEPS):
            done.append(machine.step())
        machine.end()
    except BaseException as error:
        machine.close()
        error.add_note(f"life {seed}, step {len(done)} after {', '.join(done[-10:])}")
        raise


def test_lives_of_a_store() -> None:
    for seed in range(first_seed(), first_seed() + count_rounds(100, 2000)):
        directory = Path(tempfile.mkdtemp(prefix="volfs-lives-", dir=MEMORY))
        try:
            live(directory, seed)
        finally:
            shutil.rmtree(directory)
