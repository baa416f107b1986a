"""Leases: what sessions rely on. Holds: what running operations read."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol

from volfs.store.contract.lease import Lease, SeenLease
from volfs.store.contract.refs import Head


class Leases(Protocol):
    """The leases and holds of a store. gc and expiry leave alone what is leased or held."""

    @property
    def host(self) -> str:
        """The name of this host. Only sessions whose leases name the same host can be examined
        here.

        It is empty for an engine whose store lies in one directory: a process that sees the store
        sees the store's sessions, on whichever machine they are.
        """

    @property
    def pause(self) -> float:
        """Seconds that a mount waits between two leases that only give something up."""

    @property
    def renewal(self) -> float:
        """Seconds after which a session renews its lease, if that is a renewed one."""

    def put(self, lease: Lease) -> None:
        """Make a session's lease, or replace the former one. The lease is durable on return.

        NotFoundError if one of its ``versions`` is not there. LeaseLostError if this life of the
        session had a lease, and somebody else has ended it: see ``renew``. What a lease needs must
        be reachable when it is put: from one of its versions, from the lease that it replaces, or
        from what ``publish`` publishes with it.
        """

    def renew(self, lease: Lease) -> None:
        """Say that a session lives, which has put this lease.

        LeaseLostError if somebody else has ended the lease. Then nothing keeps what it needs. A
        lease of another ``began_ns`` may be put: it keeps its versions, if they are still there.
        """

    def find(self, session: str) -> Lease | None: ...

    def list_seen(self) -> list[SeenLease]:
        """As ``list_all``, with the time at which each lease was renewed last."""

    def revoke(self, session: str, expected: Lease) -> bool:
        """End the lease of a session that lives nowhere, or on another host, if it is still this
        one. Whether it was. If the session lives after all, it has lost its lease."""

    def list_all(self) -> list[Lease]:
        """The leases of all volumes, by session. Leases of deleted volumes are among them."""

    def drop(self, session: str, expected: Lease | None = None) -> None:
        """Remove the lease of a session that needs nothing any more. Nothing happens if it has
        none.

        With ``expected``, only a lease that is equal to ``expected`` is removed.
        """

    def list_damaged(self) -> list[str | None]:
        """The sessions whose leases cannot be read, with None for each lease that does not tell
        its session.

        ``find`` raises DamagedObjectError for such a session, whether or not its lease tells it.
        While there is a damaged lease, ``list_all``, gc and expiry raise it, too. To put the lease
        anew, or to drop it, mends it.
        """

    # --- holds -----------------------------------------------------------

    def hold(self, volume_id: str, head: Head) -> AbstractContextManager[None]:
        """Keep a version while a ``with`` block lasts: gc and expiry treat it as leased.

        A hold ends with the process at the latest, and may outlast this handle. After taking the
        hold, check that the version is there: only then it stays.

        Other hosts may not know of a hold before it has lasted for some time. What they expire
        meanwhile can be read for the grace of a gc.
        """

    def judge_hold(self, lease: Lease) -> bool | None:
        """Whether a lease of this host belongs to a running hold. None if it is a session's."""

    def list_held(self, volume_id: str) -> list[int]:
        """The versions of a volume that are known to be held by anybody, ascending."""
