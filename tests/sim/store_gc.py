"""A gc of a whole store in a bucket, with forks and leases, as the protocol has it.

It has no grace and spares no orphans, so it takes everything that it may; and it revokes leases
whenever it likes. Each step is a method, so that a mutation can replace it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from tests.sim.plain_packs import open_plain_engine
from tests.sim.simulation import Client
from volfs.buckets.access import Bucket, iter_objects
from volfs.errors import MissingObjectError, VolfsError
from volfs.model.logs.gc_log import (
    GC_CHANGES,
    GcChange,
    GcState,
    PacksCondemned,
    PacksDoomed,
    PacksReturned,
    apply,
)
from volfs.model.logs.line import NO_LINE, digest_line
from volfs.model.logs.volume_changes import (
    VOLUME_CHANGES,
    PacksAdopted,
    PacksFenced,
    VersionPublished,
    VolumeCreated,
    VolumeDeleted,
)
from volfs.model.logs.volume_log import VolumeState
from volfs.model.logs.volume_log import apply as apply_volume
from volfs.model.objects import Oid
from volfs.store.contract.lease import LeaseKind
from volfs.store.distributed.log.follower import Follower, KnownLog, LogRules
from volfs.store.distributed.log.log import NO_NUMBER, Log
from volfs.store.distributed.opened import BucketEngine
from volfs.store.distributed.place.object_keys import (
    PACKS,
    VOLUMES,
    find_pack_name,
    find_volume_id,
    gc_log,
    pack_key,
    volume_log,
)
from volfs.store.distributed.refs.condemned_packs import find_condemned
from volfs.store.distributed.refs.volume_view import to_named

GC_RULES: LogRules[GcState | None, GcChange] = LogRules(GC_CHANGES, apply, None)
GcFollower = Follower[GcState | None, GcChange]
Manifests = dict[int, Oid]
REVOKES = 0.3
"""The share of renewed leases that a gc revokes."""


class History:
    """A volume's log as it was read so far, and all versions that it ever had."""

    def __init__(self, bucket: Bucket, volume: str) -> None:
        self._log = Log(bucket, volume_log(volume))
        self._digest = NO_LINE
        self.volume = volume
        self.state: VolumeState | None = None
        self.manifests: Manifests = {}
        self.published: list[int] = []
        """The version of each line that published one."""

    def read(self) -> None:
        number = NO_NUMBER if self.state is None else self.state.number
        digest = None if self._digest == NO_LINE else self._digest
        for at, line in self._log.read_after(number, digest):
            changes = VOLUME_CHANGES.decode(line.body)
            self.state = apply_volume(self.state, at, line.era, changes)
            self._digest = digest_line(line)
            for change in changes:
                self._note(change)

    def _note(self, change: object) -> None:
        if isinstance(change, VersionPublished):
            self.manifests[change.version] = Oid(change.manifest)
            self.published.append(change.version)
        elif isinstance(change, VolumeCreated):
            self.manifests |= {version: Oid(manifest) for version, manifest in change.manifests}

    def list_versions(self) -> set[int]:
        if self.state is None:
            return set()
        return {
            version
            for first, last in self.state.versions.iter_ranges()
            for version in range(first, last + 1)
        }


class Seen(NamedTuple):
    """What one pass over a log saw."""

    versions: set[int]
    published: int
    """How many lines had published a version."""


@contextmanager
def opened_engine(client: Client, place: Path) -> Iterator[BucketEngine]:
    """A client's engine, whose local directory is kept for its next life."""
    engine = open_plain_engine(client.bucket, place / client.name)
    try:
        yield engine
    finally:
        engine.close_parts()


class StoreCollector:
    """A client that collects some times."""

    def __init__(self, runs: int, place: Path, chance: Callable[[], float]) -> None:
        self._left = runs
        self._place = place
        self._chance = chance

    def live(self, client: Client) -> None:
        with opened_engine(client, self._place) as engine:
            while self._left:
                self._left -= 1
                with suppress(VolfsError):  # Any error ends gc. The next run goes on.
                    Collection(self, engine, self._chance).run()


