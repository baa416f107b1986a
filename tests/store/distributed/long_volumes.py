"""Volumes with long logs, written as quickly as the rules allow: each line carries its objects."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tests.store.contract import make_record
from tests.store.distributed.two_engines import BucketMachine
from volfs.model.logs.volume_changes import VersionPublished, carry
from volfs.model.objects import Kind, compute_oid
from volfs.store.distributed.refs.line_records import encode_records
from volfs.system.world import RealWorld

RECORD = make_record()
VOLUME = RECORD.id


class Inline(RealWorld):
    """A world in which nothing is done beside the caller, so that tests can count."""

    def start(self, work: Callable[[], None]) -> None:
        work()


def manifest_of(version: int) -> bytes:
    return b"manifest %d" % version


def chunk_of(version: int, number: int) -> bytes:
    return b"chunk %d of version %d" % (number, version)


def begin(machine: BucketMachine) -> None:
    machine.refs.create_volume(RECORD, manifest_of(0))


def publish(machine: BucketMachine, versions: Sequence[int], chunks: int = 0) -> None:
    """Publish versions that follow each other, each with objects of its own, in lines."""
    follower = machine.refs.logs.open(VOLUME)
    for version in versions:
        manifest = manifest_of(version)
        objects = [(Kind.MANIFEST, manifest)]
        objects += [(Kind.CHUNK, chunk_of(version, number)) for number in range(chunks)]
        records = encode_records(objects)
        oid = bytes(compute_oid(Kind.MANIFEST, manifest))
        change = carry(VersionPublished(version, oid, version - 1), len(objects), len(records))
        won = follower.propose(follower.known, [change], records)
        assert won is not None
        machine.engine.keeper.take_lines(VOLUME, [(version, won.line)])
