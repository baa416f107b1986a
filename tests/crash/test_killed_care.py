"""kill -9 in gc, restore, expiry, repair and rebuilding: every version that stays is whole."""

from __future__ import annotations

import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.crash.children import Child, Say, first_seed, is_long
from tests.crash.deeds import (
    FIRST,
    Collect,
    Deed,
    Expire,
    Mend,
    Model,
    Publish,
    Rebuild,
    Undelete,
    begin_model,
    choose_change,
    choose_files,
    copy_model,
    look,
)
from tests.crash.life import opened
from tests.crash.wounds import WOUNDS
from volfs.volume.check import check_store

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


class Household:
    """A store, and what should be in it."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "store"
        with opened(self.path, create=True) as store:
            self.model = begin_model(store)

    def live(self, say: Say, seed: int) -> None:
        """In the child: one deed after another, each announced and acknowledged."""
        model = copy_model(self.model)
        rng = random.Random(seed)
        for choose in CHORES:
            deed = choose(rng, model)
            say("begin", deed)
            deed.do(self.path)
            say("done")
            deed.expect(model)

    def judge(self, said: list[tuple[Any, ...]]) -> None:
        """In the parent, after its death."""
        under_way: Deed | None = None
        for what, *facts in said:
            if what == "begin":
                (under_way,) = facts
            elif under_way is not None:
                under_way.expect(self.model)
                under_way = None
        if under_way is not None:
            self.do_again(under_way)
        self.check()

    def do_again(self, deed: Deed) -> None:
        """It was done, or it was not and can be."""
        after = copy_model(self.model)
        deed.expect(after)
        if deed.mends:
            deed.do(self.path)
        with opened(self.path) as store:
            found = look(store)
            assert found in (self.model, after), deed
            assert check_store(store).is_clean
        if found == self.model:
            deed.do(self.path)
        self.model = after

    def check(self) -> None:
        with opened(self.path) as store:
            assert look(store) == self.model
            report = check_store(store)
            assert report.is_clean, report


def publish_all(rng: random.Random, model: Model) -> Deed:
    """So that most of what is stored is in use by nobody soon."""
    history = model[FIRST]
    files = choose_files(rng, history.versions[history.head])
    return Publish(FIRST, files | {"b": rng.randbytes(20_000)})


def expire(rng: random.Random, model: Model) -> Deed:
    return Expire(rng.choice(sorted(model)), rng.randrange(1, 3))


def mend(wound: str) -> Choose:
    return lambda rng, model: Mend(wound, rng.getrandbits(32))


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
    lambda rng, model: Rebuild(rng.getrandbits(32)),
)
"""One life: what a store is for, in an order in which each has something to do."""


@pytest.fixture
def household() -> Iterator[Household]:
    directory = Path(tempfile.mkdtemp(prefix="volfs-household-", dir="/dev/shm"))
    yield Household(directory)
    shutil.rmtree(directory)


def die_once(household: Household, seed: int, fault: str, moment: float | None = None) -> Child:
    child = Child(lambda say: household.live(say, seed), fault)
    if moment is None:
        child.end()
    else:
        child.listen(random.Random(seed).randrange(2 * len(CHORES)))
        child.kill(moment)
    household.judge(child.said)
    return child


def test_killed_at_named_points(household: Household) -> None:
    rounds = 4000 if is_long() else 2 * len(POINTS)
    killed: Counter[str] = Counter()
    for number in range(rounds):
        point, count = POINTS[number % len(POINTS)], 1 + number // len(POINTS) % 2
        fault = f"{point}:{count}:kill"
        killed[point] += die_once(household, first_seed() + number, fault).was_killed
    assert len(+killed) > len(POINTS) * 0.9, killed
    assert killed.total() > rounds / 2, killed


def test_killed_at_any_moment(household: Household) -> None:
    rounds = 1000 if is_long() else 20
    for seed in range(first_seed(), first_seed() + rounds):
        die_once(household, seed, "", random.Random(-seed).random() * 0.03)
