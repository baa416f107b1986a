"""Daemons of real mounts that die at a point of commit, reload or umount: mount again, go on."""

from __future__ import annotations

import contextlib
import os
import random
from pathlib import Path

import pytest

from tests.crash.children import count_rounds, first_seed
from tests.harness.mounted import Mounted, Mounts
from tests.volume.shortcuts import publish_files, read_file
from volfs.control.mounts import find_mount_point
from volfs.errors import MountError
from volfs.errors.fault_points import VARIABLE

pytestmark = [pytest.mark.crash, pytest.mark.fuse]

POINTS = (
    "flush.synced",
    "commit.sealed",
    "publish.unmoved",
    "publish.moved",
    "commit.published",
    "reload.swapped",
    "reload.told",
    "end.unmounting",
    "end.committed",
    "end.renamed",
    "end.removed",
)


class Diary:
    """What was fsynced and committed, in files whose content is their number."""

    def __init__(self) -> None:
        self.synced: dict[str, bytes] = {}
        self.committed: dict[str, bytes] = {}


def write(mounted: Mounted, diary: Diary, name: str) -> None:
    data = random.Random(name).randbytes(100_000)
    with (mounted.path / name).open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    diary.synced[name] = data


def live(mounts: Mounts, mounted: Mounted, diary: Diary, number: int) -> None:
    """As long as the daemon does; then it has ended."""
    with contextlib.suppress(MountError, OSError):
        write(mounted, diary, f"{number}-a")
        mounted.commit()
        diary.committed = dict(diary.synced)
        publish_files(mounts.store, mounts.volume, {f"others-{number}": b"x"})
        mounted.reload()
        write(mounted, diary, f"{number}-b")
        mounted.unmount()
        diary.committed = dict(diary.synced)


def check(mounts: Mounts, place: Path, diary: Diary) -> None:
    for name, data in diary.committed.items():
        assert read_file(mounts.store, mounts.volume, name) == data
    again = mounts.mount(place)
    for name, data in diary.synced.items():
        assert (again.path / name).read_bytes() == data
    again.unmount()
    assert mounts.sessions == []
    assert find_mount_point(str(place)) is None
    for name, data in diary.synced.items():
        assert read_file(mounts.store, mounts.volume, name) == data


def test_a_mount_after_a_death_goes_on(mounts: Mounts) -> None:
    rounds = count_rounds(2 * len(POINTS), 400)
    place, diary = mounts.place(), Diary()
    deaths = 0
    for number in range(first_seed(), first_seed() + rounds):
        point, count = POINTS[number % len(POINTS)], 1 + number // len(POINTS) % 2
        mounts.environment[VARIABLE] = f"{point}:{count}:kill"
        try:
            mounted = mounts.mount(place)
        finally:
            del mounts.environment[VARIABLE]
        live(mounts, mounted, diary, number)
        mounted.wait_for_end()
        deaths += find_mount_point(str(place)) is not None or bool(mounts.sessions)
        check(mounts, place, diary)
    assert deaths > rounds / 3
