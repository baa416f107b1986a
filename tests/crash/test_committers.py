"""Processes that commit to one volume and are killed: a linear history, and nothing lost."""

from __future__ import annotations

import random
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.children import Child, Say, first_seed, is_long
from tests.crash.mount_life import MountLife, opened
from tests.harness.rig import list_version
from tests.volume.shortcuts import publish_files
from volfs.model.manifest import Manifest
from volfs.model.names import show_path
from volfs.store.contract.refs import VolumeRecord
from volfs.store.contract.store import Store
from volfs.volume.check import check_store
from volfs.volume.commit import CommitNote
from volfs.volume.history import load_manifest

pytestmark = pytest.mark.crash

COMMITTERS, STEPS = (32, 500) if is_long() else (16, 50)


@pytest.fixture
def life() -> Iterator[MountLife]:
    directory = Path(tempfile.mkdtemp(prefix="volfs-committers-", dir="/dev/shm"))
    yield MountLife(directory)
    shutil.rmtree(directory)


def commit_often(life: MountLife, number: int, first: int, last: int, say: Say) -> None:
    """Each commit has a file of its own, and one that all of them write."""
    with opened(life.store_path) as store:
        volume = store.refs.get_volume("data")
        for step in range(first, last):
            who = f"{number}/{step}"
            note = CommitNote(who, "tester")
            files: dict[str, bytes | None] = {who: who.encode(), "same": who.encode()}
            say("begin", step)
            say("done", step, publish_files(store, volume, files, note).head.version)


def kill_and_go_on(life: MountLife, number: int, steps: int, seed: int) -> dict[str, int]:
    """Commit so many times, and be killed on the way; the versions that were acknowledged."""
    acknowledged: dict[str, int] = {}
    rng = random.Random(seed * COMMITTERS + number)
    step = 0
    while step < steps:
        last = min(steps, step + rng.randrange(1, 12))
        fault = f"*:{rng.randrange(1, 60)}:kill" if rng.random() < 0.7 else ""
        child = Child(lambda say, a=step, b=last: commit_often(life, number, a, b, say), fault)  # type: ignore[misc]
        for what, *facts in child.end():
            if what == "done":
                acknowledged[f"{number}/{facts[0]}"] = facts[1]
            step = facts[0] + 1
    return acknowledged


def list_history(store: Store, volume: VolumeRecord) -> list[Manifest]:
    """Oldest first; each stands on the one before."""
    heads = sorted(store.refs.iter_versions(volume.id))
    found = [load_manifest(store.objects_of(volume.id), head.manifest) for head in heads]
    assert [manifest.version for manifest in found] == list(range(len(found)))
    for before, manifest in zip(heads, found[1:], strict=False):
        assert manifest.parent == before.manifest
    return found


def test_many_committers_that_die(life: MountLife) -> None:
    seed = first_seed()

    def work(number: int) -> Child:
        return Child(lambda say: say("acknowledged", kill_and_go_on(life, number, STEPS, seed)))

    children = [work(number) for number in range(COMMITTERS)]
    acknowledged: dict[str, int] = {}
    for child in children:
        acknowledged |= child.end()[0][1]
    with opened(life.store_path) as store:
        volume = store.refs.get_volume("data")
        history = list_history(store, volume)
        for who, version in acknowledged.items():
            assert history[version].message == who
        shown = list_version(store, volume)
        published = {manifest.message for manifest in history if "/" in manifest.message}
        files = {show_path(p): facts[-1] for p, facts in shown.items() if len(p) == 2}
        assert {who: who.encode() for who in published} == {
            who: data for who, data in files.items() if not who.startswith("others")
        }
        assert shown[(b"same",)][-1] == history[-1].message.encode(), "the last one won it whole"
        assert len(acknowledged) > COMMITTERS * STEPS / 2
        report = check_store(store)
        assert report.is_clean, report
