"""A mount whose tree is in no version, because its commit was merged: gc, death, another daemon."""

from __future__ import annotations

import random
from pathlib import Path

import msgspec
import pytest

from tests.sim.by_hand import finish, step_until
from tests.sim.gc_stage import PLACE, Stage, commit
from tests.sim.listed_content import CHUNKS, STAMP
from tests.sim.store_actions import VOLUME, Actor
from volfs.errors import MissingObjectError
from volfs.model.logs.lease_log import LeaseMade
from volfs.model.objects import Kind, Oid, compute_oid
from volfs.model.references import Reference
from volfs.store.contract.lease import Lease
from volfs.store.contract.refs import Head
from volfs.store.distributed.care.gc_roots import RootsFinder

SESSION = "merger"
TREE = random.Random("a tree of its own").randbytes(140 << 10)
NEED = Reference(Kind.TREE, compute_oid(Kind.TREE, TREE))
OVER = b"the stamp of what was sealed"


def live(actor: Actor) -> None:
    """The first life commits, and is merged. Who comes after it finds out from its lease."""
    leases = actor.machine.leases
    found = leases.find(SESSION)
    if found is None:
        lease = Lease(SESSION, VOLUME, (0,), began_ns=1)
        leases.put(lease)
        publish(actor, msgspec.structs.replace(lease, needs=(NEED,), over=OVER), [])
        return
    assert (found.needs, found.over, found.versions) == ((NEED,), OVER, (0, 1))
    assert actor.machine.objects_of(VOLUME).load_object(NEED.oid) == TREE
    lease = msgspec.structs.replace(found, began_ns=2)
    leases.put(lease)
    publish(actor, lease, [NEED.oid])


def publish(actor: Actor, lease: Lease, kept: list[Oid]) -> None:
    """A version with some chunk, and with what is ``kept``, which nobody puts again."""
    machine = actor.machine
    with machine.engine.volumes.open_upload(VOLUME) as upload:
        if not kept:
            upload.put_object(Kind.TREE, TREE)
        ids = [upload.put_object(Kind.CHUNK, CHUNKS[len(kept)]), *kept]
        head = machine.refs.get_head(VOLUME)
        text = bytes([head.version]) * STAMP + b"".join(ids)
        new = Head(head.version + 1, upload.put_object(Kind.MANIFEST, text))
        wide = msgspec.structs.replace(lease, versions=(*lease.versions, new.version))
        machine.refs.publish(upload, VOLUME, head, new, lease=wide)


def play(stage: Stage) -> None:
    client = stage.add("a", live)
    step_until(client, "PUT", PLACE.line(1))
    stage.sim.kill(client, keep_disk=False, arrives=True)
    stage.do(commit((CHUNKS[2],)))
    stage.leave_orphan()
    finish(stage.add_gc())
    assert stage.has_deleted()
    stage.sim.revive(client)
    finish(client, stage.add_gc("gc 2"))


def test_25_death_and_takeover_after_a_merged_commit(tmp_path: Path) -> None:
    """The daemon dies before it hears that its commit was published. The next one knows that it
    was, has the tree that no version has, and commits it."""
    stage = Stage(tmp_path)
    play(stage)
    assert stage.told["a"] == ["ok"]
    stage.do(read_tree)
    stage.judge()


def test_25_if_gc_forgets_what_lines_add_to_leases_the_tree_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forget(self: RootsFinder, made: LeaseMade, *_: object) -> set[Reference]:
        return {Reference(Kind.MANIFEST, Oid(oid)) for _, oid in made.versions}

    monkeypatch.setattr(RootsFinder, "_find_needed", forget)
    stage = Stage(tmp_path)
    play(stage)
    assert stage.told["a"] == ["MissingObjectError"]
    with pytest.raises(MissingObjectError):
        stage.do(read_tree)


def read_tree(actor: Actor) -> None:
    assert actor.machine.objects_of(VOLUME).load_object(NEED.oid) == TREE
