"""The lease of one mount: kept up to date, renewed, and put anew if somebody has ended it.

A lease that was ended keeps nothing. If the version that the mount shows is still in the history,
and has all that the mount stands on, a new lease on it is as good as the one before: a version
that is there has never lost anything. If not, the mount reads on while it can, and its changes stay
in the overlay.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable

import msgspec

from volfs.errors import LeaseLostError, VolfsError
from volfs.store.clock import unique_ns, uptime_ns
from volfs.store.contract.lease import Lease, LeaseKind
from volfs.store.contract.refs import VolumeRecord
from volfs.store.contract.store import Store
from volfs.vfs.aio import Bridge
from volfs.vfs.needs import find_needs
from volfs.vfs.state import MountState
from volfs.vfs.thread_work import lease_anew

log = logging.getLogger(__name__)


class LeaseKeeper:
    """What one mount needs, and what the store was told of that."""

    def __init__(
        self,
        state: MountState,
        bridge: Bridge,
        store: Store,
        volume: VolumeRecord,
        lease: Lease,
        clock: Callable[[], int] = uptime_ns,
    ) -> None:
        self.lease = self._stored = lease
        """What this mount needs. The store has this lease, and may have more in it until
        ``settle``."""
        self.lost = ""
        """Why there is no lease; empty if there is one."""
        self._state = state
        self._bridge = bridge
        self._store = store
        self._volume = volume
        self._clock = clock
        self._put_at: float = -math.inf
        self._renewed_at: float = 0.0

    def make(self) -> Lease:
        """The lease on what is needed from now on. It is made before anything is awaited after a
        swap."""
        versions = (self._state.view.head.version,)
        return msgspec.structs.replace(self.lease, versions=versions, needs=find_needs(self._state))

    def note_ride(self, lease: Lease) -> None:
        """Note that a commit has given the store this lease, if it is another one."""
        if lease != self.lease:
            self.lease = self._stored = lease

    def note_put(self, lease: Lease) -> None:
        """Note that this lease was put into the store."""
        self.lease = self._stored = lease
        self.lost = ""
        self._put_at = self._renewed_at = self._now()

    async def put_again(self) -> None:
        """Put the lease, whatever the store has."""
        lease = self.lease
        await self._bridge.run(self._store.leases.put, lease)
        self.note_put(lease)

    async def begin(self) -> None:
        """Lease what the state needs, as it was loaded, and nothing else."""
        self._renewed_at = self._now()
        self.lease = self.make()
        await self._put()

    async def settle(self) -> None:
        """Let the store drop needs that this mount has no more, unless it was told something a
        moment ago, and renew a lease that has to be renewed. Called now and then. VolfsError."""
        if self.lost:
            return
        now, leases = self._now(), self._store.leases
        if now >= self._put_at + leases.pause:
            await self._put()
        is_renewed = self.lease.kind is LeaseKind.RENEWED
        if is_renewed and now >= self._renewed_at + leases.renewal:
            await self._renew()

    async def regain(self, why: str) -> None:
        """Put a lease of a new life, because this one's was ended. Sets ``lost`` if the version
        that is shown is gone, or has not all that is needed. StoreError."""
        if not self.lost:
            log.warning("%s", why)
        self.lost = why
        lease = msgspec.structs.replace(self.make(), began_ns=unique_ns())
        view = self._state.view
        if await self._bridge.run(
            lease_anew, self._store, self._volume, lease, view.head, view.snapshot
        ):
            self.note_put(lease)
            log.warning("a new lease keeps version %d", view.head.version)

    async def make_sure(self) -> None:
        """LeaseLostError if there is no lease, and none can be put. StoreError."""
        if self.lost:
            await self.regain(self.lost)
        if self.lost:
            raise LeaseLostError(self.describe_loss())

    def describe_loss(self) -> str:
        version = self._state.view.head.version
        return (
            f"{self.lost}, and version {version}, on which this mount stands, is not in the "
            "history any more; the changes are kept: unmount with `volfs umount`, then see "
            "`volfs overlays rebase` and `volfs overlays export`"
        )

    def make_blank(self) -> Lease:
        """A lease of a new life that needs nothing yet."""
        return msgspec.structs.replace(self.lease, versions=(), needs=(), began_ns=unique_ns())

    async def leave(self) -> None:
        """As ``settle``; an error is logged. For what a mount has left, and nobody waits for."""
        try:
            await self.settle()
        except VolfsError as error:
            log.warning("lease: %s", error)

    # --- inside ------------------------------------------------------------------

    def _now(self) -> float:
        """Seconds, with those that the machine slept."""
        return self._clock() / 1e9

    async def _put(self) -> None:
        if self.lease == self._stored:
            return
        lease = self.lease
        try:
            await self._bridge.run(self._store.leases.put, lease)
        except LeaseLostError as error:
            await self.regain(str(error))
            return
        self.note_put(lease)

    async def _renew(self) -> None:
        try:
            await self._bridge.run(self._store.leases.renew, self._stored)
        except LeaseLostError as error:
            await self.regain(str(error))
            return
        self._renewed_at = self._now()
