"""A gc of one volume: condemn, fence, mark again, doom, delete.

It has no grace and spares no orphans, so it takes everything that it may. There are no leases.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from tests.sim.commit_deeds import Machine
from tests.sim.simulation import Client
from tests.sim.volume_deeds import list_versions
from volfs.buckets.access import Bucket, iter_objects
from volfs.errors import MissingObjectError, StoreError, UserError
from volfs.model.logs.line import NO_LINE, digest_line
from volfs.model.logs.volume_changes import PacksFenced
from volfs.model.objects import Oid
from volfs.store.distributed.log.log import NO_NUMBER, Log
from volfs.store.distributed.place.object_keys import PACKS, find_pack_name, gc_log, pack_key
from volfs.store.distributed.refs.volume_view import VolumeView

CONDEMNED, DOOMED = "condemned", "doomed"
Said = tuple[str, list[str]]


class GcLog:
    """The log of gc, whose lines say what happens to which packs. Line K is era K."""

    def __init__(self, bucket: Bucket) -> None:
        self._log = Log(bucket, gc_log())
        self.lines: list[Said] = []
        self._digest = NO_LINE

    def read(self) -> None:
        digest = None if self._digest == NO_LINE else self._digest
        for _, line in self._log.read_after(NO_NUMBER + len(self.lines), digest):
            self.lines.append(msgspec.msgpack.decode(line.body, type=Said))
            self._digest = digest_line(line)

    def append(self, kind: str, packs: Iterable[str]) -> bool:
        """Whether the next line is ours."""
        number = len(self.lines)
        body = msgspec.msgpack.encode((kind, sorted(packs)))
        line = self._log.make_line(self._digest, number, body)
        won = self._log.append(number, line).nonce == line.nonce
        self.read()
        return won

    def list_condemned(self, after: int, upto: int) -> frozenset[str]:
        """What was condemned in the eras after the first, up to the second."""
        found = self.lines[after + 1 : upto + 1]
        return frozenset(name for kind, names in found if kind == CONDEMNED for name in names)

    def list_outstanding(self, after: int = 0) -> frozenset[str]:
        """What was condemned after an era, and is not doomed."""
        doomed = {name for kind, names in self.lines if kind == DOOMED for name in names}
        return self.list_condemned(after, len(self.lines)) - doomed


def find_condemned(bucket: Bucket, after: int, upto: int) -> frozenset[str]:
    """For a publisher."""
    log = GcLog(bucket)
    log.read()
    return log.list_condemned(after, upto)


class Collector:
    """A client that collects some times. Mutations replace its steps."""

    def __init__(self, runs: int, place: str) -> None:
        self._left = runs
        self._place = place

    def live(self, client: Client) -> None:
        machine = Machine(client.bucket, Path(self._place) / client.name)
        try:
            while self._left:
                self._left -= 1
                try:
                    self.collect(client.bucket, machine)
                except (StoreError, UserError):
                    pass  # Any error ends gc. The next run goes on.
        finally:
            machine.close()

    def collect(self, bucket: Bucket, machine: Machine) -> None:
        log = GcLog(bucket)
        log.read()
        if not log.lines:
            log.append(CONDEMNED, [])
        stored = {find_pack_name(info.key) or "" for info in iter_objects(bucket, PACKS)}
        dead = stored - self.find_needed(machine) - log.list_outstanding()
        if dead and not log.append(CONDEMNED, dead):
            return
        era = len(log.lines) - 1
        self.fence(machine, log, era)
        condemned = log.list_outstanding()
        doomed = condemned - self.mark_again(machine, condemned)
        if era == len(log.lines) - 1 and doomed and log.append(DOOMED, doomed):
            bucket.delete_many([pack_key(name) for name in sorted(doomed)])

    def fence(self, machine: Machine, log: GcLog, era: int) -> None:
        known = machine.book.follower.refresh()
        while known.era < era:
            state = VolumeView(machine.book.volume_id, known.state).alive
            closing = [n for n in log.list_outstanding(known.era) if state.packs.is_open(n)]
            fence = PacksFenced(closed=tuple(sorted(closing)))
            won = machine.book.follower.propose(known, [fence], era=era)
            known = won.known if won is not None else machine.book.follower.known

    def mark_again(self, machine: Machine, condemned: frozenset[str]) -> frozenset[str]:
        return self.find_needed(machine)

    def find_needed(self, machine: Machine) -> frozenset[str]:
        """The packs that have any object of any version. DataError."""
        view = machine.book.refresh()
        live = {
            oid for version in list_versions(view.alive)[1:] for oid in machine.list_oids(version)
        }
        return frozenset(_iter_with(machine, view, live))


def _iter_with(machine: Machine, view: VolumeView, live: set[Oid]) -> Iterable[str]:
    for pack in view.list_tail():
        if pack.is_line:
            continue
        try:
            footer = machine.data.finder.load_footer(pack)
        except MissingObjectError:
            continue
        if any(record.header.oid in live for record in footer):
            yield pack.name
