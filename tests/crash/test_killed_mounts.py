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


class AcknowledgedFiles:
    """What was fsynced and committed, in files whose content is their number."""

    def __init__(self) -> None:
        self.synced: dict[str, bytes] = {}
        self.committed: dict[str, bytes] = {}


def write(mounted: Mounted, files: AcknowledgedFiles, name: str) -> None:
    data = random.Random(name).randbytes(100_000)
    with (mounted.path / name).open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    files.synced[name] = data


def live(mounts: Mounts, mounted: Mounted, files: AcknowledgedFiles, number: int) -> None:
    """As long as the daemon does; then it has ended."""
    with contextlib.suppress(MountError, OSError):
        write(mounted, files, f"{number}-a")
        mounted.commit()
        files.committed = dict(files.synced)
        publish_files(mounts.store, mounts.volume, {f"others-{number}": b"x"})
        mounted.reload()
        write(mounted, files, f"{number}-b")
        mounted.unmount()
        files.committed = dict(files.synced)


def check(mounts: Mounts, place: Path, files: AcknowledgedFiles) -> None:
    for name, data in files.committed.items():
        assert read_file(mounts.store, mounts.volume, name) == data
    again = mounts.mount(place)
    for name, data in files.synced.items():
        assert (again.path / name).read_bytes() == data
    again.unmount()
    assert mounts.sessions == []
    assert find_mount_point(str(place)) is None
    for name, data in files.synced.items():
        assert read_file(mounts.store, mounts.volume, name) == data


def test_a_mount_after_a_death_goes_on(mounts: Mounts) -> None:
    rounds = count_rounds(2 * len(POINTS), 400)
    place, files = mounts.place(), AcknowledgedFiles()
    deaths = 0
    for number in range(first_seed(), first_seed() + rounds):
        point, count = POINTS[number % len(POINTS)], 1 + number // len(POINTS) % 2
        mounts.environment[VARIABLE] = f"{point}:{count}:kill"
        try:
            mounted = mounts.mount(place)
        finally:
            del mounts.environment[VARIABLE]
        live(mounts, mounted, files, number)
        mounted.wait_for_end()
        deaths += find_mount_point(str(place)) is not None or bool(mounts.sessions)
        check(mounts, place, files)
    assert deaths > rounds / 3
