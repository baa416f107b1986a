"""kill -9 in gc, restore, expiry, repair and rebuilding: every version that stays is whole."""

from __future__ import annotations

import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.crash.checked_store import CheckedStore
from tests.crash.children import Child, Say, count_rounds, first_seed
from tests.crash.store_damage import DAMAGES
from tests.crash.store_operations import (
    FIRST,
    Collect,
    DamageAndRepair,
    Expire,
    LoseIndexAndRebuild,
    Model,
    Publish,
    StoreOperation,
    Undelete,
    choose_change,
    choose_files,
    copy_model,
)

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
Choose = Callable[[random.Random, Model], StoreOperation]


def live(checked: CheckedStore, say: Say, seed: int) -> None:
    """In the child: one operation after another, each announced and acknowledged."""
    model = copy_model(checked.model)
    rng = random.Random(seed)
    for choose in CHORES:
        operation = choose(rng, model)
        say("begin", operation)
        operation.do(checked.path)
        say("done")
        operation.expect(model)


def publish_all(rng: random.Random, model: Model) -> StoreOperation:
    """So that most of what is stored is in use by nobody soon."""
    history = model[FIRST]
    files = choose_files(rng, history.versions[history.head])
    return Publish(FIRST, files | {"b": rng.randbytes(20_000)})


def expire(rng: random.Random, model: Model) -> StoreOperation:
    return Expire(rng.choice(sorted(model)), rng.randrange(1, 3))


def mend(damage: str) -> Choose:
    return lambda rng, model: DamageAndRepair(damage, rng.getrandbits(32))


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
    *map(mend, DAMAGES),
    lambda rng, model: LoseIndexAndRebuild(rng.getrandbits(32)),
)
"""One life: what a store is for, in an order in which each has something to do."""


@pytest.fixture
def checked() -> Iterator[CheckedStore]:
    directory = Path(tempfile.mkdtemp(prefix="volfs-checked-", dir="/dev/shm"))
    yield CheckedStore(directory)
    shutil.rmtree(directory)


def die_once(checked: CheckedStore, seed: int, fault: str, moment: float | None = None) -> Child:
    child = Child(lambda say: live(checked, say, seed), fault)
    if moment is None:
        child.end()
    else:
        child.listen(random.Random(seed).randrange(2 * len(CHORES)))
        child.kill(moment)
    checked.judge(child.said)
    return child


def test_killed_at_named_points(checked: CheckedStore) -> None:
    rounds = count_rounds(2 * len(POINTS), 4000)
    killed: Counter[str] = Counter()
    for number in range(rounds):
        point, count = POINTS[number % len(POINTS)], 1 + number // len(POINTS) % 2
        fault = f"{point}:{count}:kill"
        killed[point] += die_once(checked, first_seed() + number, fault).was_killed
    assert len(+killed) > len(POINTS) * 0.9, killed
    assert killed.total() > rounds / 2, killed


def test_killed_at_any_moment(checked: CheckedStore) -> None:
    rounds = count_rounds(20, 1000)
    for seed in range(first_seed(), first_seed() + rounds):
        die_once(checked, seed, "", random.Random(-seed).random() * 0.03)
