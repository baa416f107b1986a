"""``ROOTS()`` of gc: everything that versions, leases, pending forks and holds need.

The logs are read, then the leases, then the logs again. Whoever put a lease before the leases were
read is seen among them. Whoever put one later has seen its version in the log after that, so the
version was there at the first pass, or was published since: either way it is a root.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator
from functools import partial
from typing import NamedTuple, Protocol

from volfs.buckets.access import Bucket
from volfs.errors import DamagedObjectError
from volfs.model.logs.lease_log import LeaseMade
from volfs.model.logs.volume_changes import (
    VOLUME_CHANGES,
    VersionPublished,
    VolumeChange,
    VolumeCreated,
)
from volfs.model.logs.volume_log import PendingFork, Rider, VolumeState
from volfs.model.objects import Kind, Oid
from volfs.model.references import Reference
from volfs.store.contract.lease import Lease
from volfs.store.distributed.leases.lease_lines import to_lease
from volfs.store.distributed.leases.session_logs import SessionLogs
from volfs.store.distributed.log.follower import KnownLog
from volfs.store.distributed.log.log import NO_NUMBER
from volfs.store.distributed.place.object_keys import VOLUMES, find_volume_id
from volfs.store.distributed.refs.volume_logs import VolumeLogs

KnownVolume = KnownLog[VolumeState | None]
LOGS_AT_ONCE = 32
"""Logs that are read at the same time."""
NO_LOG: KnownVolume = KnownLog(None)


class LeasesForGc(Protocol):
    """What gc asks of leases."""

    @property
    def sessions(self) -> SessionLogs: ...

    def list_in_force(self) -> list[LeaseMade]:
        """The newest line of each lease that is in force. DamagedObjectError for one that cannot
        be read; StoreError."""

    def list_held_here(self) -> Collection[bytes]:
        """The first bytes of the ids of the manifests that processes of this machine hold."""


class FoundRoots(NamedTuple):
    """What one look has found."""

    volumes: dict[str, KnownVolume]
    """Every log of a volume, as the second pass found it."""
    roots: dict[str, set[Reference]]
    """What is needed, by the volume whose packs have it."""
    lapsed: dict[str, dict[str, int]]
    """For each volume: the sessions that its lines speak of and that had no lease, with the last
    such line."""
    held: Collection[bytes]
    """The first bytes of manifests that are held on this machine."""

    @property
    def newest_era(self) -> int:
        """The highest era of a log of a volume."""
        return max((known.era for known in self.volumes.values()), default=0)


class RootsFinder:
    """Looks for roots. Any error means that nothing is known, and ends gc."""

    def __init__(self, bucket: Bucket, logs: VolumeLogs, leases: LeasesForGc) -> None:
        self._bucket = bucket
        self._logs = logs
        self._leases = leases

    def find(self, ended: Collection[Lease] = ()) -> FoundRoots:
        """All roots, without those of leases that have ``ended``. DataError; StoreError."""
        first = self.read_logs()
        leases = self.read_leases()
        held = self._leases.list_held_here()
        second = self.read_logs()
        roots: dict[str, set[Reference]] = defaultdict(set)
        for volume_id, known in second.items():
            before = first.get(volume_id, NO_LOG)
            roots[volume_id] |= self._find_roots(volume_id, before, known, second.keys())
        kept = [made for made in leases if not _is_among(made, second, ended)]
        for made in kept:
            roots[made.volume] |= self._find_needed(made, first, second)
        lapsed = _list_lapsed(first, {made.session for made in leases})
        return FoundRoots(second, dict(roots), lapsed, held)

    def read_logs(self) -> dict[str, KnownVolume]:
        """One pass: every log of a volume, to its end."""
        found: dict[str, KnownVolume] = {}
        names = self.list_volumes()
        for first in range(0, len(names), LOGS_AT_ONCE):
            batch = names[first : first + LOGS_AT_ONCE]
            calls = [partial(self._logs.open(name).refresh) for name in batch]
            found.update(zip(batch, self._bucket.world.gather(calls), strict=True))
        return {name: known for name, known in found.items() if known.state is not None}

    def read_leases(self) -> list[LeaseMade]:
        """The leases that are in force."""
        return self._leases.list_in_force()

    def list_volumes(self) -> list[str]:
        """The ids of all volumes that have any object."""
        return [
            volume_id
            for folder in _iter_folders(self._bucket, VOLUMES)
            if (volume_id := find_volume_id(folder)) is not None
        ]

    # --- inside --------------------------------------------------------------------

    def _find_roots(
        self, volume_id: str, before: KnownVolume, known: KnownVolume, there: Collection[str]
    ) -> set[Reference]:
        """Versions that were there at the first pass, or were published since, whatever became of
        them; and versions of forks whose logs are not there."""
        states = [each.state for each in (before, known) if each.state is not None]
        roots = {
            row.manifest for state in states for _, row in self._logs.iter_rows(volume_id, state)
        }
        roots.update(self._iter_published(volume_id, before, known))
        for state in states:
            for fork, pending in state.forks.items():
                if fork not in there:
                    roots.add(self._find_forked(volume_id, pending, states))
        return {Reference(Kind.MANIFEST, oid) for oid in roots}

    def _iter_published(
        self, volume_id: str, before: KnownVolume, known: KnownVolume
    ) -> Iterator[Oid]:
        """The manifests of the lines between two passes."""
        if known.number == before.number:
            return
        log = self._logs.open(volume_id).log
        digest = before.digest if before.number != NO_NUMBER else None
        for number, line in log.read_after(before.number, digest):
            if number > known.number:
                return
            for change in VOLUME_CHANGES.decode(line.body):
                yield from _list_manifests(change)

    def _find_forked(self, volume_id: str, pending: PendingFork, states: list[VolumeState]) -> Oid:
        """The manifest of the version that a pending fork has. It may have expired since."""
        for state in states:
            row = self._logs.find_row(volume_id, state, pending.version)
            if row is not None:
                return row.manifest
        return self._search_version(volume_id, pending.version, pending.line)

    def _find_needed(
        self, made: LeaseMade, first: dict[str, KnownVolume], second: dict[str, KnownVolume]
    ) -> set[Reference]:
        """What a lease needs: what its line says, and what later lines of the volume add."""
        needed = {Reference(kind, Oid(oid)) for kind, oid in made.needs}
        needed.update(Reference(Kind.MANIFEST, Oid(oid)) for _, oid in made.versions)
        for known in (first.get(made.volume, NO_LOG), second.get(made.volume, NO_LOG)):
            for rider in _list_riders(known, made):
                needed.update(rider.needs)
                needed.add(self._find_ridden(made.volume, known, rider))
        return needed

    def _find_ridden(self, volume_id: str, known: KnownVolume, rider: Rider) -> Reference:
        """The manifest of the version that a rider brought. It may have expired since."""
        state, version = known.state, rider.version
        row = self._logs.find_row(volume_id, state, version) if state else None
        if row is not None:
            return Reference(Kind.MANIFEST, row.manifest)
        oid = self._search_version(volume_id, rider.version, rider.line + 1)
        return Reference(Kind.MANIFEST, oid)

    def _search_version(self, volume_id: str, version: int, below: int) -> Oid:
        """The manifest of a version, from the lines before a number, the latest first."""
        log = self._logs.open(volume_id).log
        for number in reversed(range(below)):
            line = log.find_line(number)
            if line is None:
                break
            for change in VOLUME_CHANGES.decode(line.body):
                for at, oid in _list_versions(change):
                    if at == version:
                        return oid
        raise DamagedObjectError(f"{volume_id}: no line published version {version}")


def _iter_folders(bucket: Bucket, prefix: str) -> Iterator[str]:
    """The folders below a prefix."""
    after: str | None = None
    while True:
        page = bucket.list_page(prefix, after=after)
        yield from page.prefixes
        if page.next is None:
            return
        after = page.next


def _list_manifests(change: VolumeChange) -> list[Oid]:
    return [oid for _, oid in _list_versions(change)]


def _list_versions(change: VolumeChange) -> list[tuple[int, Oid]]:
    """The versions that a change brings, with their manifests."""
    if isinstance(change, VersionPublished):
        return [(change.version, Oid(change.manifest))]
    if isinstance(change, VolumeCreated):
        return [(version, Oid(manifest)) for version, manifest in change.manifests]
    return []


def _list_riders(known: KnownVolume, made: LeaseMade) -> list[Rider]:
    """What lines of the volume have added to a lease."""
    riders = known.state.riders.get(made.session, ()) if known.state is not None else ()
    return [rider for rider in riders if rider.line > made.upto]


def _is_among(made: LeaseMade, volumes: dict[str, KnownVolume], leases: Collection[Lease]) -> bool:
    """Whether a lease, with everything that was added to it, is one of these."""
    known = volumes.get(made.volume, NO_LOG)
    return bool(leases) and to_lease(made, _list_riders(known, made)) in leases


def _list_lapsed(
    first: dict[str, KnownVolume], in_force: Collection[str]
) -> dict[str, dict[str, int]]:
    """The sessions of each volume's riders that had no lease when the leases were read.

    They are taken from the first pass: a session that comes back later adds later lines.
    """
    lapsed: dict[str, dict[str, int]] = {}
    for volume_id, known in first.items():
        riders = known.state.riders if known.state is not None else {}
        found = {
            session: rows[-1].line
            for session, rows in riders.items()
            if rows and session not in in_force
        }
        if found:
            lapsed[volume_id] = found
    return lapsed
