"""kill -9, at named points of the write order and at any moment: nothing acknowledged is lost."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.children import Child, count_rounds, first_seed
from tests.crash.life_places import NewPlace
from tests.crash.mount_life import MountLife

pytestmark = pytest.mark.crash

ROOT = Path(__file__).parents[2]
STEPS = 12
ROUNDS_OF_A_STORE = 100
"""Its history grows, and is looked through again and again."""
POINTS = (
    "flush.synced",
    "flush.recorded",
    "commit.sealed",
    "publish.appended",
    "publish.durable",
    "publish.unmoved",
    "publish.moved",
    "commit.published",
    "settle.recorded",
    "settle.dropped",
    "reload.leased",
    "reload.swapped",
    "reload.told",
    "pack.locked",
)
"""Those that a mount without a kernel reaches."""
ONLY_IN_A_DIRECTORY = {"publish.unmoved", "pack.locked"}
POINTS_IN_A_BUCKET = (
    *(point for point in POINTS if point not in ONLY_IN_A_DIRECTORY),
    "append.begun",
    "append.stored",
    "upload.put",
    "upload.stored",
    "append.begun",
    "append.stored",
    "checkpoint.begun",
    "checkpoint.stored",
)
"""Two are there twice, because a line is sent for each commit, lease and change of names."""
SELDOM = {"upload.put", "upload.stored", "checkpoint.begun", "checkpoint.stored"}


class Lives:
    """Lives of mounts, one for each seed. A store is for some of them."""

    def __init__(self, new_place: NewPlace, short: int, long: int) -> None:
        self._new_place = new_place
        self._short, self._long = short, long

    def begin(self) -> None:
        self.place = self._new_place()
        self.life = MountLife(self.place.directory, self.place.address)

    def __iter__(self) -> Iterator[int]:
        """The seeds. What a mount has left is settled before the next store."""
        self.begin()
        is_bucket = self.place.is_bucket
        self.rounds = count_rounds(self._short // 6 if is_bucket else self._short, self._long)
        for first in range(first_seed(), first_seed() + self.rounds, ROUNDS_OF_A_STORE):
            last = min(first + ROUNDS_OF_A_STORE, first_seed() + self.rounds)
            yield from range(first, last)
            self.life.settle(last)
            self.place.remove()
            if last < first_seed() + self.rounds:
                self.begin()

    def die_once(self, seed: int, fault: str, moment: float | None = None) -> Child:
        child = Child(lambda say: self.life.live(say, seed, STEPS), fault)
        if moment is None:
            child.end()
        else:
            child.listen(random.Random(seed).randrange(2 * STEPS))
            child.kill(moment)
        try:
            self.judge(child, seed)
        except BaseException as error:
            error.add_note(f"VOLFS_SEED={seed} VOLFS_ROUNDS=1, {fault or 'at any moment'}")
            raise
        return child

    def judge(self, child: Child, seed: int) -> None:
        """With a store in a bucket, every fourth death is also the end of its machine."""
        if self.place.is_bucket and seed % 4 == 0:
            self.place.lose_machine()
            self.life.judge_without_disk(child.said)
        else:
            self.life.judge(child.said, seed + 1)


@pytest.mark.anywhere
def test_killed_at_named_points(new_place: NewPlace) -> None:
    lives = Lives(new_place, 150, 4000)
    killed: Counter[str] = Counter()
    for seed in lives:
        points = POINTS_IN_A_BUCKET if lives.place.is_bucket else POINTS
        point = points[seed % len(points)]
        count = random.Random(seed).randrange(1, 4) if point not in SELDOM else 1
        killed[point] += lives.die_once(seed, f"{point}:{count}:kill").was_killed
        if seed % 25 == 0:
            lives.life.settle(seed)
    assert lives.rounds < 5 * len(points) or not set(points) - set(+killed)
    assert killed.total() > lives.rounds / 2, killed


@pytest.mark.anywhere
def test_killed_at_any_moment(new_place: NewPlace) -> None:
    lives = Lives(new_place, 50, 1000)
    for seed in lives:
        lives.die_once(seed, "", random.Random(-seed).random() * 0.02)


def test_every_point_is_described() -> None:
    """docs/reliability.md names each, and no others."""
    sources = (ROOT / "volfs").glob("**/*.py")
    named = {
        name for path in sources for name in re.findall(r'reached\("(.*?)"\)', path.read_text())
    }
    text = (ROOT / "docs" / "reliability.md").read_text()
    described = set(re.findall(r"^\| `([a-z]+\.[a-z]+)`", text, re.MULTILINE))
    assert named == described
    assert set(POINTS) | set(POINTS_IN_A_BUCKET) <= named
