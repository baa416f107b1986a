"""The distributed engine's ``Leases``: a log for each session, and holds that may become leases.

A lease is in force as soon as its line is in its log, and the versions were seen in the volume's
log after that. From then on nothing removes what it needs. A commit writes no line here if its
line in the volume's log adds to the lease all that has to be added.

Whoever drops a lease writes ``LeaseEnded``. ``LeaseRevoked`` is for leases that somebody takes from
their sessions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial

from volfs.errors import ConflictError, LeaseLostError, NotFoundError
from volfs.model.logs.lease_log import LeaseChange, LeaseEnded, LeaseMade, LeaseRevoked
from volfs.model.logs.volume_log import Rider, VolumeState
from volfs.model.objects import Oid
from volfs.store.contract.lease import Lease, SeenLease
from volfs.store.contract.refs import Head
from volfs.store.distributed.leases.bucket_holds import BucketHolds
from volfs.store.distributed.leases.lease_lines import covers, ride, to_lease, to_made
from volfs.store.distributed.leases.session_log import KnownLease, SessionLog, find_made
from volfs.store.distributed.leases.session_logs import NewestLine, SessionLogs
from volfs.store.distributed.refs.volume_logs import VolumeLogs, require
from volfs.store.holds import PREFIX_SIZE, Holds

PAUSE = 60.0
"""Seconds that a mount waits between two leases that only give something up."""
RENEWAL = 6 * 3600.0
"""Seconds between two lines of a session that has nothing new to say."""


class BucketLeases:
    """``store.contract.leases.Leases``. Thread-safe."""

    pause = PAUSE
    renewal = RENEWAL

    def __init__(self, sessions: SessionLogs, volumes: VolumeLogs, holds: Holds, host: str) -> None:
        self.host = host
        self.sessions = sessions
        self._volumes = volumes
        self._holds = BucketHolds(self, holds, sessions.bucket.world)

    # --- Leases ------------------------------------------------------------------

    def put(self, lease: Lease) -> None:
        self._put(lease, {})

    def renew(self, lease: Lease) -> None:
        log = self.sessions.open(lease.session)
        own = _find_own(log, lease.began_ns)
        before = own or log.look()
        made = find_made(before)
        if made is None or made.began_ns != lease.began_ns:
            raise LeaseLostError("the lease was lost: somebody else has ended it")
        _write(log, before, made, is_ours=own is not None)

    def find(self, session: str) -> Lease | None:
        return self._to_lease(find_made(self.sessions.open(session).look()))

    def list_all(self) -> list[Lease]:
        return [seen.lease for seen in self.list_seen()]

    def list_seen(self) -> list[SeenLease]:
        found = [
            SeenLease(to_lease(made, self._list_riders(made)), newest.written_ns)
            for newest, made in self._iter_in_force()
        ]
        return sorted(found, key=lambda seen: seen.lease.session)

    def list_in_force(self) -> list[LeaseMade]:
        """The lines of all leases that are in force, without what commits have added.
        DamagedObjectError for one that cannot be read; StoreError."""
        return [made for _, made in self._iter_in_force()]

    def _iter_in_force(self) -> Iterator[tuple[NewestLine, LeaseMade]]:
        for newest in self.sessions.list_newest():
            if newest.damage is not None:
                raise newest.damage
            if newest.lease is not None:
                yield newest, newest.lease

    def list_held_here(self) -> frozenset[bytes]:
        """The first bytes of the ids of the manifests that processes of this machine hold."""
        return self._holds.holds.list_held()

    def check_versions(self, lease: Lease) -> None:
        """NotFoundError if one of the versions of a lease is not there. The bucket is asked."""
        self._find_manifests(self._read_volume(lease), lease, {})

    def revoke(self, session: str, expected: Lease) -> bool:
        return self._end(session, expected, LeaseRevoked())

    def drop(self, session: str, expected: Lease | None = None) -> None:
        self._end(session, expected, LeaseEnded())

    def list_damaged(self) -> list[str | None]:
        newest = self.sessions.list_newest()
        return [each.session for each in newest if each.damage is not None]

    def _end(self, session: str, expected: Lease | None, change: LeaseChange) -> bool:
        """Write a line that ends a lease, if it is still the expected one. Whether it was."""
        log = self.sessions.open(session)
        while True:
            known = log.look_past() if expected is None else log.look()
            made = find_made(known)
            is_readable = known.state is None or known.state.last is not None
            if made is None and is_readable:
                return False
            if expected is not None and self._to_lease(made) != expected:
                return False
            if log.append(known, change) is not None:
                return True

    def _to_lease(self, made: LeaseMade | None) -> Lease | None:
        return None if made is None else to_lease(made, self._list_riders(made))

    # --- publishing --------------------------------------------------------------

    def is_in_force(self, lease: Lease) -> bool:
        """Whether the lease that this process has put for a session is in force. The bucket is
        asked."""
        return self.sessions.open(lease.session).is_ours()

    def put_before(self, lease: Lease, new: Head) -> int:
        """Make sure that a lease is in force once ``new`` is a version, at the latest. Return the
        newest line of the volume's log whose changes are in the line of the lease.

        Nothing is written if the line that publishes ``new`` adds to the lease what has to be
        added. NotFoundError for a version that is not there; LeaseLostError.
        """
        log = self.sessions.open(lease.session)
        made = find_made(log.owned or log.seen)
        if made is not None:
            state = self._volumes.open(made.volume).known.state
            known = to_lease(made, _riders_in(state, made))
            if covers(ride(known, new.version, lease.over, lease.needs), lease):
                return made.upto  # The lease gives things up once in a while, and not here.
        return self._put(lease, {new.version: new.manifest}).upto

    def _put(self, lease: Lease, coming: Mapping[int, Oid]) -> LeaseMade:
        """Put a lease; ``coming`` are versions that are not there yet. NotFoundError;
        LeaseLostError.

        What is known of the volume is enough to begin with, because the volume's log is read once
        the line is there.
        """
        log = self.sessions.open(lease.session)
        own = _find_own(log, lease.began_ns)
        before = own or log.look_for_place()
        # What our lease has kept is there, whether or not it was expired since.
        coming = {**coming, **_list_kept(find_made(own))}
        state = self._guess_volume(lease, coming, before)
        made = to_made(lease, self._find_manifests(state, lease, coming), _number_of(state))
        check = partial(self._check_versions, log, before, lease, coming)
        _write(log, before, made, check, is_ours=own is not None)
        return made

    def _check_versions(
        self, log: SessionLog, before: KnownLease, lease: Lease, coming: Mapping[int, Oid]
    ) -> None:
        """Look for the versions of a lease that has just been put. If one is gone, the former
        lease is put again. If the whole volume is gone, there is nothing to say of its versions:
        a session that had a lease keeps the new one, and any other has none. NotFoundError."""
        state = self._volumes.open(lease.volume_id).refresh().state
        is_there = state is not None and not state.is_deleted
        try:
            if lease.versions:
                require(lease.volume_id, state)
            self._find_manifests(state, lease, coming)
        except NotFoundError:
            made = find_made(log.read_again(before))
            if made is None or is_there:
                assert log.owned is not None
                log.append(log.owned, LeaseEnded() if made is None else self._repeat(made, state))
            raise

    def _guess_volume(
        self, lease: Lease, coming: Mapping[int, Oid], before: KnownLease
    ) -> VolumeState | None:
        """A state of the lease's volume that has its versions, and is not older than what the
        former lease says. NotFoundError if there is none."""
        made = find_made(before)
        known = self._volumes.open(lease.volume_id).guess
        if made is None or known.number >= made.upto:
            try:
                self._find_manifests(known.state, lease, coming)
                return require(lease.volume_id, known.state) if lease.versions else known.state
            except NotFoundError:
                pass  # What is known may be out of date.
        return self._read_volume(lease)

    # --- holds -------------------------------------------------------------------

    def hold(self, volume_id: str, head: Head) -> AbstractContextManager[None]:
        return self._holds.hold(volume_id, head)

    def judge_hold(self, lease: Lease) -> bool | None:
        return self._holds.judge(lease)

    def list_held(self, volume_id: str) -> list[int]:
        held = self._holds.holds.list_held()
        if not held:
            return []
        state = self._volumes.find(volume_id)
        if state is None:
            return []
        rows = self._volumes.iter_rows(volume_id, state)
        return sorted(version for version, row in rows if row.manifest[:PREFIX_SIZE] in held)

    # --- inside ------------------------------------------------------------------

    def _list_riders(self, made: LeaseMade) -> Sequence[Rider]:
        """What lines of the volume's log add to a lease, also if the volume was deleted."""
        return _riders_in(self._volumes.open(made.volume).refresh().state, made)

    def _read_volume(self, lease: Lease) -> VolumeState | None:
        """The newest state of a lease's volume. NotFoundError if the lease has versions, and there
        is no such volume."""
        state = self._volumes.open(lease.volume_id).refresh().state
        return require(lease.volume_id, state) if lease.versions else state

    def _find_manifests(
        self, state: VolumeState | None, lease: Lease, coming: Mapping[int, Oid]
    ) -> list[Oid]:
        """The manifests of a lease's versions. NotFoundError if one is not there."""
        found, volume = [], lease.volume_id
        for version in lease.versions:
            row = self._volumes.find_row(volume, state, version) if state is not None else None
            manifest = coming.get(version) if row is None else row.manifest
            if manifest is None:
                raise NotFoundError(f"{lease.volume_id}: no version {version}: it was expired")
            found.append(manifest)
        return found

    def _repeat(self, former: LeaseMade, state: VolumeState | None) -> LeaseMade:
        """A former lease once more, with what was added to it, after one that was refused."""
        lease = to_lease(former, _riders_in(state, former))
        manifests = self._find_manifests(state, lease, _list_kept(former))
        return to_made(lease, manifests, _number_of(state))


