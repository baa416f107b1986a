"""Interleavings of a whole store that have a number: forks, deletion, names, lost hosts.

docs/distributed.md says where each number is tried.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.sim.by_hand import finish, step, step_until
from tests.sim.commit_actions import LARGE
from tests.sim.faults import Fate
from tests.sim.host_actions import SOURCE
from tests.sim.simulation import Client
from tests.sim.store_stage import (
    FIRST_MACHINE,
    Act,
    StoreStage,
    commit,
    create,
    delete,
    fork,
    mount,
    read,
)
from volfs.errors import (
    AlreadyExistsError,
    ConflictError,
    MissingObjectError,
    NotFoundError,
    StoreError,
    VolumeInUseError,
)
from volfs.store.contract.lease import Lease
from volfs.store.distributed.opened import BucketEngine
from volfs.store.distributed.place.object_keys import catalog_log, lease_log, volume_log

LINE = volume_log(SOURCE).line
FORK, OTHER = "vo-" + "f" * 22, "vo-" + "e" * 22
FORK_LINE = volume_log(FORK).line
CATALOG = catalog_log().line
DAY = 86_400.0


@pytest.fixture
def stage(tmp_path: Path) -> StoreStage:
    return StoreStage(tmp_path)


def die(client: Client, *, arrives: bool) -> None:
    client.sim.kill(client, keep_disk=True, arrives=arrives)


# --- 13: forks -------------------------------------------------------------------------


def test_13_a_fork_whose_name_was_taken_meanwhile(stage: StoreStage) -> None:
    """Its log ends, and nothing is left of it but the line in its source."""
    forker = stage.add("forker", fork(FORK, "copy"))
    step_until(forker, "PUT", CATALOG(1))
    assert stage.ask(create(OTHER, "copy")) is None
    finish(forker)
    assert isinstance(stage.results["forker"], AlreadyExistsError)
    assert stage.find("copy") == OTHER
    assert isinstance(stage.ask(lambda engine: engine.refs.get_head(FORK)), NotFoundError)
    stage.judge()


@pytest.mark.parametrize("arrives", [False, True])
@pytest.mark.parametrize("key", [LINE(3), FORK_LINE(0), CATALOG(1)], ids=["F1", "F2", "F3"])
def test_13_a_forker_dies_at_each_step(stage: StoreStage, key: str, arrives: bool) -> None:
    """Whatever it leaves behind, gc goes on, and another may fork by the same name."""
    forker = stage.add("forker", fork(FORK, "copy"))
    step_until(forker, "PUT", key)
    die(forker, arrives=arrives)
    finish(stage.add_gc())
    is_whole = arrives and key == CATALOG(1)
    again = stage.ask(fork(OTHER, "copy"))
    assert isinstance(again, AlreadyExistsError) if is_whole else again is None
    found = FORK if is_whole else OTHER
    assert stage.find("copy") == found
    finish(stage.add_gc("gc 2"))
    assert stage.ask(read(found, 1)) == 1
    stage.judge()


def test_13_gc_takes_the_place_of_a_fork_that_takes_too_long(stage: StoreStage) -> None:
    """The fork is told, and nothing of it is there. gc has something else to remove, too."""
    other = stage.add("other", commit(LARGE[2]))
    step_until(other, "PUT", LINE(3))
    die(other, arrives=False)
    forker = stage.add("forker", fork(FORK, "copy", version=1))
    step_until(forker, "PUT", FORK_LINE(0))
    stage.ask(lambda engine: engine.refs.remove_versions(SOURCE, [1]))
    stage.ledger.expired.add((SOURCE, 1))
    finish(stage.add_gc(), forker)
    assert isinstance(stage.results["forker"], ConflictError)
    assert isinstance(stage.find("copy"), NotFoundError)
    stage.judge()


def test_13_a_fork_of_a_version_that_expires(stage: StoreStage) -> None:
    """gc comes between F2 and F3: the content stays, because the fork has it."""
    forker = stage.add("forker", fork(FORK, "copy", version=1))
    step_until(forker, "PUT", CATALOG(1))
    stage.ask(lambda engine: engine.refs.remove_versions(SOURCE, [1]))
    collector = stage.add_gc()
    finish(collector, forker)
    assert stage.results["forker"] is None
    assert stage.ask(read(FORK, 1)) == 1
    stage.judge()


# --- 14: a commit in a new fork ------------------------------------------------------------


@pytest.mark.parametrize("until", [None, "DELETE"], ids=["the pack is gone", "it is closed"])
def test_14_a_commit_in_a_fork_on_a_pack_that_gc_condemned(
    stage: StoreStage, until: str | None
) -> None:
    """gc has fenced the fork, too: the commit hears of it from its own append."""
    stage.ask(lambda engine: engine.refs.remove_versions(SOURCE, [1]))
    assert stage.ask(fork(FORK, "copy", version=2)) is None
    committer = stage.add("committer", commit(LARGE[0], FORK), FIRST_MACHINE)
    step_until(committer, "PUT", FORK_LINE(1))
    collector = stage.add_gc()
    if until is not None:
        step_until(collector, until)
        finish(committer, collector)
        assert stage.results["committer"] == 2
        assert stage.ask(read(FORK, 2)) == 1
    else:
        finish(collector, committer)
        assert isinstance(stage.results["committer"], MissingObjectError)
        assert stage.list_versions(FORK) == [1, 0]
    assert any("DELETE" in text for text in stage.sim.trace)
    stage.judge()


def test_14_a_fork_that_begins_after_the_fence_of_its_source(stage: StoreStage) -> None:
    """It has the era of its source, and knows the pack as closed."""
    stage.ask(lambda engine: engine.refs.remove_versions(SOURCE, [1]))
    collector = stage.add_gc()
    step_until(collector, "PUT", LINE(4))
    step(collector)
    assert stage.ask(fork(FORK, "copy", version=2)) is None
    committer = stage.add("committer", commit(LARGE[0], FORK), FIRST_MACHINE)
    step_until(committer, "PUT", FORK_LINE(1))
    finish(collector, committer)
    assert stage.results["committer"] == 2
    assert stage.ask(read(FORK, 2)) == 1
    stage.judge()


# --- 22: deletion against mount, commit, fork -----------------------------------------------


def test_22_a_mount_that_begins_while_its_volume_is_deleted(stage: StoreStage) -> None:
    """It was not seen. It keeps what it has, also from gc, and its commits are refused."""
    deleter = stage.add("deleter", delete("source"))
    step_until(deleter, "PUT", LINE(3))
    lease = stage.ask(mount("host"))
    assert isinstance(lease, Lease)
    manifest = stage.ask(lambda engine: engine.refs.find_version(SOURCE, 2))
    stage.ledger.deleted.add(SOURCE)
    finish(deleter, stage.add_gc())
    assert stage.results["deleter"] is None
    assert stage.ask(read(SOURCE, 2, manifest)) == 1  # type: ignore[arg-type]
    assert isinstance(stage.ask(commit(b"late", lease=lease)), NotFoundError)
    assert stage.ask(create(OTHER, "source")) is None
    stage.judge()


def test_22_a_mount_whose_volume_is_deleted_before_it_looks_again(stage: StoreStage) -> None:
    mounter = stage.add("mounter", mount("host"))
    step_until(mounter, "PUT", lease_log("host").lines)
    assert stage.ask(delete("source")) is None
    stage.ledger.deleted.add(SOURCE)
    finish(mounter)
    assert isinstance(stage.results["mounter"], NotFoundError)
    assert stage.ask(lambda engine: engine.leases.list_all()) == []
    stage.judge()


def test_22_a_volume_that_is_mounted_is_not_deleted(stage: StoreStage) -> None:
    stage.ask(mount("host"))
    assert isinstance(stage.ask(delete("source")), VolumeInUseError)
    assert stage.find("source") == SOURCE


@pytest.mark.parametrize("first", ["commit", "delete"])
def test_22_a_commit_and_a_deletion_want_one_number(stage: StoreStage, first: str) -> None:
    committer = stage.add("commit", commit(LARGE[2]))
    deleter = stage.add("delete", delete("source"))
    step_until(committer, "PUT", LINE(3))
    step_until(deleter, "PUT", LINE(3))
    finish(*((committer, deleter) if first == "commit" else (deleter, committer)))
    assert stage.results["delete"] is None
    if first == "commit":
        assert stage.results["commit"] == 3
    else:
        assert isinstance(stage.results["commit"], NotFoundError)
    stage.ledger.deleted.add(SOURCE)
    assert isinstance(stage.find("source"), NotFoundError)
    stage.judge()


@pytest.mark.parametrize("key", [FORK_LINE(0), CATALOG(1)], ids=["F2", "F3"])
def test_22_the_source_is_deleted_while_it_is_forked(stage: StoreStage, key: str) -> None:
    """The fork lives, and keeps its content through a gc."""
    forker = stage.add("forker", fork(FORK, "copy"))
    step_until(forker, "PUT", key)
    assert stage.ask(delete("source")) is None
    stage.ledger.deleted.add(SOURCE)
    finish(forker, stage.add_gc())
    assert stage.results["forker"] is None
    assert stage.ask(read(FORK, 1)) == 1
    stage.judge()


def test_22_a_fork_is_late_for_its_source(stage: StoreStage) -> None:
    forker = stage.add("forker", fork(FORK, "copy"))
    step_until(forker, "PUT", LINE(3))
    assert stage.ask(delete("source")) is None
    finish(forker)
    assert isinstance(stage.results["forker"], NotFoundError)
    assert isinstance(stage.find("copy"), NotFoundError)


@pytest.mark.parametrize("arrives", [False, True])
@pytest.mark.parametrize("key", [LINE(3), CATALOG(1)], ids=["the log", "the catalog"])
def test_22_who_deletes_dies(stage: StoreStage, key: str, arrives: bool) -> None:
    """Once the log has ended, the name is free, whatever the catalog says."""
    deleter = stage.add("deleter", delete("source"))
    step_until(deleter, "PUT", key)
    die(deleter, arrives=arrives)
    is_deleted = arrives or key == CATALOG(1)
    again = stage.ask(create(OTHER, "source"))
    assert again is None if is_deleted else isinstance(again, AlreadyExistsError)
    assert stage.find("source") == (OTHER if is_deleted else SOURCE)


# --- 23: names ------------------------------------------------------------------------------


def rename(old: str, new: str) -> Act:
    return lambda engine: engine.refs.rename_volume(old, new)


@pytest.mark.parametrize("first", ["rename", "create"])
def test_23_a_rename_and_a_creation_want_one_name(stage: StoreStage, first: str) -> None:
    """One has it; the other is told, and nothing is left of what it began."""
    renamer = stage.add("rename", rename("source", "new"))
    creator = stage.add("create", create(OTHER, "new"))
    step_until(renamer, "PUT", CATALOG(1))
    step_until(creator, "PUT", CATALOG(1))
    finish(*((renamer, creator) if first == "rename" else (creator, renamer)))
    loser = "create" if first == "rename" else "rename"
    assert stage.results[first] is None
    assert isinstance(stage.results[loser], AlreadyExistsError)
    assert stage.find("new") == (SOURCE if first == "rename" else OTHER)
    if first == "create":
        assert stage.find("source") == SOURCE
    else:
        assert isinstance(stage.ask(lambda engine: engine.refs.get_head(OTHER)), NotFoundError)


NAMERS: dict[str, Callable[[], Act]] = {
    "rename": lambda: rename("source", "new"),
    "create": lambda: create(OTHER, "new"),
}


@pytest.mark.parametrize("fate", [Fate.UNANSWERED, Fate.LOST, Fate.TWICE, Fate.CONFLICT])
@pytest.mark.parametrize("action", NAMERS)
def test_23_the_line_of_the_catalog_is_lost(stage: StoreStage, action: str, fate: Fate) -> None:
    """On its way, or on the way back. It is sent again, and is there once."""
    namer = stage.add("namer", NAMERS[action]())
    step_until(namer, "PUT", CATALOG(1))
    step(namer, fate)
    finish(namer)
    assert stage.results["namer"] is None
    assert stage.find("new") == (SOURCE if action == "rename" else OTHER)
    assert stage.sim.direct_bucket().list_page("catalog/").objects[-1].key == CATALOG(1)


@pytest.mark.parametrize("arrives", [False, True])
@pytest.mark.parametrize("action", NAMERS)
def test_23_who_names_dies_before_the_catalog_answers(
    stage: StoreStage, action: str, arrives: bool
) -> None:
    """The name is given, or free for another. The volume keeps its content."""
    namer = stage.add("namer", NAMERS[action]())
    step_until(namer, "PUT", CATALOG(1))
    die(namer, arrives=arrives)
    again = stage.ask(create(FORK, "new"))
    assert isinstance(again, AlreadyExistsError) if arrives else again is None
    given = SOURCE if action == "rename" else OTHER
    assert stage.find("new") == (given if arrives else FORK)
    if action == "rename" and not arrives:
        assert stage.find("source") == SOURCE
    assert stage.ask(read(SOURCE, 2)) == 1


def test_23_the_line_of_the_catalog_arrives_after_another_has_the_name(stage: StoreStage) -> None:
    """Late, it finds its number taken, and changes nothing."""
    renamer = stage.add("rename", rename("source", "new"))
    step_until(renamer, "PUT", CATALOG(1))
    step(renamer, Fate.LATE)
    die(renamer, arrives=False)
    assert stage.ask(create(OTHER, "new")) is None
    stage.sim.land()
    assert stage.find("new") == OTHER
    assert stage.find("source") == SOURCE


# --- 28: a host that is cut off for days ------------------------------------------------------


def cut_off(client: Client, days: float) -> None:
    """Nothing that the client sends arrives, for so long."""
    end = client.sim.now + days * DAY
    while client.sim.now < end and not client.is_done:
        step(client, Fate.LOST)


def commit_until_it_works(text: bytes, lease: Lease, tries: list[object]) -> Act:
    """As a user does: again each hour. An error that is none of the store's ends it."""

    def act(engine: BucketEngine) -> object:
        while True:
            try:
                return commit(text, lease=lease)(engine)
            except StoreError as error:
                tries.append(error)
            engine.bucket.world.pause(3600.0, threading.Event())

    return act


