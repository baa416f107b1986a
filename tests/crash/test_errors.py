"""ENOSPC and EIO at every single system call that writes: a clean error, and then it works."""

from __future__ import annotations

import gc
import random
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.crash.children import Say
from tests.crash.mount_life import MountLife, opened, own
from tests.crash.tracing import WRITING, count_calls, needs_strace, run_traced
from tests.harness.rig import Rig, list_tree, list_version
from tests.volume.shortcuts import publish_files
from volfs.errors import StoreError
from volfs.store.contract.store import Store
from volfs.store.registry import open_store
from volfs.volume.check import check_store

pytestmark = [pytest.mark.crash, needs_strace]
NEEDS_RESTART = "MDB_PANIC"
"""A root page of LMDB's could not be written: this process writes no more there."""
MOUNTS_MAX = 3
OLD, NEW = (random.Random(n).randbytes(5000) for n in range(2))


class Attempt:
    """Steps that may fail once; after each failure all is as it was, and then it works."""

    def __init__(self, store: Store, rig: Rig, say: Say) -> None:
        self.store = store
        self.volume = store.refs.get_volume("data")
        self.rig = rig
        self.say = say

    def step(self, name: str, action: Callable[[], object]) -> None:
        before = (own(list_tree(self.rig)), self.store.refs.get_head(self.volume.id))
        try:
            action()
        except StoreError as error:
            self.say(name, str(error))
            assert (own(list_tree(self.rig)), self.store.refs.get_head(self.volume.id)) == before
            self.again(name, action)

    def again(self, name: str, action: Callable[[], object]) -> None:
        """What the disk refused to keep has to be written anew; nothing else has."""
        try:
            action()
        except StoreError as error:
            if NEEDS_RESTART in str(error):
                raise
            if "write those files anew" not in str(error):
                raise AssertionError(f"{name}: {error}") from error
            self.rig.write((b"f",), NEW)
            action()

    def run(self) -> None:
        rig = self.rig
        self.step("write", lambda: rig.write((b"f",), NEW))
        self.step("flush", rig.flush)
        self.step("commit", rig.commit)
        self.step("others", self.publish_others)
        self.step("reload", rig.reload)
        self.step("truncate", lambda: rig.set((b"f",), size=100))
        self.step("commit again", rig.commit)

    def publish_others(self) -> None:
        publish_files(self.store, self.volume, {"others/1": b"1"})


def run_once(life: MountLife, say: Say) -> bool:
    """Whether it came to its end; if not, it is to be mounted again."""
    try:
        store = open_store(str(life.store_path))
    except StoreError as error:
        say("open", str(error))
        return False
    try:
        rig = life.mount(store, 1)
    except (StoreError, OSError) as error:  # the latter of making a session's directory
        say("mount", str(error))
        store.close()
        return False
    attempt = Attempt(store, rig, say)
    try:
        attempt.run()
    except StoreError as error:
        say("restart", str(error))
        return False
    finally:
        rig.close()
        store.close()
    return True


@pytest.fixture
def directory() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="volfs-errors-", dir="/dev/shm"))
    yield path
    shutil.rmtree(path)


def attempt(directory: Path, *options: str) -> tuple[Path, list[str]]:
    """One run in a fresh store; strace's output, and what failed in it."""
    place = Path(tempfile.mkdtemp(dir=directory))
    life = MountLife(place)
    with opened(life.store_path) as store:
        publish_files(store, store.refs.get_volume("data"), {"f": OLD})

    def work(say: Say) -> None:
        for _ in range(MOUNTS_MAX):
            if run_once(life, say):
                say("done")
                return
            gc.collect()  # what was half made has an environment of LMDB's open

    said = run_traced(work, place / "trace", *options)
    assert said[-1] == ("done",), said
    with opened(life.store_path) as store:
        shown = own(list_version(store, store.refs.get_volume("data")))
        assert shown[(b"f",)][-1] == NEW[:100]
        report = check_store(store)
        assert report.is_clean, report
    return place / "trace", [": ".join(said) for said in said[:-1]]


def test_at_every_call(directory: Path) -> None:
    trace, _ = attempt(directory, "-e", f"trace={','.join(WRITING)}")
    counts = count_calls(trace)
    failed = []
    for call in sorted(counts):
        for k in range(1, counts[call] + 1):
            for error in ("ENOSPC", "EIO"):
                inject = f"inject={call}:error={error}:when={k}"
                _, said = attempt(directory, "-e", f"trace={call}", "-e", inject)
                failed += said
    assert len(failed) > sum(counts.values()), "few calls were met"
