"""Several gcs, gcs that die, undelete, copies and slim lines: each interleaving by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.sim import gc_mutants
from tests.sim.by_hand import finish, step, step_until
from tests.sim.door import Request
from tests.sim.faults import Fate
from tests.sim.gc_stage import GC, PLACE, Act, Stage, commit, step_past, take_steps, without
from tests.sim.listed_content import CHUNKS, LARGE
from tests.sim.simulation import Client
from tests.sim.store_actions import VOLUME, Actor

MOST_REQUESTS = 200


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def undelete(actor: Actor) -> None:
    actor.machine.engine.care.undelete()


def read_version(version: int) -> Act:
    def act(actor: Actor) -> None:
        manifest = actor.machine.refs.find_version(VOLUME, version)
        assert manifest is not None
        assert actor.machine.read(VOLUME, manifest) == actor.ledger.committed[VOLUME, version][1]

    return act


# --- 16: two gcs, and deaths ----------------------------------------------------------


def test_16_two_gcs_take_turns(tmp_path: Path) -> None:
    """After every number of steps of the one, the other does a whole run."""
    for count in range(0, MOST_REQUESTS, 4):
        stage = Stage(tmp_path / f"{count}")
        client, gc, other = stage.wait_with_hit(), stage.add_gc(), stage.add_gc("other")
        is_under_way = take_steps(gc, count)
        finish(other, gc, client)
        stage.judge()
        if not is_under_way:
            return
    raise AssertionError("a gc of so little takes so many requests")


def test_16_a_gc_that_dies_at_each_step(tmp_path: Path) -> None:
    """Its request arrives, or never does. Another gc goes on, and then the commit does."""
    for count in range(MOST_REQUESTS):
        stage = Stage(tmp_path / f"{count}")
        client, gc = stage.wait_with_hit(), stage.add_gc()
        if not take_steps(gc, count):
            return
        stage.sim.kill(gc, keep_disk=True, arrives=count % 2 == 0)
        finish(stage.add_gc("other"), client)
        stage.judge()
    raise AssertionError("a gc of so little takes so many requests")


def play_unfenced_death(stage: Stage) -> None:
    """A gc condemns the pack of a hit, and dies. Another one has more to condemn, and fences."""
    client, gc = stage.wait_with_hit(), stage.add_gc()
    step_until(gc, "PUT", PLACE.line(4))
    stage.sim.kill(gc, keep_disk=True, arrives=False)
    stage.leave_orphan()
    finish(stage.add_gc("other"), client)


def test_16_a_fence_closes_what_a_dead_gc_condemned(stage: Stage, tmp_path: Path) -> None:
    play_unfenced_death(stage)
    assert stage.told["a"] == ["ok", "ok", "MissingObjectError"]
    stage.judge()
    without(gc_mutants.closes_only_its_own, play_unfenced_death, tmp_path / "all")


def test_16_a_verdict_counts_at_its_number_alone(stage: Stage, tmp_path: Path) -> None:
    """The first gc has looked, and stalls. Packs are brought back, relied on, and condemned anew
    by a gc that dies: what the first one saw is out of date."""

    def play(stage: Stage) -> None:
        client, gc = add_hitting(stage), stage.add_gc()
        step_until(gc, "PUT", GC.line(2))
        stage.do(undelete)
        again = stage.add_gc("again")
        step_until(again, "PUT", GC.line(3))
        step_until(client, "PUT", PLACE.line(6))
        step_past(again, "PUT", GC.line(3))
        step_until(again, "PUT", PLACE.line(6))
        finish(client)
        stage.sim.kill(again, keep_disk=True, arrives=False)
        finish(gc)

    play(stage)
    assert stage.told["gc"] == ["ConflictError"]
    assert stage.told["a"] == ["ok"] * 3
    stage.judge()
    without(gc_mutants.dooms_at_any_number, play, tmp_path / "number")


def add_hitting(stage: Stage) -> Client:
    """A client that knows the pack of version 1, which has expired, and is about to commit."""
    client = stage.add("a", commit((LARGE[0],)), commit((CHUNKS[0],)), commit((LARGE[0],)))
    step_past(client, "PUT", PLACE.line(2))
    stage.expire_unseen(1)
    return client


# --- 17: undelete ---------------------------------------------------------------------


def test_17_undelete_before_the_verdict(stage: Stage) -> None:
    """gc is told, and has removed nothing."""
    client, gc = add_hitting(stage), stage.add_gc()
    step_until(gc, "PUT", GC.line(2))
    stage.do(undelete)
    finish(gc, client)
    assert stage.told["gc"] == ["ConflictError"]
    assert stage.told["a"] == ["ok"] * 3
    assert not stage.has_deleted()
    stage.judge()


def test_17_undelete_after_the_verdict(stage: Stage) -> None:
    """There is nothing left to bring back, however long the deletion takes."""
    client, gc = add_hitting(stage), stage.add_gc()
    step_until(gc, "DELETE", "packs")
    stage.do(undelete)
    finish(gc, client)
    stage.judge()


def test_17_what_was_brought_back_and_condemned_again_stays_closed(
    stage: Stage, tmp_path: Path
) -> None:
    """An undelete stalls before it opens the packs, and a whole gc runs meanwhile."""

    def play(stage: Stage) -> None:
        client, gc = add_hitting(stage), stage.add_gc()
        step_until(gc, "PUT", GC.line(2))
        stage.sim.kill(gc, keep_disk=True, arrives=False)
        back = stage.add("back", undelete)
        step_until(back, "PUT", PLACE.line(5))
        finish(stage.add_gc("again"), back, client)

    play(stage)
    assert stage.told["back"] == ["ok"]
    stage.judge()
    without(gc_mutants.adopts_blindly, play, tmp_path / "blindly")


def test_17_an_undelete_that_dies_is_gone_on_with(tmp_path: Path) -> None:
    for count in range(MOST_REQUESTS):
        stage = Stage(tmp_path / f"{count}")
        client, gc = add_hitting(stage), stage.add_gc()
        step_until(gc, "PUT", GC.line(2))
        stage.sim.kill(gc, keep_disk=True, arrives=False)
        back = stage.add("back", undelete)
        if not take_steps(back, count):
            return
        stage.sim.kill(back, keep_disk=True, arrives=count % 2 == 0)
        finish(stage.add_gc("again"), client)
        stage.judge()
    raise AssertionError("an undelete of so little takes so many requests")


# --- 18, 19: copies and slim lines ----------------------------------------------------


def begin_sparse(stage: Stage) -> None:
    """Version 1 has a pack of three chunks, and version 2 needs one of them."""
    stage.do(commit(tuple(LARGE)), "writer")
    stage.do(commit((LARGE[2],)), "writer")
    stage.expire_unseen(1)


@pytest.mark.parametrize("when", ["before", "meanwhile", "after"])
def test_18_a_reader_with_old_places_finds_the_copies(stage: Stage, when: str) -> None:
    begin_sparse(stage)
    reader = stage.add("r", read_version(2), read_version(2))
    step_past(reader, "GET", "packs/")
    gc = stage.add_gc()
    if when == "before":
        step_until(gc, "DELETE", "packs")
        finish(reader, gc)
    elif when == "meanwhile":
        step_until(reader, "GET", "packs/")
        finish(gc, reader)
    else:
        finish(gc, reader)
    assert stage.told["r"] == ["ok", "ok"]
    assert stage.has_deleted()
    stage.judge()


def test_19_a_line_that_becomes_slim_while_it_is_read(stage: Stage) -> None:
    """Its live records are in a pack then, and the reader finds them there."""
    stage.do(commit(tuple(CHUNKS)), "writer")
    stage.do(commit((CHUNKS[0],)), "writer")
    stage.expire_unseen(1)
    reader = stage.add("r", read_version(2), read_version(2))
    step_past(reader, "GET", PLACE.line(2))
    gc = stage.add_gc()
    step_past(gc, "PUT", "packs/")
    step_until(reader, "GET", PLACE.line(1))
    finish(gc, reader)
    assert stage.told["r"] == ["ok", "ok"]
    assert f"PUT {PLACE.line(1)}" in "".join(stage.sim.trace)
    stage.judge()


def test_19_a_line_that_becomes_slim_while_its_writer_is_in_doubt(stage: Stage) -> None:
    """The slim form has the nonce of the line: the writer knows that it has won."""
    client = stage.add("a", commit(tuple(CHUNKS)), commit((CHUNKS[1],)))
    task = step_until(client, "PUT", PLACE.line(1))
    stage.sim.settle(task, Fate.UNANSWERED)
    stage.do(commit((CHUNKS[2],)))
    stage.ledger.committed.pop((VOLUME, 1), None)
    stage.expire_unseen(1)
    finish(stage.add_gc())
    assert any(PLACE.line(1) in text and "PUT" in text and "gc" in text for text in stage.sim.trace)
    finish(client)
    assert stage.told["a"] == ["ok", "ok"]
    stage.judge()


# --- 27: errors amid ROOTS ------------------------------------------------------------


@pytest.mark.parametrize("fate", [Fate.DENIED, Fate.FAULT], ids=lambda fate: fate.name)
def test_27_an_error_while_roots_are_read_removes_nothing(tmp_path: Path, fate: Fate) -> None:
    """Each request of both looks fails in turn, again and again until the gc has ended."""
    for count in range(MOST_REQUESTS):
        stage = Stage(tmp_path / f"{count}")
        stage.wait_with_hit()
        gc = stage.add_gc()
        if not take_steps(gc, count) or stage.has_deleted():
            assert count > 20
            return
        fail_until_done(gc, fate)
        assert not stage.has_deleted()
        assert stage.told["gc"] != ["ok"]
    raise AssertionError("a gc of so little takes so many requests")


def fail_until_done(client: Client, fate: Fate) -> None:
    for _ in range(1000):
        if client.is_done:
            return
        (task, *_) = [task for task in client.tasks if not task.is_over]
        step(client, fate if isinstance(task.wait, Request) else Fate.DONE)
    raise AssertionError("it never gives up")
