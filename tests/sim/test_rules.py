"""What each rule of the protocol is for: a schedule that loses content without it, and only so.

``rules.py`` takes the rules out. A pack is *dead* if nothing needs it; the first machine knows its
objects all the same, and relies on them as long as the pack is open.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.sim.by_hand import finish, step, step_until
from tests.sim.commit_actions import LARGE
from tests.sim.host_actions import FIRST_MACHINE, SOURCE, list_chunks
from tests.sim.protocol_model import RULES as RULES_OF_THE_MODEL
from tests.sim.rules import NOT_IN_THE_CODE, RULES
from tests.sim.simulation import Client
from tests.sim.store_gc import undelete
from tests.sim.store_stage import StoreStage, commit, create, fork, mount, publish_chunks
from volfs.errors import HeadMovedError
from volfs.model.objects import Kind
from volfs.store.contract.lease import LeaseKind
from volfs.store.contract.refs import Head
from volfs.store.distributed.opened import BucketEngine
from volfs.store.distributed.place.object_keys import gc_log, lease_log, volume_log

LINE = volume_log(SOURCE).line
LINES = volume_log(SOURCE).lines
GC = gc_log().line
FORK = "vo-" + "f" * 22
FORK_LINE = volume_log(FORK).line
DEAD = LARGE[0]
"""The content of version 1."""
SESSION = "host"
Plot = Callable[[StoreStage], None]


def begin_hit(stage: StoreStage, number: int, name: str = "hit") -> Client:
    """A client that is about to append a line which relies on the dead pack."""
    client = stage.add(name, commit(DEAD), FIRST_MACHINE)
    step_until(client, "PUT", LINE(number))
    return client


def leave_orphan(stage: StoreStage) -> None:
    """A pack that no line names."""
    other = stage.add("orphan", commit(LARGE[2]))
    step_until(other, "PUT", LINES)
    stage.sim.kill(other, keep_disk=True, arrives=False)


def expire(stage: StoreStage, version: int) -> None:
    stage.ledger.expired.add((SOURCE, version))
    assert stage.ask(lambda engine: engine.refs.remove_versions(SOURCE, [version])) == [version]


def use_while_condemned(stage: StoreStage) -> Client:
    """A gc that has condemned the dead pack, and closed it; but version 3 has come to need it."""
    hit = begin_hit(stage, 4)
    collector = stage.add_gc("gc 1")
    step_until(collector, "PUT", LINE(4))
    finish(hit)
    assert stage.ask(commit(b"a later head")) == 4
    return collector


# --- plots --------------------------------------------------------------------------------


def plot_fence(stage: StoreStage) -> None:
    """A commit relies on the pack while a whole gc goes by."""
    hit = begin_hit(stage, 4)
    finish(stage.add_gc(), hit)


def plot_roots_again(stage: StoreStage) -> None:
    """The commit is there before the fence."""
    hit = begin_hit(stage, 4)
    collector = stage.add_gc()
    step_until(collector, "PUT", LINE(4))
    finish(hit, collector)


def plot_own_packs(stage: StoreStage) -> None:
    """The pack of a commit is an orphan until its line is there."""
    client = stage.add("client", commit(LARGE[2]))
    step_until(client, "PUT", LINE(4))
    finish(stage.add_gc(), client)


def plot_bound(stage: StoreStage) -> None:
    """After a lost race the client reads the log, and then publishes again."""

    def act(engine: BucketEngine) -> None:
        with engine.volumes.open_upload(SOURCE) as upload:
            oid = upload.put_object(Kind.CHUNK, LARGE[2])
            for _ in range(2):
                head = engine.refs.guess_head(SOURCE)
                said = engine.bucket.world.random_bytes(16) + oid
                new = Head(head.version + 1, upload.put_object(Kind.MANIFEST, said))
                try:
                    engine.refs.publish(upload, SOURCE, head, new)
                except HeadMovedError:
                    engine.refs.get_head(SOURCE)

    client = stage.add("client", act)
    step_until(client, "PUT", LINE(4))
    stage.ask(commit(b"faster"))
    step_until(client, "GET", LINE(5))
    step(client)
    step_until(client, "GET", LINE(5))
    finish(stage.add_gc(), client)


def plot_reverify(stage: StoreStage) -> None:
    """A mount commits parts of its base, which has expired after its lease was revoked."""

    def act(engine: BucketEngine) -> None:
        lease = mount(SESSION, version=1, kind=LeaseKind.RENEWED)(engine)
        manifest = engine.refs.find_version(SOURCE, 1)
        assert manifest is not None
        base = b"".join(list_chunks(engine, SOURCE, manifest))
        with engine.volumes.open_upload(SOURCE) as upload:
            publish_chunks(engine, upload, SOURCE, base, lease)

    client = stage.add("client", act)
    step_until(client, "PUT", LINE(3))
    finish(stage.add_gc("gc 1", revokes=True))
    expire(stage, 1)
    finish(stage.add_gc("gc 2"), client)


def plot_verify_lease(stage: StoreStage) -> None:
    """The version goes before the lease is there."""
    client = stage.add("mount", mount(SESSION, version=1))
    step_until(client, "PUT", lease_log(SESSION).lines)
    expire(stage, 1)
    finish(stage.add_gc(), client)
    stage.note_mount("mount")


def plot_second_pass(stage: StoreStage) -> None:
    """A version is mounted and expires while gc is between the leases and the logs."""
    collector = use_while_condemned(stage)
    step_until(collector, "PUT", LINE(6))
    step(collector)
    expirer = stage.add("expirer", lambda engine: engine.refs.remove_versions(SOURCE, [3]))
    stage.ledger.expired.add((SOURCE, 3))
    step_until(expirer, "PUT", LINE(7))
    for _ in range(2):
        step_until(collector, "LIST", "leases/")
        step(collector)
    step_until(collector, "LIST", "v/")
    finish(stage.add("mount", mount(SESSION, version=3)), expirer)
    assert stage.results["expirer"] == [3]
    finish(collector)
    stage.note_mount("mount")


def plot_fork_entry(stage: StoreStage) -> None:
    """The only version that needs the pack expires while it is forked."""
    forker = stage.add("forker", fork(FORK, "copy", version=1))
    step_until(forker, "PUT", FORK_LINE(0))
    expire(stage, 1)
    finish(stage.add_gc(), forker)


def plot_cancel(stage: StoreStage) -> None:
    """A fork is pending through a whole gc, and then has the dead pack as an open one."""
    forker = stage.add("forker", fork(FORK, "copy"))
    step_until(forker, "PUT", FORK_LINE(0))
    finish(stage.add_gc(), forker)
    stage.ask(commit(DEAD, FORK), FIRST_MACHINE)


def plot_doom_cas(stage: StoreStage) -> None:
    """Somebody takes the pack back, another gc condemns it again, and the first goes on."""
    first, second = stage.add_gc("gc 1"), stage.add_gc("gc 2")
    step_until(first, "PUT", LINES)
    step_until(first, "", GC(2))
    assert stage.ask(undelete) is None
    step_until(second, "PUT", LINES)
    assert stage.ask(commit(DEAD), FIRST_MACHINE) == 3
    finish(first, second)


def plot_close_all(stage: StoreStage) -> None:
    """A gc has died after it condemned the pack. The next one has condemned another pack."""
    first = stage.add_gc("gc 1")
    step_until(first, "PUT", LINES)
    stage.sim.kill(first, keep_disk=True, arrives=False)
    leave_orphan(stage)
    second = stage.add_gc("gc 2")
    step_until(second, "PUT", GC(3))
    assert stage.ask(commit(DEAD), FIRST_MACHINE) == 3
    finish(second)


def plot_return_first(stage: StoreStage) -> None:
    """A gc that wants to give the pack back is late, and another sees that nothing needs it."""
    first = use_while_condemned(stage)
    step_until(first, "PUT", GC(2))
    expire(stage, 3)
    second = stage.add_gc("gc 2")
    step_until(second, "PUT", GC(2))
    assert stage.ask(commit(DEAD), FIRST_MACHINE) == 5
    finish(second, first)


def plot_adopt_checked(stage: StoreStage) -> None:
    """A gc has given the pack back, and another condemns it before the volume hears of that."""
    first = use_while_condemned(stage)
    step_until(first, "PUT", GC(2))
    step(first)
    step_until(first, "PUT", LINES)
    expire(stage, 3)
    second = stage.add_gc("gc 2")
    step_until(second, "PUT", GC(4))
    finish(first)
    assert stage.ask(commit(DEAD), FIRST_MACHINE) == 5
    finish(second)


PLOTS: dict[str, Plot] = {name: globals()[f"plot_{name}"] for name in RULES}
KEEPS_VERSION_1 = {"reverify", "verify_lease", "fork_entry"}
"""Plots that begin with version 1. In all others it has expired, and its pack is dead."""


def play(name: str, place: Path) -> StoreStage:
    stage = StoreStage(place, expires=name not in KEEPS_VERSION_1)
    PLOTS[name](stage)
    return stage


def test_every_rule_is_taken_out() -> None:
    assert RULES.keys() | NOT_IN_THE_CODE.keys() == RULES_OF_THE_MODEL.keys()
    assert not RULES.keys() & NOT_IN_THE_CODE.keys()


@pytest.mark.parametrize("name", RULES)
def test_with_the_rule_nothing_is_lost(name: str, tmp_path: Path) -> None:
    play(name, tmp_path).judge()


@pytest.mark.parametrize("name", RULES)
def test_without_a_rule_content_is_lost(name: str, tmp_path: Path) -> None:
    with RULES[name].without():
        stage = play(name, tmp_path)
    with pytest.raises(AssertionError, match="content is lost"):
        stage.judge()


def test_no_upload_relies_on_a_pack_of_another_volume(tmp_path: Path) -> None:
    """The machine knows the object, and puts it again."""
    stage = StoreStage(tmp_path)
    other = "vo-" + "e" * 22
    assert stage.ask(create(other, "other")) is None
    before = sum("PUT packs/" in text for text in stage.sim.trace)
    assert stage.ask(commit(DEAD, other), FIRST_MACHINE) == 1
    assert sum("PUT packs/" in text for text in stage.sim.trace) == before + 1
    stage.judge()
