"""How many requests each operation on a bucket takes: counted, on a bucket in memory."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from tests.store.contract import add, make_lease, make_record, noise
from tests.store.distributed.counted import Asked, CountedDoor
from tests.store.distributed.two_engines import BucketMachine
from volfs.buckets.access import Bucket
from volfs.buckets.objects import Page
from volfs.errors import HeadMovedError
from volfs.model.objects import Kind
from volfs.store.contract.refs import Head
from volfs.store.distributed.creation import create_store, examine_store

RECORD, FORK, OTHER = make_record(1), make_record(2), make_record(3)
VOLUME = RECORD.id


class Requests(NamedTuple):
    """How many requests of each price."""

    puts: int
    gets: int
    lists: int


class ListingDoor(CountedDoor):
    """Counts listings, too."""

    def list_page(self, prefix: str, *details: Any, **named: Any) -> Page:
        self.asked.append(Asked("LIST", prefix))
        return super().list_page(prefix, *details, **named)


class Rehearsal:
    """A store in memory, two machines, and what is asked meanwhile."""

    def __init__(self, folder: Path) -> None:
        self.door = ListingDoor()
        self.bucket = Bucket(self.door)
        create_store(self.bucket, "s3://bucket")
        self._folder = folder
        self._machines: list[BucketMachine] = []
        self.here = self.open_machine()
        self.found: dict[str, Requests] = {}

    def open_machine(self) -> BucketMachine:
        machine = BucketMachine(self.bucket, self._folder / f"machine-{len(self._machines)}")
        self._machines.append(machine)
        return machine

    def count(self, name: str, act: Callable[[], object]) -> None:
        self.door.asked.clear()
        act()
        verbs = [asked.verb for asked in self.door.asked]
        gets = verbs.count("GET") + verbs.count("HEAD")
        self.found[name] = Requests(verbs.count("PUT"), gets, verbs.count("LIST"))

    def close(self) -> None:
        for machine in self._machines:
            machine.close()


def count_requests() -> dict[str, Requests]:
    """The requests of each operation, by its words in docs/scale.md."""
    with tempfile.TemporaryDirectory(prefix="volfs-bench-") as folder:
        rehearsal = Rehearsal(Path(folder))
        try:
            for part in (_volumes, _commits, _reads, _known, _changes):
                part(rehearsal)
            return rehearsal.found
        finally:
            rehearsal.close()


def _volumes(all_: Rehearsal) -> None:
    refs = all_.here.refs
    all_.count("open a store", lambda: examine_store(all_.bucket, "s3://bucket"))
    all_.count("create a volume", lambda: refs.create_volume(RECORD, b"manifest 0"))


def _commits(all_: Rehearsal) -> None:
    here, there = all_.here, all_.open_machine()
    add(here, VOLUME, b"first")

    def commit(machine: BucketMachine, *chunks: bytes) -> None:
        """As a mount commits: the head is guessed; who has lost a race makes a new manifest."""
        with machine.open_upload(VOLUME) as upload:
            for chunk in chunks:
                upload.put_object(Kind.CHUNK, chunk)
            while True:
                head = machine.refs.guess_head(VOLUME)
                text = b"%d" % head.version + chunks[0][:9]
                new = Head(head.version + 1, upload.put_object(Kind.MANIFEST, text))
                try:
                    machine.refs.publish(upload, VOLUME, head, new)
                except HeadMovedError:
                    continue
                return

    all_.count("commit, up to 128 KiB", lambda: commit(here, noise(9_000, 1)))
    all_.count("commit of one pack", lambda: commit(here, noise(300_000, 2)))
    there.refs.get_head(VOLUME)
    commit(here, noise(9_000, 3))
    all_.count("commit that loses one race", lambda: commit(there, noise(9_000, 4)))


def _reads(all_: Rehearsal) -> None:
    here, there = all_.here, all_.open_machine()
    head = here.refs.get_head(VOLUME)
    lease = make_lease(VOLUME, head.version)
    name = RECORD.name
    all_.count("find a volume by its name, first time", lambda: there.refs.get_volume(name))
    all_.count("look at a head that is known", lambda: there.refs.get_head(VOLUME))
    all_.count("put a lease", lambda: there.leases.put(lease))
    all_.count("drop a lease", lambda: there.leases.drop(lease.session))
    there.leases.put(lease)
    all_.count("list leases, each beside", lambda: here.leases.list_all())
    there.leases.drop(lease.session)


def _known(all_: Rehearsal) -> None:
    """On a machine whose former process has used the volume."""
    former = all_.open_machine()
    head = former.refs.get_head(former.refs.get_volume(RECORD.name).id)
    former.close()
    again = BucketMachine(all_.bucket, former.local)
    all_.count("recognize a store", again.engine.recognize)

    def mount() -> None:
        assert again.refs.guess_head(again.refs.get_volume(RECORD.name).id) == head
        again.leases.put(make_lease(VOLUME, head.version))

    all_.count("mount a volume that the machine knows, after that", mount)
    all_.count("log", lambda: list(again.refs.iter_versions(VOLUME)))
    again.leases.drop(make_lease(VOLUME, head.version).session)
    again.close()


def _changes(all_: Rehearsal) -> None:
    refs = all_.here.refs
    all_.count("tag", lambda: refs.put_tag(VOLUME, "release", 1))
    all_.count("expire, beside the leases", lambda: refs.remove_versions(VOLUME, [0]))
    all_.count("fork", lambda: refs.fork_volume(FORK, (b"a", b"b"), VOLUME, 1))
    all_.count("rename", lambda: refs.rename_volume(FORK.name, "another"))
    all_.count("delete, beside the leases", lambda: refs.delete_volume("another"))
