"""Whether a store is whole after everything that clients have done to it.

Every acknowledged commit is a version, or may have been expired; every version and every lease in
force reads byte for byte; every line keeps the rules of eras; and after some more gcs the next one
removes nothing.
"""

from __future__ import annotations

import random
from itertools import count
from pathlib import Path

from tests.sim.faults import DISTURBANCES, Fate
from tests.sim.listed_content import AT_ONCE, SimMachine
from tests.sim.scheduler import Scheduler, making_disks, telling_schedule
from tests.sim.simulation import Simulation
from tests.sim.store_actions import GcClient, StoreClient, StoreLedger, begin_store
from volfs.buckets.access import Bucket
from volfs.errors import DataError
from volfs.model.logs.gc_log import GC_CHANGES, list_condemned
from volfs.model.logs.volume_changes import VOLUME_CHANGES, VersionPublished
from volfs.model.logs.volume_log import VolumeState, apply
from volfs.model.objects import Oid
from volfs.store.contract.care import GcReport
from volfs.store.distributed.care.gc_roots import RootsFinder
from volfs.store.distributed.log.log import NO_NUMBER, Log
from volfs.store.distributed.place.object_keys import gc_log, volume_log

ROUNDS = 4
"""gcs after which nothing is left to do. A pack that gc gave back may make another one useless."""
RANKED = 0.6
"""The share of the schedules in which clients have ranks."""
TOO_OLD = 7200.0
"""Seconds after which a fork that has no log is given up."""
STORMY_STEPS, MOST_STEPS = 1500, 20_000


def judge(bucket: Bucket, ledger: StoreLedger, place: Path) -> None:
    """By machines that know nothing."""
    places = (place / f"judge{number}" for number in count())
    assert not ledger.lost, ledger.lost
    judge_lines(bucket)
    judge_content(bucket, ledger, next(places))
    for _ in range(ROUNDS):
        done = collect(bucket, next(places))
        judge_content(bucket, ledger, next(places))
        if not any((done.dropped_packs, done.rewritten_packs, done.deleted_packs)):
            break
    else:
        raise AssertionError(f"gc always finds something to do: {done}")
    assert done.waiting_packs == 0, f"something waits for nothing: {done}"
    judge_lines(bucket)


def collect(bucket: Bucket, place: Path) -> GcReport:
    machine = SimMachine(bucket, place)
    try:
        return machine.collect(AT_ONCE)
    finally:
        machine.close()


def judge_content(bucket: Bucket, ledger: StoreLedger, place: Path) -> None:
    machine = SimMachine(bucket, place)
    try:
        for volume in RootsFinder(bucket, machine.refs.logs, machine.leases).list_volumes():
            judge_volume(machine, ledger, volume)
        for made in machine.leases.list_in_force():
            for _, manifest in made.versions:
                machine.read(made.volume, Oid(manifest))
    finally:
        machine.close()


def judge_volume(machine: SimMachine, ledger: StoreLedger, volume: str) -> None:
    """Everything that a volume should have is there, and reads."""
    heads = machine.list_versions(volume)
    for head in heads:
        try:
            content = machine.read(volume, head.manifest)
        except DataError as error:
            raise AssertionError(f"{volume}: version {head.version}: {error}") from None
        told = ledger.committed.get((volume, head.version))
        assert told is None or told == (head.manifest, content), f"{volume} {head.version} differs"
        assert head.manifest not in ledger.refused, f"{volume} {head.version} was refused"
    if volume not in ledger.deleted or heads:
        there = {head.version for head in heads}
        gone = {version for at, version in ledger.committed if at == volume} - there
        vanished = {version for version in gone if (volume, version) not in ledger.expired}
        assert not vanished, f"{volume}: acknowledged, and gone: {vanished}"


def judge_lines(bucket: Bucket) -> None:
    """E1, and E2 with its half that no rule of a log can know: no new pack of a line was condemned
    before, at the era of the line or below."""
    lines = [
        GC_CHANGES.decode(line.body) for _, line in Log(bucket, gc_log()).read_after(NO_NUMBER)
    ]
    condemned = [list_condemned(lines[: era + 1]) for era in range(len(lines))]
    volumes = {info.split("/")[1] for info in bucket.list_page("v/").prefixes}
    for volume in sorted(volumes):
        state: VolumeState | None = None
        for number, line in Log(bucket, volume_log(volume)).read_after(NO_NUMBER):
            changes = VOLUME_CHANGES.decode(line.body)
            for change in changes:
                if isinstance(change, VersionPublished):
                    early = {pack.name for pack in change.packs} & condemned[line.era]
                    assert not early, f"{volume}, line {number}: condemned before: {early}"
            state = apply(state, number, line.era, changes)


def run_store(seed: int) -> Simulation:
    """One schedule: one to three clients and one or two gcs. In most, nothing is disturbed but the
    order of what they do. ``ScheduleError``."""
    chance = random.Random(f"store {seed}")
    sim, ledger = Simulation(seed), StoreLedger()
    with telling_schedule(sim, seed), making_disks() as place:
        begin_store(sim.direct_bucket(), place)
        for name in "abc"[: chance.randint(1, 3)]:
            client = StoreClient(name, seed, chance.randint(2, 6), ledger, place)
            sim.add(name, client.live)
        for number in range(chance.randint(1, 2)):
            gc = GcClient(f"gc{number}", seed, chance.randint(1, 3), place)
            sim.add(f"gc{number}", gc.live)
        is_calm = chance.random() < 0.6
        kinds = (Fate.DONE,) if is_calm else (*DISTURBANCES, Fate.DENIED)
        stalls = chance.choice((0.0, 0.01, 0.03, 0.1))
        scheduler = Scheduler(
            sim, seed, kinds=kinds, deaths=not is_calm, stalls=stalls, ranked=RANKED
        )
        scheduler.run(stormy=STORMY_STEPS, most=MOST_STEPS)
        sim.now += TOO_OLD
        judge(sim.direct_bucket(), ledger, place)
    return sim