class Collection:
    """One run."""

    def __init__(
        self, collector: StoreCollector, engine: BucketEngine, chance: Callable[[], float]
    ) -> None:
        self.engine = engine
        self.bucket = engine.bucket
        self._chance = chance
        self.gc: GcFollower = Follower(Log(engine.bucket, gc_log()), GC_RULES)
        self.histories: dict[str, History] = {}

    def run(self) -> None:
        known = self.gc.refresh()
        stored = self.list_stored()
        assert known.state is not None
        doomed = frozenset(known.state.dooms)
        self.delete(stored & doomed)
        dead = stored - self.find_needed() - frozenset(known.state.condemned) - doomed
        if dead:
            won = self.propose(known, PacksCondemned(tuple(sorted(dead))))
            if not won:
                return
        known = self.gc.known
        assert known.state is not None
        if not known.state.condemned:
            return
        self.fence(known)
        condemned = frozenset(known.state.condemned)
        returned = condemned & self.look_again()
        self.doom(known, condemned - returned, returned)

    def doom(
        self, known: KnownLog[GcState | None], doomed: frozenset[str], returned: frozenset[str]
    ) -> None:
        """G8 and G9."""
        change = PacksDoomed(tuple(sorted(doomed)), tuple(sorted(returned)))
        if self.propose(self.choose_number(known), change):
            line = self.gc.known.number
            self.delete(doomed)
            self.adopt(returned, line)

    def propose(self, known: KnownLog[GcState | None], change: GcChange) -> bool:
        return self.gc.propose(known, [change], era=known.number + 1) is not None

    # --- steps that mutations replace -----------------------------------------------

    def choose_number(self, known: KnownLog[GcState | None]) -> KnownLog[GcState | None]:
        """G8 takes the number after the line that the fence was made for."""
        return known

    def look_again(self) -> set[str]:
        return self.find_needed()

    def read_first(self) -> dict[str, Seen]:
        """Pass (a)."""
        return self.read_logs()

    def choose_closing(self, state: GcState, after: int) -> frozenset[str]:
        return state.list_closing(after)

    def fence(self, known: KnownLog[GcState | None]) -> None:
        """G6: no living log is below the era, and no fork is pending without a log."""
        while self._fence_logs(known) | self.cancel_forks(known.number):
            pass

    def cancel_forks(self, era: int) -> bool:
        """Take the places of forks whose logs are not there. Whether there were any."""
        self.read_logs()
        pending = {fork for each in self._alive() for fork in each.forks}
        missing = sorted(pending - self.histories.keys())
        for fork in missing:
            self.engine.refs.logs.begin(fork, [VolumeDeleted()], b"", era)
        return bool(missing)

    def find_late(self, packs: frozenset[str], after: int, upto: int) -> frozenset[str]:
        """Those of the packs that were condemned again, and must stay closed."""
        return find_condemned(self.gc.log, after, upto) & packs

    def adopt(self, returned: frozenset[str], line: int) -> None:
        """Open packs again that gc's log has returned in a line."""
        for volume in self.list_volumes():
            follower = self.engine.refs.logs.open(volume)
            known = follower.refresh()
            while known.state is not None and not known.state.is_deleted:
                packs = known.state.packs
                closed = frozenset(name for name in returned if packs.is_closed(name))
                back = closed - self.find_late(closed, line, known.era)
                adopted = PacksAdopted(tuple(sorted(back)), line)
                if not back or follower.propose(known, [adopted]) is not None:
                    break
                known = follower.known

    # --- what is needed -----------------------------------------------------------------

    def find_needed(self) -> set[str]:
        """``ROOTS``, and the packs that have any object of a root. StoreError; DataError."""
        first = self.read_first()
        leased = self.find_leased()
        last = self.read_logs()
        roots: dict[str, set[Oid]] = {volume: set() for volume in self.histories}
        for volume, seen in last.items():
            history = self.histories[volume]
            before = first.get(volume, seen)
            between = history.published[before.published : seen.published]
            versions = before.versions | seen.versions | set(between)
            roots[volume] |= {history.manifests[version] for version in versions}
            roots[volume] |= self._find_forked(history)
            roots[volume] |= self._find_readable(history, leased.get(volume, ()))
        return {name for volume, oids in roots.items() for name in self._mark(volume, oids)}

    def _find_forked(self, history: History) -> set[Oid]:
        forks = {} if history.state is None else history.state.forks
        return {
            history.manifests[fork.version]
            for name, fork in forks.items()
            if name not in self.histories
        }

    def _find_readable(self, history: History, versions: Iterable[int]) -> set[Oid]:
        """The manifests of leased versions. A lease that was never seen to keep a version (L3)
        keeps nothing, and its version may be gone."""
        found = set()
        for version in versions:
            with suppress(MissingObjectError, KeyError):
                self._list_oids(history.volume, history.manifests[version])
                found.add(history.manifests[version])
        return found

    def find_leased(self) -> Mapping[str, set[int]]:
        """Pass (b). Some of the leases that may be revoked are."""
        for lease in self.engine.leases.list_all():
            if lease.kind is LeaseKind.RENEWED and self._chance() < REVOKES:
                self.engine.leases.revoke(lease.session, lease)
        found: dict[str, set[int]] = {}
        for lease in self.engine.leases.list_all():
            found.setdefault(lease.volume_id, set()).update(lease.versions)
        return found

    def read_logs(self) -> dict[str, Seen]:
        for volume in self.list_volumes():
            history = self.histories.setdefault(volume, History(self.bucket, volume))
            history.read()
        return {
            volume: Seen(history.list_versions(), len(history.published))
            for volume, history in self.histories.items()
        }

    def list_volumes(self) -> list[str]:
        return sorted({find_volume_id(i.key) or "" for i in iter_objects(self.bucket, VOLUMES)})

    def list_stored(self) -> set[str]:
        return {find_pack_name(info.key) or "" for info in iter_objects(self.bucket, PACKS)}

    def delete(self, names: Iterable[str]) -> None:
        keys = [pack_key(name) for name in sorted(names)]
        if keys:
            self.bucket.delete_many(keys)

    # --- inside -----------------------------------------------------------------------

    def _alive(self) -> list[VolumeState]:
        states = [history.state for history in self.histories.values()]
        return [state for state in states if state is not None and not state.is_deleted]

    def _fence_logs(self, gc: KnownLog[GcState | None]) -> bool:
        """Whether any log was below the era."""
        assert gc.state is not None
        found = False
        for volume in self.list_volumes():
            follower = self.engine.refs.logs.open(volume)
            known = follower.refresh()
            while known.state and not known.state.is_deleted and known.era < gc.number:
                found, packs = True, known.state.packs
                closing = self.choose_closing(gc.state, known.era)
                closed = tuple(sorted(name for name in closing if packs.is_open(name)))
                won = follower.propose(known, [PacksFenced(closed=closed)], era=gc.number)
                known = follower.known if won is None else won.known
        return found

    def _mark(self, volume: str, roots: set[Oid]) -> Iterable[str]:
        live = {oid for root in roots for oid in self._list_oids(volume, root)}
        state, finder = self.histories[volume].state, self.engine.volumes.data.finder
        for row in state.packs.packs.values() if state else ():
            pack = to_named(row.pack)
            if pack.is_line:
                continue
            try:
                footer = finder.load_footer(pack)
            except MissingObjectError:
                continue
            if any(record.oid in live for record in footer):
                yield pack.name

    def _list_oids(self, volume: str, manifest: Oid) -> list[Oid]:
        listed = self.engine.volumes.open(volume).objects.load_object(manifest)[16:]
        return [manifest, *(Oid(listed[at : at + 32]) for at in range(0, len(listed), 32))]


class Undeleter:
    """A client that wants condemned packs back, some times."""

    def __init__(self, runs: int, place: Path) -> None:
        self._left = runs
        self._place = place

    def live(self, client: Client) -> None:
        with opened_engine(client, self._place) as engine:
            while self._left:
                self._left -= 1
                with suppress(VolfsError):
                    undelete(engine)


def undelete(engine: BucketEngine) -> None:
    run = Collection(StoreCollector(0, Path(), lambda: 1.0), engine, lambda: 1.0)
    known = run.gc.refresh()
    assert known.state is not None
    condemned = frozenset(known.state.condemned)
    if condemned and run.propose(known, PacksReturned(tuple(sorted(condemned)))):
        run.adopt(condemned, run.gc.known.number)
