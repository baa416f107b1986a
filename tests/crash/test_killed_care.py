"""kill -9 in gc, restore, expiry, repair and rebuilding: every version that stays is whole."""

from __future__ import annotations

import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.crash.children import Child, Say, count_rounds, first_seed
from tests.crash.deeds import (
    FIRST,
    Collect,
    Deed,
    Expire,
    HurtAndRebuild,
    HurtAndRepair,
    Model,
    Publish,
    Undelete,
    choose_change,
    choose_files,
    copy_model,
)
from tests.crash.household import Household
from tests.crash.wounds import WOUNDS

pytestmark = [pytest.mark.crash, pytest.mark.usefixtures("greedy_gc")]

POINTS = (
    "gc.copied",
    "gc.durable",
    "gc.unmoved",
    "gc.moved",
    "gc.doomed",
    "gc.cut",
    "gc.removed",
    "gc.forgotten",
    "undelete.returned",
    "expire.unmoved",
    "expire.moved",
    "names.logged",
    "repair.found",
    "repair.indexed",
    "repair.dropped",
    "repair.durable",
    "repair.rewritten",
    "rebuild.begun",
    "rebuild.scanned",
    "rebuild.cleared",
    "rebuild.placed",
    "publish.durable",
    "publish.unmoved",
    "publish.moved",
)
Choose = Callable[[random.Random, Model], Deed]


def live(household: Household, say: Say, seed: int) -> None:
    """In the child: one deed after another, each announced and acknowledged."""
    model = copy_model(household.model)
    rng = random.Random(seed)
    for choose in CHORES:
        deed = choose(rng, model)
        say("begin", deed)
        deed.do(household.path)
        say("done")
        deed.expect(model)


def publish_all(rng: random.Random, model: Model) -> Deed:
    """So that most of what is stored is in use by nobody soon."""
    history = model[FIRST]
    files = choose_files(rng, history.versions[history.head])
    return Publish(FIRST, files | {"b": rng.randbytes(20_000)})


def expire(rng: random.Random, model: Model) -> Deed:
    return Expire(rng.choice(sorted(model)), rng.randrange(1, 3))


def mend(wound: str) -> Choose:
    return lambda rng, model: HurtAndRepair(wound, rng.getrandbits(32))


CHORES = (
    publish_all,
    choose_change,
    choose_change,
    expire,
    lambda rng, model: Collect(rng.choice([0, 3600])),
    publish_all,
    lambda rng, model: Undelete(),
    choose_change,
    publish_all,
    publish_all,
    lambda rng, model: Expire(FIRST, 1),
    lambda rng, model: Collect(0),
    *map(mend, WOUNDS),
    lambda rng, model: HurtAndRebuild(rng.getrandbits(32)),
)
"""One life: what a store is for, in an order in which each has something to do."""


@pytest.fixture
def household() -> Iterator[Household]:
    directory = Path(tempfile.mkdtemp(prefix="volfs-household-", dir="/dev/shm"))
    yield Household(directory)
    shutil.rmtree(directory)


def die_once(household: Household, seed: int, fault: str, moment: float | None = None) -> Child:
    child = Child(lambda say: live(household, say, seed), fault)
    if moment is None:
        child.end()
    else:
        child.listen(random.Random(seed).randrange(2 * len(CHORES)))
        child.kill(moment)
    household.judge(child.said)
    return child


def test_killed_at_named_points(household: Household) -> None:
    rounds = count_rounds(2 * len(POINTS), 4000)
    killed: Counter[str] = Counter()
    for number in range(rounds):
        point, count = POINTS[number % len(POINTS)], 1 + number // len(POINTS) % 2
        fault = f"{point}:{count}:kill"
        killed[point] += die_once(household, first_seed() + number, fault).was_killed
    assert len(+killed) > len(POINTS) * 0.9, killed
    assert killed.total() > rounds / 2, killed


def test_killed_at_any_moment(household: Household) -> None:
    rounds = count_rounds(20, 1000)
    for seed in range(first_seed(), first_seed() + rounds):
        die_once(household, seed, "", random.Random(-seed).random() * 0.03)
