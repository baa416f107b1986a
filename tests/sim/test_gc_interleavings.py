"""gc beside commits, mounts and forks: each interleaving by name, and with the rule taken out."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from tests.sim import gc_mutants
from tests.sim.by_hand import finish, step_until
from tests.sim.gc_stage import GC, HIT, PLACE, Act, Stage, commit, has, step_past, without
from tests.sim.listed_content import CHUNKS, LARGE, STAMP, make_record
from tests.sim.store_actions import VOLUME, Actor, Impatient
from volfs.model.objects import Kind, Oid
from volfs.store.contract.lease import Lease
from volfs.store.contract.refs import Head, VolumeRecord
from volfs.store.distributed.place.object_keys import LEASES, VOLUMES, volume_log

FORK = "vo-" + "f" * 22
FORKED = volume_log(FORK)


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


# --- 5, 6, 8: hits --------------------------------------------------------------------


def play_hit_after_gc(stage: Stage) -> None:
    client = stage.wait_with_hit()
    finish(stage.add_gc(), client)


def test_05_a_hit_whose_pack_is_deleted_before_the_line_is_sent(
    stage: Stage, tmp_path: Path
) -> None:
    """Nothing is published, and the client is told."""
    play_hit_after_gc(stage)
    assert stage.has_deleted()
    assert stage.told["a"] == ["ok", "ok", "MissingObjectError"]
    stage.judge()
    without(gc_mutants.no_fence, play_hit_after_gc, tmp_path / "fence")
    without(gc_mutants.relies_on_closed, play_hit_after_gc, tmp_path / "closed")


def play_hit_before_fence(stage: Stage) -> None:
    client, gc = stage.wait_with_hit(), stage.add_gc()
    step_until(gc, "PUT", PLACE.line(4))
    finish(client, gc)


def test_06_a_hit_that_is_published_before_the_fence(stage: Stage, tmp_path: Path) -> None:
    """gc looks again after the fence, gives the pack back, and opens it again."""
    play_hit_before_fence(stage)
    assert stage.told["a"] == ["ok", "ok", "ok"]
    stage.judge()
    without(gc_mutants.looks_once, play_hit_before_fence, tmp_path / "once")


def test_06_a_hit_whose_pack_is_closed_and_still_there(stage: Stage) -> None:
    """The object is put again, and the version is there after the pack was deleted."""
    client, gc = stage.wait_with_hit(), stage.add_gc()
    step_until(gc, "DELETE", "packs")
    finish(client, gc)
    assert stage.told["a"] == ["ok", "ok", "ok"]
    stage.judge()


def test_06_a_hit_that_is_published_before_gc(stage: Stage) -> None:
    client = stage.wait_with_hit()
    finish(client, stage.add_gc())
    assert stage.told["a"] == ["ok", "ok", "ok"]
    stage.judge()


def test_08_a_hit_in_a_closed_pack_that_is_deleted_while_it_is_copied(stage: Stage) -> None:
    client, gc = stage.wait_with_hit(), stage.add_gc()
    step_until(gc, "DELETE", "packs")
    step_until(client, "GET", "packs/")
    finish(gc, client)
    assert stage.told["a"] == ["ok", "ok", "MissingObjectError"]
    stage.judge()


# --- 7: own packs ---------------------------------------------------------------------


def play_stall(stage: Stage) -> None:
    client = stage.add("a", commit((LARGE[0],)))
    step_until(client, "PUT", PLACE.line(1))
    finish(stage.add_gc(), client)


def test_07_a_commit_that_stalls_through_a_whole_gc(stage: Stage, tmp_path: Path) -> None:
    """gc has taken its pack for an orphan, so it puts the pack again, from the spool."""
    play_stall(stage)
    assert stage.has_deleted()
    assert stage.told["a"] == ["ok"]
    stage.judge()
    without(gc_mutants.forgets_own_packs, play_stall, tmp_path / "own")


def publish_late(actor: Actor) -> None:
    """Put a pack, and publish it after another call has read the log."""
    with actor.machine.engine.volumes.open_upload(VOLUME) as upload:
        chunk = upload.put_object(Kind.CHUNK, LARGE[0])
        manifest = upload.put_object(Kind.MANIFEST, bytes(STAMP) + chunk)
        upload.ship()
        head = actor.machine.refs.get_head(VOLUME)
        new = Head(head.version + 1, manifest)
        actor.machine.refs.publish(upload, VOLUME, head, new)
        actor.ledger.committed[VOLUME, new.version] = manifest, (LARGE[0],)


def play_read_meanwhile(stage: Stage) -> None:
    client = stage.add("a", publish_late)
    step_past(client, "PUT", "packs/")
    finish(stage.add_gc(), client)


def test_07_the_checks_belong_to_the_upload(stage: Stage, tmp_path: Path) -> None:
    """Another call of the process has read the fence, so no race is lost."""
    play_read_meanwhile(stage)
    assert stage.has_deleted()
    assert stage.told["a"] == ["ok"]
    stage.judge()
    without(gc_mutants.checks_by_race, play_read_meanwhile, tmp_path / "bound")


# --- 9, 10: mounts and reloads --------------------------------------------------------


def put_lease(*versions: int) -> Act:
    """Mount, or reload: the last version is what is shown."""

    def act(actor: Actor) -> None:
        lease = Lease("s", VOLUME, versions, began_ns=1)
        manifest = actor.machine.refs.find_version(VOLUME, versions[-1])
        actor.machine.leases.put(lease)
        assert manifest is not None
        actor.show(lease, manifest)

    return act


def begin_mounts(stage: Stage) -> None:
    """Versions 1 and 2. Only the first has a pack."""
    for content in HIT[:2]:
        stage.do(commit(content))


def play_late_mount(stage: Stage) -> None:
    """L2 after the leases were read, L3 after the expiry."""
    begin_mounts(stage)
    mount, gc = stage.add("m", put_lease(1)), stage.add_gc()
    step_until(mount, "PUT", LEASES)
    stage.expire_unseen(1)
    step_until(gc, "PUT", GC.line(2))
    finish(mount, gc)


def test_09_a_mount_that_comes_too_late(stage: Stage, tmp_path: Path) -> None:
    play_late_mount(stage)
    assert stage.told["m"] == ["NotFoundError"]
    assert stage.has_deleted()
    stage.judge()
    without(gc_mutants.believes_its_lease, play_late_mount, tmp_path / "l3")


@pytest.mark.parametrize("versions", [(1,), (2, 1)], ids=["mount", "reload"])
def test_10_a_lease_that_is_put_in_time(stage: Stage, versions: tuple[int, ...]) -> None:
    """L2 before the leases are read, L3 before the expiry: the content stays."""
    begin_mounts(stage)
    acts = [put_lease(2), put_lease(*versions)] if len(versions) > 1 else [put_lease(1)]
    mount = stage.add("m", *acts)
    finish(mount)
    stage.expire_unseen(1)
    finish(stage.add_gc())
    assert stage.told["m"] == ["ok"] * len(acts)
    stage.judge()


def play_lease_between_passes(stage: Stage) -> None:
    """A version that relies on a condemned pack, leased after the leases were read and expired
    before the logs are read again."""
    client, gc = stage.wait_with_hit(), stage.add_gc()
    step_until(gc, "PUT", PLACE.line(4))
    finish(client)
    stage.do(commit((CHUNKS[1],)))
    step_past(gc, "PUT", PLACE.line(6))
    step_past(gc, "LIST", LEASES)
    step_until(gc, "LIST", VOLUMES)
    mount = stage.add("m", put_lease(3), lambda actor: actor.machine.leases.find("s"), read_again)
    step_past(mount, "PUT", LEASES)
    step_until(mount, "GET", LEASES)
    stage.expire_unseen(3)
    finish(gc, mount)


def read_again(actor: Actor) -> None:
    lease = actor.machine.leases.find("s")
    assert lease is not None
    (made,) = actor.machine.leases.list_in_force()
    actor.show(lease, Oid(made.versions[0][1]))


def test_09_a_lease_between_the_two_passes(stage: Stage, tmp_path: Path) -> None:
    play_lease_between_passes(stage)
    assert stage.told["m"] == ["ok", "ok", "ok"]
    stage.judge()
    without(gc_mutants.one_pass, play_lease_between_passes, tmp_path / "pass")


# --- 11, 12: revoked leases -----------------------------------------------------------


def mount_and_commit(actor: Actor) -> None:
    """Commit on what version 1 shows, without putting it again."""
    lease = Lease("s", VOLUME, (1,), began_ns=1)
    manifest = actor.machine.refs.find_version(VOLUME, 1)
    actor.machine.leases.put(lease)
    assert manifest is not None
    actor.show(lease, manifest)
    actor.commit(VOLUME, (CHUNKS[2],), lease)


def play_commit_on_lease(stage: Stage, *, revoked: bool) -> None:
    begin_mounts(stage)
    mount = stage.add("m", mount_and_commit)
    step_until(mount, "PUT", PLACE.line(3))
    stage.expire_unseen(1)
    if revoked:
        stage.do(lambda actor: actor.revoke("s"))
    finish(stage.add_gc(), mount)


def test_11_a_lease_that_is_revoked_while_its_mount_commits(stage: Stage, tmp_path: Path) -> None:
    play_commit_on_lease(stage, revoked=True)
    assert stage.has_deleted()
    assert stage.told["m"] == ["LeaseLostError"]
    stage.judge()
    without(
        gc_mutants.forgets_its_lease,
        lambda stage: play_commit_on_lease(stage, revoked=True),
        tmp_path / "lease",
    )


def test_11_a_lease_that_is_revoked_while_its_mount_reads(stage: Stage) -> None:
    """The mount is told; nobody else loses anything."""
    begin_mounts(stage)
    mount = stage.add("m", put_lease(1))
    step_past(mount, "PUT", LEASES)
    step_until(mount, "GET", "packs/")
    stage.expire_unseen(1)
    stage.do(lambda actor: actor.revoke("s"))
    finish(stage.add_gc(), mount)
    assert stage.told["m"] == ["MissingObjectError"]
    stage.judge()


def test_12_a_base_that_only_the_lease_keeps(stage: Stage, tmp_path: Path) -> None:
    """The era has moved, and the lease is in force: the commit goes on."""
    play_commit_on_lease(stage, revoked=False)
    assert stage.told["m"] == ["ok"]
    stage.judge()
    without(
        gc_mutants.leases_keep_nothing,
        lambda stage: play_commit_on_lease(stage, revoked=False),
        tmp_path / "leases",
    )


# --- 13, 14, 15: forks and other volumes ----------------------------------------------


def fork_first(actor: Actor) -> None:
    """Fork version 1."""
    head = next(head for head in actor.machine.list_versions(VOLUME) if head.version == 1)
    content = actor.machine.objects_of(VOLUME).load_object(head.manifest)
    manifests = (bytes(STAMP), b"f" * STAMP + content[STAMP:])
    actor.machine.refs.fork_volume(make_record(FORK), manifests, VOLUME, 1)


def play_fork(stage: Stage) -> None:
    """gc between the line that announces a fork and its log, and the version has expired."""
    begin_mounts(stage)
    forker = stage.add("f", fork_first)
    step_until(forker, "PUT", FORKED.line(0))
    stage.expire_unseen(1)
    stage.leave_orphan()
    finish(stage.add_gc("gc", Impatient), stage.add_gc("gc2", Impatient), forker)


def test_13_gc_between_a_fork_and_its_log(stage: Stage, tmp_path: Path) -> None:
    """gc takes the place of the log, and the fork is refused."""
    play_fork(stage)
    assert stage.told["f"] == ["ConflictError"]
    stage.judge()
    without(gc_mutants.forks_unseen, play_fork, tmp_path / "unseen")


def test_13_gc_waits_for_a_fork(stage: Stage) -> None:
    """A fork that is not an hour old is waited for: nothing is doomed before the next run."""
    begin_mounts(stage)
    forker = stage.add("f", fork_first)
    step_until(forker, "PUT", FORKED.line(0))
    stage.expire_unseen(1)
    stage.leave_orphan()
    finish(stage.add_gc(), stage.add_gc("gc2"))
    assert not stage.has_deleted()
    finish(forker, stage.add_gc("gc3"))
    assert stage.told["f"] == ["ok"]
    assert stage.has_deleted()
    stage.judge()


def play_fork_and_commit(stage: Stage) -> None:
    """A pack that is dead in the source, and open in a fork that begins after the fence."""
    begin_mounts(stage)
    stage.expire_unseen(1)
    forker = stage.add(
        "f",
        lambda actor: actor.machine.objects_of(VOLUME).is_there(has(LARGE[0])),
        lambda actor: actor.fork(VOLUME, FORK),
        commit((LARGE[0],), FORK),
    )
    step_until(forker, "PUT", FORKED.line(0))
    finish(stage.add_gc("gc", Impatient), forker)


def test_13_a_fork_that_begins_after_the_fence(stage: Stage, tmp_path: Path) -> None:
    play_fork_and_commit(stage)
    stage.judge()
    without(gc_mutants.ignores_forks, play_fork_and_commit, tmp_path / "ignored")


def test_13_a_forker_that_dies_at_each_step(tmp_path: Path) -> None:
    for number, key in enumerate((PLACE.line(3), FORKED.line(0), "catalog/")):
        for arrives in (True, False):
            stage = Stage(tmp_path / f"{number} {arrives}")
            begin_mounts(stage)
            forker = stage.add("f", fork_first)
            step_until(forker, "PUT", key)
            stage.sim.kill(forker, keep_disk=True, arrives=arrives)
            stage.expire_unseen(1)
            finish(stage.add_gc())
            stage.judge()


def test_13_the_name_of_a_fork_is_taken(stage: Stage) -> None:
    begin_mounts(stage)
    forker, gc = stage.add("f", fork_first), stage.add_gc()
    step_until(forker, "PUT", "catalog/")
    stage.do(lambda actor: actor.machine.refs.create_volume(_same_name(), bytes(STAMP)))
    stage.leave_orphan()
    step_until(gc, "PUT", GC.line(1))
    finish(forker, gc)
    assert stage.told["f"] == ["AlreadyExistsError"]
    stage.judge()


def _same_name() -> VolumeRecord:
    other = make_record("vo-" + "e" * 22)
    return msgspec.structs.replace(other, name=make_record(FORK).name)


@pytest.mark.parametrize("first", ["gc", "commit"])
def test_14_a_commit_in_a_new_fork_on_a_pack_that_the_source_lost(
    tmp_path: Path, first: str
) -> None:
    def play(stage: Stage) -> None:
        begin_mounts(stage)
        client = stage.add(
            "a",
            commit((LARGE[0],)),
            lambda actor: actor.fork(VOLUME, FORK),
            commit((LARGE[0],), FORK),
        )
        step_until(client, "PUT", FORKED.line(1))
        stage.expire_unseen(1)
        gc = stage.add_gc()
        if first == "commit":
            step_until(gc, "PUT", GC.line(1))
            finish(client, gc)
        else:
            finish(gc, client)

    stage = Stage(tmp_path / "whole")
    play(stage)
    stage.judge()


def test_15_what_another_volume_has_is_put_again(stage: Stage) -> None:
    """A machine that knows a pack of another volume does not rely on it."""
    other = "vo-" + "b" * 22
    client = stage.add(
        "a",
        commit((LARGE[0],)),
        commit((CHUNKS[0],)),
        lambda actor: actor.machine.refs.create_volume(make_record(other), bytes(STAMP)),
        commit((LARGE[0],), other),
    )
    finish(client)
    assert sum("PUT packs/" in text for text in stage.sim.trace) == 2
    stage.do(lambda actor: actor.machine.refs.delete_volume("name 000000"))
    stage.ledger.deleted.add(VOLUME)
    finish(stage.add_gc())
    stage.judge()


OTHER = "vo-" + "b" * 22


def publish_in_new_volume(actor: Actor) -> None:
    """Put a pack for a volume that is made after a whole gc."""
    volumes = actor.machine.engine.volumes
    with volumes.open_upload(OTHER) as upload:
        chunk = upload.put_object(Kind.CHUNK, LARGE[0])
        manifest = upload.put_object(Kind.MANIFEST, bytes(STAMP) + chunk)
        upload.ship()
        actor.machine.refs.create_volume(make_record(OTHER), b"o" * STAMP)
        head = actor.machine.refs.get_head(OTHER)
        actor.machine.refs.publish(upload, OTHER, head, Head(1, manifest))
        actor.ledger.committed[OTHER, 1] = manifest, (LARGE[0],)


def play_older_upload(stage: Stage) -> None:
    client = stage.add("a", publish_in_new_volume)
    step_past(client, "PUT", "packs/")
    finish(stage.add_gc(), client)


def test_15_an_upload_that_is_older_than_its_volume(stage: Stage, tmp_path: Path) -> None:
    """The new log begins at era 0, whatever gc has done: so the upload asks gc itself."""
    play_older_upload(stage)
    assert stage.has_deleted()
    assert stage.told["a"] == ["ok"]
    stage.judge()
    without(gc_mutants.trusts_no_volume, play_older_upload, tmp_path / "older")