def _list_kept(made: LeaseMade | None) -> dict[int, Oid]:
    """The versions of a lease, with their manifests."""
    return {} if made is None else {version: Oid(oid) for version, oid in made.versions}


def _find_own(log: SessionLog, began_ns: int) -> KnownLease | None:
    """The newest line of this process, if it is a lease of this life of the session."""
    made = find_made(log.owned)
    return log.owned if made is not None and made.began_ns == began_ns else None


def _write(
    log: SessionLog,
    before: KnownLease,
    made: LeaseMade,
    check: Callable[[], None] = lambda: None,
    *,
    is_ours: bool,
) -> None:
    """Write a lease after the line ``before``, and make sure that it counts. ``check`` is called
    beside that. ``is_ours``: that line is a lease of this life of the session. LeaseLostError if
    this life has had a lease and lost it."""
    if is_ours:
        log.continue_with(made)
        checks: list[Callable[[], None]] = [partial(log.check_stays, before), check]
        log.world.gather(checks)
        return
    try:
        log.append_next(before, made)
    except ConflictError as error:
        raise LeaseLostError(f"the lease was lost: {error}") from None
    check()


def _riders_in(state: VolumeState | None, made: LeaseMade) -> Sequence[Rider]:
    return () if state is None else state.riders.get(made.session, ())


def _number_of(state: VolumeState | None) -> int:
    return -1 if state is None else state.number
