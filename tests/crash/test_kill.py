"""kill -9, at named points of the write order and at any moment: nothing acknowledged is lost."""

from __future__ import annotations

import random
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.children import Child, Say, count_rounds, first_seed
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


def iter_rounds(rounds: int) -> Iterator[tuple[MountLife, int]]:
    """A seed for each round, and the store that it is for; each is settled at its end."""
    for first in range(first_seed(), first_seed() + rounds, ROUNDS_OF_A_STORE):
        # In memory: each of many commits is synced.
        directory = Path(tempfile.mkdtemp(prefix="volfs-life-", dir="/dev/shm"))
        life = MountLife(directory)
        last = min(first + ROUNDS_OF_A_STORE, first_seed() + rounds)
        for seed in range(first, last):
            yield life, seed
        life.settle(last)
        shutil.rmtree(directory)


def die_once(life: MountLife, seed: int, fault: str, moment: float | None = None) -> Child:
    def work(say: Say) -> None:
        life.live(say, seed, STEPS)

    child = Child(work, fault)
    if moment is None:
        child.end()
    else:
        rng = random.Random(seed)
        child.listen(rng.randrange(2 * STEPS))
        child.kill(moment)
    life.judge(child.said, seed + 1)
    return child


def test_killed_at_named_points() -> None:
    rounds = count_rounds(150, 4000)
    killed: Counter[str] = Counter()
    for life, seed in iter_rounds(rounds):
        point = POINTS[seed % len(POINTS)]
        count = random.Random(seed).randrange(1, 4)
        killed[point] += die_once(life, seed, f"{point}:{count}:kill").was_killed
        if seed % 25 == 0:
            life.settle(seed)
    assert not set(POINTS) - set(+killed)
    assert killed.total() > rounds / 2, killed


def test_killed_at_any_moment() -> None:
    for life, seed in iter_rounds(count_rounds(50, 1000)):
        die_once(life, seed, "", random.Random(-seed).random() * 0.02)


def test_every_point_is_described() -> None:
    """docs/reliability.md names each, and no others."""
    sources = (ROOT / "volfs").glob("**/*.py")
    named = {
        name for path in sources for name in re.findall(r'reached\("(.*?)"\)', path.read_text())
    }
    text = (ROOT / "docs" / "reliability.md").read_text()
    described = set(re.findall(r"^\| `([a-z]+\.[a-z]+)`", text, re.MULTILINE))
    assert named == described
    assert set(POINTS) <= named
