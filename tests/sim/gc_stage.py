"""A stage for interleavings of gc that have a name: machines whose requests are moved by hand."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.sim.by_hand import step, step_until
from tests.sim.faults import Fate
from tests.sim.gc_mutants import Mutant
from tests.sim.listed_content import AT_ONCE, CHUNKS, LARGE, Content, SimMachine
from tests.sim.simulation import Client, Simulation
from tests.sim.store_actions import VOLUME, Actor, StoreLedger, begin_store
from tests.sim.store_judge import TOO_OLD, judge
from volfs.errors import VolfsError
from volfs.model.logs.volume_changes import VersionsExpired
from volfs.model.objects import Kind, Oid, compute_oid
from volfs.store.distributed.care.bucket_collector import BucketCollector
from volfs.store.distributed.place.object_keys import gc_log, pack_key, volume_log

PLACE = volume_log(VOLUME)
GC = gc_log()
Act = Callable[[Actor], object]
HIT: list[Content] = [(LARGE[0],), (CHUNKS[0],), (LARGE[0],)]
"""The third commit finds what the first has put."""
LOSSES = (AssertionError, VolfsError)


class Stage:
    """A store with one volume, and machines that do what they are told."""

    def __init__(self, place: Path) -> None:
        self.sim, self.ledger, self.place = Simulation(), StoreLedger(), place
        self.told: dict[str, list[str]] = {}
        begin_store(self.sim.direct_bucket(), place)

    def add(self, name: str, *acts: Act) -> Client:
        """A machine that does these things, one after the other. ``told`` has what came of
        each: ``ok``, or the name of the error."""
        told = self.told.setdefault(name, [])

        def live(client: Client) -> None:
            machine = SimMachine(client.bucket, self.place / name)
            try:
                actor = Actor(machine, self.ledger, random.Random(name))
                for act in acts[len(told) :]:
                    try:
                        act(actor)
                        told.append("ok")
                    except VolfsError as error:
                        told.append(type(error).__name__)
            finally:
                machine.close()

        return self.sim.add(name, live)

    def add_gc(
        self, name: str = "gc", collector: type[BucketCollector] = BucketCollector
    ) -> Client:
        return self.add(name, lambda actor: actor.machine.collect(AT_ONCE, collector))

    def do(self, act: Act, name: str = "outside") -> None:
        """Do something at once, on a machine of its own."""
        machine = SimMachine(self.sim.direct_bucket(), self.place / name)
        try:
            act(Actor(machine, self.ledger, random.Random(f"{name} {len(self.sim.trace)}")))
        finally:
            machine.close()

    def expire_unseen(self, version: int, volume: str = VOLUME) -> None:
        """Expire a version, as one who has read the leases before they were put."""

        def expire(actor: Actor) -> None:
            span = VersionsExpired(((version, version),))
            actor.machine.refs.logs.open(volume).change(lambda state: [span])

        self.ledger.expired.add((volume, version))
        self.do(expire)

    def leave_orphan(self) -> None:
        """A pack that belongs to nobody."""
        self.sim.direct_bucket().put(pack_key("a" * 26), b"a pack that nobody has published")

    def wait_with_hit(self) -> Client:
        """A client that is about to append line 4, which relies on the pack of version 1. The
        version has expired meanwhile."""
        client = self.add("a", *(commit(content) for content in HIT))
        step_until(client, "PUT", PLACE.line(3))
        self.expire_unseen(1)
        step_until(client, "PUT", PLACE.line(4))
        return client

    def has_deleted(self) -> bool:
        return any(
            "DELETE" in text and text.endswith("DONE") and "clock" not in text
            for text in self.sim.trace
        )

    def judge(self) -> None:
        while self.sim.flying:
            self.sim.land()
        self.sim.now += TOO_OLD
        judge(self.sim.direct_bucket(), self.ledger, self.place)


def commit(content: Content, volume: str = VOLUME) -> Act:
    return lambda actor: actor.commit(volume, content)


def has(chunk: bytes) -> Oid:
    return compute_oid(Kind.CHUNK, chunk)


def take_steps(client: Client, count: int) -> bool:
    """Let a client go on so often. False if it was over before."""
    for _ in range(count):
        if client.is_done:
            return False
        step(client)
    return not client.is_done


def step_past(client: Client, verb: str, key: str = "") -> None:
    """Let a client go on until such a request was answered."""
    task = step_until(client, verb, key)
    client.sim.settle(task, Fate.DONE)


def without(mutant: Mutant, play: Callable[[Stage], None], place: Path) -> None:
    """Play an interleaving with a rule taken out: something must be lost."""
    stage = Stage(place)
    with pytest.MonkeyPatch.context() as patch:
        mutant(patch)
        play(stage)
    with pytest.raises(LOSSES):
        stage.judge()
