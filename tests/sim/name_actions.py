"""Clients that create, fork, rename and delete volumes of few names, and what must be true then."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import NamedTuple

from tests.sim.faults import DISTURBANCES, Fate
from tests.sim.scheduler import Scheduler, telling_schedule
from tests.sim.simulation import Client, Simulation
from volfs.buckets.access import Bucket
from volfs.errors import AlreadyExistsError, StoreError, StoreUncertainError, UserError
from volfs.store.contract.refs import VolumeRecord
from volfs.store.distributed.refs.bucket_refs import BucketRefs

NAMES = ("a", "b", "c")
MakeRefs = Callable[[Bucket], BucketRefs]


def make_refs(bucket: Bucket) -> BucketRefs:
    return BucketRefs(bucket, list)


class NameAction(NamedTuple):
    """One thing that a client was to do, with the volume that it would make or delete."""

    kind: str
    name: str
    other: str
    volume: str


class NameLedger:
    """What the clients were told."""

    def __init__(self) -> None:
        self.begun: list[NameAction] = []
        self.done: list[NameAction] = []
        self.taken: list[NameAction] = []
        """Refused, because the name was another volume's."""


class Namer:
    """One client. It has a volume of its own, whose name nobody else touches."""

    def __init__(
        self, name: str, seed: int, actions: int, ledger: NameLedger, make: MakeRefs
    ) -> None:
        self._name = name
        self._chance = random.Random(f"names {name} {seed}")
        self._left = actions
        self._ledger = ledger
        self._make = make
        self._count = 0

    def live(self, client: Client) -> None:
        refs = self._make(client.bucket)
        while self._left:
            self._left -= 1
            action = self._draw()
            self._ledger.begun.append(action)
            try:
                self._carry_out(refs, action)
            except AlreadyExistsError:
                self._ledger.taken.append(action)
            except (StoreUncertainError, StoreError, UserError):
                continue
            else:
                self._ledger.done.append(action)

    def _draw(self) -> NameAction:
        kind = self._chance.choice(("create", "create", "fork", "rename", "delete", "own", "move"))
        self._count += 1
        volume = f"vo-{self._name}{self._count:021d}"
        return NameAction(kind, self._chance.choice(NAMES), self._chance.choice(NAMES), volume)

    def _carry_out(self, refs: BucketRefs, action: NameAction) -> None:
        kind, name, other, volume = action
        record = VolumeRecord(volume, other, 2, 20, 0, "sim")
        if kind == "create":
            refs.create_volume(record, b"m")
        elif kind == "fork":
            refs.fork_volume(record, (b"a", b"b"), refs.get_volume(name).id, 0)
        elif kind == "rename":
            refs.rename_volume(name, other)
        elif kind == "move":
            refs.rename_environment("main", "prod")
        elif kind == "delete":
            refs.delete_volume(name)
        else:
            own = f"own-{volume[3:]}"
            refs.create_volume(VolumeRecord(volume, own, 2, 20, 0, "sim", None, "own"), b"m")
            refs.delete_volume(own, "own")


def judge_names(bucket: Bucket, ledger: NameLedger) -> None:
    """That each living volume has a name, and that everybody was told the truth."""
    refs = make_refs(bucket)
    records = refs.list_volumes()
    assert len({record.full_name for record in records}) == len(records)
    named = {record.id for record in records}
    for volume in named:
        assert refs.logs.open(volume).refresh().state is not None, f"{volume}: a name of nothing"
    deletes = any(action.kind in ("delete", "own") for action in ledger.begun)
    for action in ledger.done:
        if action.kind in ("create", "fork"):
            is_alive = refs.logs.find(action.volume) is not None
            assert is_alive or deletes, f"acknowledged, and gone: {action}"
            assert not is_alive or action.volume in named, f"it lives without a name: {action}"
        elif action.kind == "own":
            assert refs.logs.find(action.volume) is None, f"deleted, and alive: {action}"
            assert action.volume not in named, f"deleted, and named: {action}"
    for action in ledger.taken:
        if action.kind in ("create", "fork"):
            assert refs.logs.find(action.volume) is None, f"refused, and alive: {action}"


def run_names(seed: int, make: MakeRefs = make_refs) -> Simulation:
    """One schedule: two to four clients on few names. ``ScheduleError``."""
    chance = random.Random(f"names {seed}")
    sim, ledger = Simulation(seed), NameLedger()
    for name in "abcd"[: chance.randint(2, 4)]:
        namer = Namer(name, seed, chance.randint(1, 4), ledger, make)
        sim.add(name, namer.live)
    with telling_schedule(sim, seed):
        Scheduler(sim, seed, kinds=(*DISTURBANCES, Fate.DENIED)).run()
        judge_names(sim.direct_bucket(), ledger)
    return sim
