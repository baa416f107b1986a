"""Random ways to a runtime directory: whatever is taken, an attacker cannot change.

The attacker is another user and really tries: to put a file into the last directory, and
another directory into the place of each on the way. ``VOLFS_PROVE=long``: 5,000 ways.
"""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.crash.children import count_rounds, first_seed
from tests.harness.calls import run_as
from volfs.control.runtime import open_directory
from volfs.errors import MountError

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
ME, ATTACKER = 54321, 54322
MODES = (0o700, 0o700, 0o755, 0o755, 0o711, 0o770, 0o775, 0o777, 0o1777, 0o1775, 0o757)


@pytest.fixture
def base() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="volfs-ways-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


def make_way(rng: random.Random, base: Path) -> tuple[Path, list[Path]]:
    """A path, and the directories and links on its way below ``base``, which is root's."""
    path, places = base, list[Path]()
    for number in range(rng.randrange(1, 5)):
        path = path / f"d{number}"
        owner = rng.choice((0, ME, ME, ME, ATTACKER))
        if rng.random() < 0.2:
            target = path.with_name(f"t{number}")
            make_directory(rng, target, owner)
            places.append(target)
            path.symlink_to(target if rng.random() < 0.5 else target.name)
            os.chown(path, *[rng.choice((0, ME, ATTACKER))] * 2, follow_symlinks=False)
        else:
            make_directory(rng, path, owner)
        places.append(path)
    return path, places


def make_directory(rng: random.Random, path: Path, owner: int) -> None:
    path.mkdir()
    os.chown(path, owner, rng.choice((ATTACKER, owner)))  # whose group
    path.chmod(rng.choice(MODES))


def attack(end: Path, places: list[Path]) -> str:
    """What works for who runs it: names of what could be replaced, or written to."""
    done = []
    for place in places:
        aside = place.with_name(f"{place.name}.aside")
        try:
            place.rename(aside)
            aside.rename(place)
            done.append(place.name)
        except OSError:
            continue
    try:
        (end / "planted").touch()
        done.append("planted")
    except OSError:
        pass
    return " ".join(done)


def is_taken(path: Path) -> bool:
    try:
        os.close(open_directory(path, {ME}))
    except MountError:
        return False
    return True


def test_what_is_taken_nobody_else_changes(base: Path) -> None:
    taken = refused = 0
    for seed in range(first_seed(), first_seed() + count_rounds(100, 5_000)):
        rng = random.Random(seed)
        place = base / str(seed)
        place.mkdir()
        end, places = make_way(rng, place)
        if is_taken(end):
            changed = run_as(ATTACKER, place, partial(attack, end, places))
            assert changed == "", f"VOLFS_SEED={seed} VOLFS_ROUNDS=1: {changed}"
            taken += 1
        else:
            refused += 1
        shutil.rmtree(place)
    if taken + refused >= 50:
        assert taken > 5
        assert refused > 5