@pytest.mark.parametrize("sends", ["before the cut", "after the cut"])
def test_28_a_host_is_cut_off_for_days_and_comes_back(stage: StoreStage, sends: str) -> None:
    """It commits onto whatever the others have done meanwhile, once."""
    lease = stage.ask(mount("host"))
    assert isinstance(lease, Lease)
    tries: list[object] = []
    host = stage.add("host", commit_until_it_works(LARGE[2], lease, tries))
    if sends == "before the cut":
        step_until(host, "PUT", LINE(3))
        step(host, Fate.LATE)
    cut_off(host, 4)
    assert len(tries) > 50
    for number in range(3):
        assert stage.ask(commit(b"others %d" % number)) == 3 + number
    stage.ledger.expired |= {(SOURCE, version) for version in (1, 3, 4)}
    assert stage.ask(lambda engine: engine.refs.remove_versions(SOURCE, [1, 2, 3, 4])) == [1, 3, 4]
    finish(stage.add_gc())
    while stage.sim.flying:
        stage.sim.land()
    finish(host)
    assert stage.results["host"] == 6
    assert stage.list_versions() == [6, 5, 2, 0]
    assert stage.ask(read(SOURCE, 6)) == 1
    assert stage.ask(read(SOURCE, 2)) == 1
    stage.judge()
