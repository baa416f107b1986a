"""Random calls on a mount and a plain directory, with commits and reloads in between."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.harness.mounted import Mounted, Mounts
from tests.harness.twins import Twins, list_all

pytestmark = pytest.mark.fuse
STEPS, STEPS_SLOW = 1200, 30_000


def run_twins(mounts: Mounts, plain: Path, seed: int, steps: int) -> None:
    mounted = mounts.mount()
    plain.mkdir()
    twins = Twins(mounted.path, plain, seed)
    try:
        for number in range(1, steps + 1):
            twins.step()
            if number % 40 == 0:
                mounted.commit()
            if number % 150 == 0:
                twins.compare()
            if number % 300 == 0:
                mounted = begin_anew(mounts, mounted, twins)
                twins.compare()
    finally:
        twins.close_all()
    mounted.commit()
    assert list_all(mounts.mount(read_only=True).path) == list_all(plain)


def begin_anew(mounts: Mounts, mounted: Mounted, twins: Twins) -> Mounted:
    """Nothing open: a reload, or the daemon's death and another that takes over."""
    if twins.chance.random() < 0.5:
        twins.close_all()
        mounted.reload()
        return mounted
    twins.close_all()
    descriptor = os.open(mounted.path, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)
    mounted.kill()
    return mounts.mount(mounted.path)


@pytest.mark.parametrize("seed", [1, 2])
def test_a_mount_is_like_a_directory(mounts: Mounts, tmp_path: Path, seed: int) -> None:
    run_twins(mounts, tmp_path / "plain", seed, STEPS)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10, 20))
def test_a_mount_is_like_a_directory_for_long(mounts: Mounts, tmp_path: Path, seed: int) -> None:
    run_twins(mounts, tmp_path / "plain", seed, STEPS_SLOW)
