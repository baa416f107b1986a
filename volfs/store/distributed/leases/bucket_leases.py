"""The distributed engine's ``Leases``: a log for each session, and locks of this machine's kernel.

A lease is in force as soon as its line is in its log, and the versions were seen in the volume's
log after that. From then on nothing removes what it needs. A commit writes no line here if its
line in the volume's log adds to the lease all that has to be added.

Whoever drops a lease writes ``LeaseRevoked`` and not ``LeaseEnded``, which would end the log: the
next mount at the same place has a session of the same name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager

from volfs.errors import NotFoundError
from volfs.model.logs.lease_log import LeaseChange, LeaseMade, LeaseRevoked, LeaseState
from volfs.model.logs.volume_log import Rider, VolumeState
from volfs.model.objects import Oid
from volfs.store.contract.lease import Lease
from volfs.store.contract.refs import Head
from volfs.store.distributed.leases.lease_lines import ride, to_lease, to_made
from volfs.store.distributed.leases.session_logs import SessionLogs
from volfs.store.distributed.refs.volume_logs import VolumeLogs, require
from volfs.store.holds import PREFIX_SIZE, Holds

PAUSE = 60.0
"""Seconds that a mount waits between two leases that only give something up."""


class BucketLeases:
    """``store.contract.leases.Leases``. Thread-safe.

    A hold is seen by the processes of this machine. Others do not see it: what they expire stays
    readable for the grace of a gc.
    """

    pause = PAUSE

    def __init__(self, sessions: SessionLogs, volumes: VolumeLogs, holds: Holds, host: str) -> None:
        self.host = host
        self.sessions = sessions
        self._volumes = volumes
        self._holds = holds

    # --- Leases ------------------------------------------------------------------

    def put(self, lease: Lease) -> None:
        self._put(lease, {})

    def find(self, session: str) -> Lease | None:
        made = self._find_in_force(session)
        return None if made is None else to_lease(made, self._list_riders(made))

    def list_all(self) -> list[Lease]:
        found = (to_lease(made, self._list_riders(made)) for made in self.list_in_force())
        return sorted(found, key=lambda lease: lease.session)

    def list_in_force(self) -> list[LeaseMade]:
        """The lines of all leases that are in force, without what commits have added.
        DamagedObjectError for one that cannot be read; StoreError."""
        found: list[LeaseMade] = []
        for newest in self.sessions.list_newest():
            if newest.damage is not None:
                raise newest.damage
            if newest.lease is not None:
                found.append(newest.lease)
        return found

    def list_held_here(self) -> frozenset[bytes]:
        """The first bytes of the ids of the manifests that processes of this machine hold."""
        return self._holds.list_held()

    def drop(self, session: str, expected: Lease | None = None) -> None:
        def decide(state: LeaseState | None) -> Sequence[LeaseChange]:
            made = _in_force(state)
            if made is None:
                return []
            is_it = expected is None or to_lease(made, self._list_riders(made)) == expected
            return [LeaseRevoked()] if is_it else []

        self.sessions.open(session).change(decide)

    def list_damaged(self) -> list[str | None]:
        newest = self.sessions.list_newest()
        return [each.session for each in newest if each.damage is not None]

    # --- publishing --------------------------------------------------------------

    def is_in_force(self, session: str) -> bool:
        """Whether the session's lease is in force. The bucket is asked."""
        return self._find_in_force(session) is not None

    def put_before(self, lease: Lease, new: Head) -> int:
        """Make sure that a lease is in force once ``new`` is a version, at the latest. Return the
        newest line of the volume's log whose changes are in the line of the lease.

        Nothing is written if the line that publishes ``new`` adds to the lease what has to be
        added. NotFoundError for a version that is not there.
        """
        made = self._find_known(lease.session)
        if made is not None:
            state = self._volumes.open(made.volume).known.state
            known = to_lease(made, _riders_in(state, made))
            if ride(known, new.version, lease.over, lease.needs) == lease:
                return made.upto
        return self._put(lease, {new.version: new.manifest}).upto

    def _put(self, lease: Lease, coming: Mapping[int, Oid]) -> LeaseMade:
        """Put a lease; ``coming`` are versions that are not there yet. NotFoundError."""
        state = self._read_volume(lease)
        follower = self.sessions.open(lease.session)
        before = _in_force(follower.refresh().state)
        upto = -1 if state is None else state.number
        made = to_made(lease, _find_manifests(state, lease, coming), upto)
        follower.change(lambda _: [made])
        try:
            _find_manifests(self._read_volume(lease), lease, coming)
        except NotFoundError:
            former = LeaseRevoked() if before is None else _repeat(before, state, upto)
            follower.change(lambda _: [former])
            raise
        return made

    # --- holds -------------------------------------------------------------------

    def hold(self, volume_id: str, head: Head) -> AbstractContextManager[None]:
        return self._holds.hold(head.manifest)

    def list_held(self, volume_id: str) -> list[int]:
        held = self._holds.list_held()
        if not held:
            return []
        state = self._volumes.find(volume_id)
        if state is None:
            return []
        rows = state.versions.rows
        versions = state.versions.iter_newest()
        return sorted(each for each in versions if rows[each].manifest[:PREFIX_SIZE] in held)

    # --- inside ------------------------------------------------------------------

    def _find_in_force(self, session: str) -> LeaseMade | None:
        return _in_force(self.sessions.open(session).refresh().state)

    def _find_known(self, session: str) -> LeaseMade | None:
        """The lease of a session as this process knows it, without a request."""
        follower = self.sessions.open(session)
        return _in_force(follower.known.state) if follower.is_known else None

    def _list_riders(self, made: LeaseMade) -> Sequence[Rider]:
        """What lines of the volume's log add to a lease, also if the volume was deleted."""
        return _riders_in(self._volumes.open(made.volume).refresh().state, made)

    def _read_volume(self, lease: Lease) -> VolumeState | None:
        """The newest state of a lease's volume. NotFoundError if the lease has versions, and there
        is no such volume."""
        state = self._volumes.open(lease.volume_id).refresh().state
        return require(lease.volume_id, state) if lease.versions else state


def _in_force(state: LeaseState | None) -> LeaseMade | None:
    return None if state is None else state.in_force


def _riders_in(state: VolumeState | None, made: LeaseMade) -> Sequence[Rider]:
    return () if state is None else state.riders.get(made.session, ())


def _find_manifests(
    state: VolumeState | None, lease: Lease, coming: Mapping[int, Oid]
) -> list[Oid]:
    """The manifests of a lease's versions. NotFoundError if one is not there."""
    found = []
    for version in lease.versions:
        row = state.versions.find(version) if state is not None else None
        manifest = coming.get(version) if row is None else row.manifest
        if manifest is None:
            raise NotFoundError(f"{lease.volume_id}: no version {version}: it was expired")
        found.append(manifest)
    return found


def _repeat(former: LeaseMade, state: VolumeState | None, upto: int) -> LeaseMade:
    """A former lease once more, with what was added to it, after one that was refused."""
    lease = to_lease(former, _riders_in(state, former))
    manifests = {version: Oid(manifest) for version, manifest in former.versions}
    return to_made(lease, _find_manifests(state, lease, manifests), upto)
