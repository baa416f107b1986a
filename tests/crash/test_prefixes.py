"""A power cut after each call of flushes and commits, with what was not synced lost or torn."""

from __future__ import annotations

import random
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.crash.checked_store import CheckedStore
from tests.crash.children import Child, Say, first_seed, is_long
from tests.crash.mount_life import MountLife, opened, own
from tests.crash.recording import OPTIONS, Call, Disk, Recording, drop_all, keep_all, tear
from tests.crash.store_damage import damage_store
from tests.crash.store_operations import (
    FIRST,
    Collect,
    Expire,
    Fork,
    Publish,
    Rebuild,
    Repair,
    Restore,
    StoreOperation,
    Tag,
    Undelete,
)
from tests.crash.tracing import needs_strace, run_traced
from tests.harness.rig import list_tree

pytestmark = [pytest.mark.crash, needs_strace]


@pytest.fixture
def directory() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="volfs-prefixes-", dir="/dev/shm"))
    yield path
    shutil.rmtree(path)


Judge = Callable[[list[tuple[Any, ...]]], None]


class Cuts:
    """A recording of what ``live`` does to ``directory``, and the directory that it began with."""

    def __init__(self, directory: Path, live: Callable[[Say], None], judge: Judge) -> None:
        self.directory = directory
        self.judge = judge
        self.before = directory.with_name("before")
        shutil.copytree(directory, self.before)
        self.trace = directory.with_name("trace")
        self.said = run_traced(live, self.trace, *OPTIONS)
        self.calls = Recording(self.trace, directory).calls

    def cut(self, length: int, choose: Callable[[bytes], Any], *, keep_names: bool) -> None:
        """Replay so many calls, cut the power, and judge what is left."""
        # In the same place: the session's lease has its path.
        shutil.rmtree(self.directory)
        shutil.copytree(self.before, self.directory)
        calls = self.calls[:length]
        Disk(calls, Path).cut_power(choose, keep_names=keep_names)
        messages = max(1, sum(call == Call("say") for call in calls))
        Child(lambda say: self.judge(self.said[:messages])).end()

    def cut_everywhere(self, *, every_way: bool = True) -> None:
        """After each call; in one way after the other, or in every way."""
        for length in range(len(self.calls) + 1):
            ways = list(self._iter_ways(length))
            for choose, keep_names in ways if every_way else [ways[length % len(ways)]]:
                self.cut(length, choose, keep_names=keep_names)

    def _iter_ways(self, length: int) -> Iterator[tuple[Callable[[bytes], Any], bool]]:
        yield keep_all, True
        yield drop_all, False
        for seed in range(first_seed(), first_seed() + (40 if is_long() else 1)):
            yield tear(seed + length), bool(seed % 2)


# --- commits ----------------------------------------------------------------


def commit_and_flush(life: MountLife, say: Say) -> None:
    """What is recorded: two files made and flushed, changed and committed, changed and flushed."""
    with opened(life.store_path) as store:
        rig = life.mount(store, 1)
        for step, what in enumerate(("flush", "commit", "flush", "commit")):
            rig.write((b"f",), b"%d" % step * 5000, 3000 * step)
            rig.write((b"d%d" % step,), b"x" * 100)
            say("begin", what, own(list_tree(rig)))
            say("done", what, life.make_durable(rig, what))
        rig.close()


def record_commits(directory: Path) -> Cuts:
    life = MountLife(directory)
    # Made before: that an empty session is lost harms nobody.
    with opened(life.store_path) as store:
        life.mount(store, 0).close()

    def judge(said: list[tuple[Any, ...]]) -> None:
        life.judge(said, 2)
        life.settle(3)

    return Cuts(directory, lambda say: commit_and_flush(life, say), judge)


def test_the_recording_is_whole(directory: Path) -> None:
    """Replayed without a cut, it gives just what the process left."""
    cuts = record_commits(directory / "life")
    place = directory / "again"
    shutil.copytree(cuts.before, place)
    disk = Disk(cuts.calls, lambda path: place / Path(path).relative_to(directory / "life"))
    disk.cut_power(keep_all, keep_names=True)
    files = [path for path in (directory / "life").rglob("*") if path.is_file()]
    assert len(files) > 5
    for path in files:
        if path.name != "lock.mdb":  # written through memory; nothing durable is in it
            again = place / path.relative_to(directory / "life")
            assert again.read_bytes() == path.read_bytes(), path
    assert sum(call == Call("say") for call in cuts.calls) == len(cuts.said)


def test_the_power_is_cut_in_commits(directory: Path) -> None:
    cuts = record_commits(directory / "life")
    assert len(cuts.calls) > 50
    cuts.cut_everywhere()


# --- care -------------------------------------------------------------------


def make_garbage(checked: CheckedStore) -> None:
    """Two versions of which one goes; most of the packs is in use by nobody."""
    rng = random.Random(1)
    for operation in (
        Publish(FIRST, {"a": rng.randbytes(20_000), "b": rng.randbytes(3000)}),
        Publish(FIRST, {"a": rng.randbytes(5000)}),
        Expire(FIRST, 1),
    ):
        operation.do(checked.path)
        operation.expect(checked.model)


WORKLOADS: dict[str, tuple[StoreOperation, ...]] = {
    "quarantine": (Collect(3600), Undelete()),
    "gc at once": (Collect(0),),
    "expire": (Publish(FIRST, {"c": b"c" * 2000}), Expire(FIRST, 1)),
    "restore": (
        Tag(FIRST, 3, "three"),
        Publish(FIRST, {"b": b"b" * 2000}),
        Restore(FIRST, 3, ("b",)),
        Fork(FIRST, 3, "fork"),
    ),
    "repair": (Repair(),),
    "rebuild": (Rebuild(),),
}
DAMAGES_BEFORE = {"repair": ("entries", "stray", "header"), "rebuild": ("entries",)}


def prepare(name: str, directory: Path) -> CheckedStore:
    """A store in which a workload has something to do."""
    checked = CheckedStore(directory)
    make_garbage(checked)
    for damage in DAMAGES_BEFORE.get(name, ()):
        damage_store(checked.path, damage, 1)
    return checked


@pytest.mark.parametrize("name", WORKLOADS)
def test_the_power_is_cut_in(name: str, directory: Path) -> None:
    checked = prepare(name, directory / "life")

    def live(say: Say) -> None:
        for operation in WORKLOADS[name]:
            say("begin", operation)
            operation.do(checked.path)
            say("done")

    cuts = Cuts(directory / "life", live, checked.judge)
    assert len(cuts.calls) > 15
    cuts.cut_everywhere(every_way=is_long())
