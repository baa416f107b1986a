"""Commits of content to a bucket: every version reads byte for byte.

A small gc runs beside them. It takes everything that it may, so that a publisher which forgets one
of its checks loses content.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.sim.by_hand import finish, step_until
from tests.sim.commit_deeds import (
    CHUNKS,
    LARGE,
    Content,
    Ledger,
    MakePublisher,
    Scripted,
    begin_volume,
    judge,
    make_facts_of_gc,
    make_publisher,
    open_book,
    run_commits,
)
from tests.sim.scheduler import count_schedules, run_schedules
from tests.sim.simulation import Client, Life, Simulation
from tests.sim.small_gc import Collector
from tests.sim.volume_deeds import VOLUME
from volfs.errors import MissingObjectError
from volfs.model.logs.volume_changes import VersionsExpired
from volfs.model.logs.volume_log import VolumeState
from volfs.store.contract.lease import Lease
from volfs.store.distributed.data.bucket_upload import BucketUpload
from volfs.store.distributed.log.follower import KnownLog
from volfs.store.distributed.log.log import Log
from volfs.store.distributed.place.object_keys import volume_log
from volfs.store.distributed.refs.volume_publisher import VolumePublisher
from volfs.store.distributed.refs.volume_view import VolumeBook

SCHEDULES = 150
WITH_GC = 100
PLACE = volume_log(VOLUME)


def collect(runs: int, place: str) -> Life:
    return Collector(runs, place).live


def run_with_gc(seed: int) -> Simulation:
    return run_commits(seed, collect=collect)


def test_schedules_of_commits() -> None:
    run_schedules(count_schedules(SCHEDULES), run_commits)


def test_schedules_of_commits_and_gc() -> None:
    run_schedules(count_schedules(WITH_GC), run_with_gc)


# --- interleavings by name, and the checks that they need -------------------------------


class ForgetsOwnPacks(VolumePublisher):
    """A mutation: own packs that gc has condemned are not put again."""

    def _catch_up(
        self, upload: BucketUpload, known: KnownLog[VolumeState | None], lease: Lease | None
    ) -> None:
        upload.era = known.era


class NoFence(Collector):
    """A mutation: what is condemned is not closed in the log."""

    def fence(self, *_: object) -> None:
        pass


class MarksOnce(Collector):
    """A mutation: what is needed is not looked at again after the fence."""

    def mark_again(self, *_: object) -> frozenset[str]:
        return frozenset()


def make_forgetful(book: VolumeBook, client: Client) -> VolumePublisher:
    return ForgetsOwnPacks(book, make_facts_of_gc(client), client.world)


class Stage:
    """A client that commits, and gc."""

    def __init__(
        self,
        place: Path,
        contents: list[Content],
        make: MakePublisher = make_publisher,
        collector: type[Collector] = Collector,
    ) -> None:
        self.sim, self.ledger, self.place = Simulation(), Ledger(), place
        begin_volume(self.sim.direct_bucket())
        self.a = self.sim.add("a", Scripted("a", contents, self.ledger, place, make).live)
        self.gc = self.sim.add("gc", collector(1, str(place)).live)

    def expire_first(self) -> None:
        book = open_book(Log(self.sim.direct_bucket(), PLACE))
        book.follower.change(lambda state: [VersionsExpired(((1, 1),))])
        self.ledger.expired.add(1)

    def judge(self) -> list[int]:
        """The versions that were acknowledged."""
        judge(self.sim.direct_bucket(), self.ledger, self.place)
        return sorted(self.ledger.committed)

    def wait_with_hit(self) -> None:
        """Let the client be about to append a line that relies on the pack of version 1, which has
        expired."""
        step_until(self.a, "PUT", PLACE.line(3))
        self.expire_first()
        step_until(self.a, "PUT", PLACE.line(4))


HIT: list[Content] = [(LARGE[0],), (CHUNKS[0],), (LARGE[0],)]
"""The third commit finds what the first has put."""


def test_05_a_hit_whose_pack_is_deleted_before_the_line_is_sent(tmp_path: Path) -> None:
    """Nothing is published, and the client is told."""
    stage = Stage(tmp_path, HIT)
    stage.wait_with_hit()
    finish(stage.gc, stage.a)
    assert any("DELETE" in text for text in stage.sim.trace)
    assert stage.judge() == [1, 2]


def test_05_without_the_fence_content_is_lost(tmp_path: Path) -> None:
    stage = Stage(tmp_path, HIT, collector=NoFence)
    stage.wait_with_hit()
    finish(stage.gc, stage.a)
    with pytest.raises(MissingObjectError):
        stage.judge()


def test_06_a_hit_whose_pack_is_closed_and_still_there(tmp_path: Path) -> None:
    """The object is put again, and the version is there after the pack was deleted."""
    stage = Stage(tmp_path, HIT)
    stage.wait_with_hit()
    step_until(stage.gc, "DELETE")
    finish(stage.a, stage.gc)
    assert stage.judge() == [1, 2, 3]


@pytest.mark.parametrize("collector", [Collector, MarksOnce], ids=lambda each: each.__name__)
def test_06_a_hit_that_is_published_before_the_fence(
    tmp_path: Path, collector: type[Collector]
) -> None:
    """gc looks again after the fence, and leaves the pack. If it does not, content is lost."""
    stage = Stage(tmp_path, HIT, collector=collector)
    stage.wait_with_hit()
    step_until(stage.gc, "PUT", PLACE.line(4))
    finish(stage.a, stage.gc)
    if collector is Collector:
        assert stage.judge() == [1, 2, 3]
    else:
        with pytest.raises(MissingObjectError):
            stage.judge()


@pytest.mark.parametrize("make", [make_publisher, make_forgetful], ids=lambda each: each.__name__)
def test_07_a_commit_that_stalls_through_a_whole_gc(tmp_path: Path, make: MakePublisher) -> None:
    """gc has taken its pack for an orphan, so it puts the pack again, from the spool."""
    stage = Stage(tmp_path, [(LARGE[0],)], make)
    step_until(stage.a, "PUT", PLACE.line(1))
    finish(stage.gc, stage.a)
    assert any("DELETE" in text for text in stage.sim.trace)
    if make is make_publisher:
        assert stage.judge() == [1]
    else:
        with pytest.raises(MissingObjectError):
            stage.judge()


def test_a_small_commit_is_one_request(tmp_path: Path) -> None:
    """And a large one is two: its pack, and its line. Nobody looks at the head first."""
    stage = Stage(tmp_path, [(CHUNKS[0],), (CHUNKS[1], CHUNKS[0]), (LARGE[0],)])
    step_until(stage.a, "PUT")
    before = len(stage.sim.trace)
    finish(stage.a)
    asked = [text.split(": ")[1].split("/")[0] for text in stage.sim.trace[before:]]
    assert asked == ["PUT v", "PUT v", "PUT packs", "PUT v"]
    assert stage.judge() == [1, 2, 3]
