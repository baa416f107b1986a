"""A power cut after each call of flushes and commits, with what was not synced lost or torn."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.crash.children import Child, Say, first_seed, is_long
from tests.crash.life import Life, opened, own
from tests.crash.recording import OPTIONS, Call, Disk, Recording, drop_all, keep_all, tear
from tests.crash.tracing import needs_strace, run_traced
from tests.harness.rig import list_tree

pytestmark = [pytest.mark.crash, needs_strace]


@pytest.fixture
def directory() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="volfs-prefixes-", dir="/dev/shm"))
    yield path
    shutil.rmtree(path)


def live(life: Life, say: Say) -> None:
    """What is recorded: two files made and flushed, changed and committed, changed and flushed."""
    with opened(life.store_path) as store:
        rig = life.mount(store, 1)
        for step, what in enumerate(("flush", "commit", "flush", "commit")):
            rig.write((b"f",), b"%d" % step * 5000, 3000 * step)
            rig.write((b"d%d" % step,), b"x" * 100)
            say("begin", what, own(list_tree(rig)))
            say("done", what, life.make_durable(rig, what))
        rig.close()


class Cuts:
    """A recording, and the directory that it began with."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.life = Life(directory / "life")
        # Made before: that an empty session is lost harms nobody.
        with opened(self.life.store_path) as store:
            self.life.mount(store, 0).close()
        self.before = directory / "before"
        shutil.copytree(directory / "life", self.before)
        self.said = run_traced(lambda say: live(self.life, say), directory / "trace", *OPTIONS)
        self.calls = Recording(directory / "trace", directory / "life").calls

    def cut(self, length: int, choose: Callable[[bytes], Any], *, keep_names: bool) -> None:
        """Replay so many calls, cut the power, and judge what is left."""
        place = self.directory / "life"  # the session's lease has its path
        shutil.rmtree(place)
        shutil.copytree(self.before, place)
        calls = self.calls[:length]
        Disk(calls, Path).cut_power(choose, keep_names=keep_names)
        messages = sum(call == Call("say") for call in calls)

        def judge(say: Say) -> None:
            self.life.judge(self.said[:messages], 2)
            self.life.settle(3)

        Child(judge).end()


def test_the_recording_is_whole(directory: Path) -> None:
    """Replayed without a cut, it gives just what the process left."""
    cuts = Cuts(directory)
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


def test_the_power_is_cut_after_each_call(directory: Path) -> None:
    cuts = Cuts(directory)
    torn = 40 if is_long() else 1
    assert len(cuts.calls) > 50
    for length in range(len(cuts.calls) + 1):
        cuts.cut(length, keep_all, keep_names=True)
        cuts.cut(length, drop_all, keep_names=False)
        for seed in range(first_seed(), first_seed() + torn):
            cuts.cut(length, tear(seed + length), keep_names=bool(seed % 2))
