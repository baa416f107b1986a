"""kill -9 in gc, restore, expiry, repair and rebuilding: every version that stays is whole."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence

import pytest

from tests.crash.checked_store import CheckedStore
from tests.crash.children import Child, Say, count_rounds, first_seed
from tests.crash.life_places import LifePlace, NewPlace
from tests.crash.store_damage import BUCKET_DAMAGES, DAMAGES
from tests.crash.store_operations import (
    FIRST,
    Collect,
    DamageAndRepair,
    Expire,
    LoseIndexAndRebuild,
    Model,
    Publish,
    Rebuild,
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
POINTS_IN_A_BUCKET = (
    "gc.copied",
    "gc.durable",
    "gc.condemned",
    "gc.fenced",
    "gc.doomed",
    "gc.adopted",
    "gc.removed",
    "undelete.returned",
    "mending.checkpoint",
    "mending.copied",
    "mending.replaced",
    "mending.unnoted",
    "checkpoint.begun",
    "checkpoint.stored",
    "upload.put",
    "upload.stored",
    "publish.durable",
    "publish.moved",
    "append.begun",
    "append.stored",
)
Choose = Callable[[random.Random, Model], StoreOperation]


def live(checked: CheckedStore, chores: Sequence[Choose], say: Say, seed: int) -> None:
    """In the child: one operation after another, each announced and acknowledged."""
    model = copy_model(checked.model)
    rng = random.Random(seed)
    for choose in chores:
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


BEGINNING = (
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
)
CHORES = (
    *BEGINNING,
    *map(mend, DAMAGES),
    lambda rng, model: LoseIndexAndRebuild(rng.getrandbits(32)),
)
"""One life: what a store is for, in an order in which each has something to do."""
CHORES_IN_A_BUCKET = (*BEGINNING, *map(mend, BUCKET_DAMAGES), lambda rng, model: Rebuild())


class CareOfAStore:
    """A store whose keepers die, one after the other."""

    def __init__(self, place: LifePlace) -> None:
        self.place = place
        self.checked = CheckedStore(place.directory, place.address)
        self.points = POINTS_IN_A_BUCKET if place.is_bucket else POINTS
        self.chores = CHORES_IN_A_BUCKET if place.is_bucket else CHORES

    def count(self, short: int, long: int, in_a_bucket: int) -> int:
        return count_rounds(in_a_bucket if self.place.is_bucket else short, long)

    def die_once(self, seed: int, fault: str, moment: float | None = None) -> Child:
        child = Child(lambda say: live(self.checked, self.chores, say, seed), fault)
        if moment is None:
            child.end()
        else:
            child.listen(random.Random(seed).randrange(2 * len(self.chores)))
            child.kill(moment)
        if self.place.is_bucket and seed % 4 == 0:
            self.place.lose_machine()
        try:
            self.checked.judge(child.said)
        except BaseException as error:
            error.add_note(f"seed {seed}, {fault or 'at any moment'}")
            raise
        return child


@pytest.fixture
def care(new_place: NewPlace) -> CareOfAStore:
    return CareOfAStore(new_place())


@pytest.mark.anywhere
def test_killed_at_named_points(care: CareOfAStore) -> None:
    points = care.points
    rounds = care.count(2 * len(points), 4000, len(points))
    killed: Counter[str] = Counter()
    for number in range(rounds):
        point, count = points[number % len(points)], 1 + number // len(points) % 2
        fault = f"{point}:{count}:kill"
        killed[point] += care.die_once(first_seed() + number, fault).was_killed
    share = 0.8 if care.place.is_bucket else 0.9
    assert len(+killed) > min(len(points), rounds) * share, killed
    assert killed.total() > rounds / 2, killed


@pytest.mark.anywhere
def test_killed_at_any_moment(care: CareOfAStore) -> None:
    for seed in range(first_seed(), first_seed() + care.count(20, 1000, 4)):
        care.die_once(seed, "", random.Random(-seed).random() * 0.03)
