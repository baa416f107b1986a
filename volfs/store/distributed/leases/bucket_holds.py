"""Holds in a bucket: locks of this machine's kernel, and leases of those that last.

Other machines see no lock. Most operations are over before any gc could remove what they read, so
a hold asks the bucket for nothing at first. One that lasts gets a lease, which a thread puts and
renews.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from typing import Protocol

import msgspec

from volfs.errors import DataError, LeaseLostError, NotFoundError, StoreError, UserError
from volfs.model.objects import Oid
from volfs.store.contract.lease import Lease, LeaseKind
from volfs.store.contract.refs import Head
from volfs.store.holds import PREFIX_SIZE, Holds
from volfs.store.identity import find_host_name
from volfs.system.world import World

log = logging.getLogger(__name__)

LEASED_AFTER = 60.0
"""Seconds after which a hold gets a lease."""
AGAIN = 60.0
"""Seconds after which a lease is put once more that could not be put."""
_NAMED = ".hold-"
_OID_SIZE = 32


class LeasesForHolds(Protocol):
    """What holds ask of leases."""

    @property
    def host(self) -> str: ...

    @property
    def renewal(self) -> float: ...

    def put(self, lease: Lease) -> None: ...

    def renew(self, lease: Lease) -> None: ...

    def drop(self, session: str) -> None: ...


class BucketHolds:
    """The holds of one machine in one store. Thread-safe."""

    def __init__(self, leases: LeasesForHolds, holds: Holds, world: World) -> None:
        self.holds = holds
        self._leases = leases
        self._world = world

    @contextmanager
    def hold(self, volume_id: str, head: Head) -> Iterator[None]:
        """Hold a version for the block."""
        life = self._world.random_bytes(_OID_SIZE)
        with self.holds.hold(head.manifest), self.holds.hold(Oid(life)):
            lasting = LastingHold(self._leases, self._make_lease(volume_id, head, life))
            self._world.start(lambda: lasting.run(self._world))
            try:
                yield
            finally:
                lasting.end(self._world)

    def judge(self, lease: Lease) -> bool | None:
        """Whether a lease of this machine belongs to a running hold. None if it is a session's.

        The name has the place of a lock that the hold has, and that its process's death ends.
        """
        _, named, place = lease.session.partition(_NAMED)
        if not (named and lease.is_hold):
            return None
        return bytes.fromhex(place) in self.holds.list_held()

    def _make_lease(self, volume_id: str, head: Head, life: bytes) -> Lease:
        return Lease(
            f"{self._leases.host}{_NAMED}{life[:PREFIX_SIZE].hex()}",
            volume_id,
            (head.version,),
            began_ns=self._world.wall_ns(),
            host=self._leases.host,
            kind=LeaseKind.RENEWED,
            host_name=find_host_name(),
        )


class Stage(Enum):
    """How far the lease of a hold is."""

    WAITS = "it is not needed yet"
    PUTS = "its line is on its way"
    PUT = "it may be there"
    OVER = "the hold has ended"


class LastingHold:
    """The lease of one hold. ``run`` is the work of a thread."""

    def __init__(self, leases: LeasesForHolds, lease: Lease) -> None:
        self._leases = leases
        self._lease = lease
        self._is_put = False
        self._ended = threading.Event()
        self._changed = threading.Condition()
        self._stage = Stage.WAITS

    def run(self, world: World) -> None:
        """Put the lease once it is needed, and renew it, until the hold ends."""
        pause = LEASED_AFTER
        while not world.pause(pause, self._ended):
            if not self._enter(Stage.PUTS):
                return
            pause = self._put_or_renew(world)
            if not self._enter(Stage.PUT):
                self._drop()
                return

    def end(self, world: World) -> None:
        """End the hold, and its lease if it has one. Raises nothing."""
        self._ended.set()
        with self._changed:
            world.wait_for(self._changed, lambda: self._stage is not Stage.PUTS, AGAIN)
            was_put = self._stage is Stage.PUT
            self._stage = Stage.OVER
        if was_put:
            self._drop()

    def _enter(self, stage: Stage) -> bool:
        """False if the hold has ended meanwhile."""
        with self._changed:
            if self._stage is Stage.OVER:
                return False
            self._stage = stage
            self._changed.notify_all()
            return True

    def _put_or_renew(self, world: World) -> float:
        """Seconds until the next line of the lease. Raises nothing."""
        try:
            if self._is_put:
                self._leases.renew(self._lease)
            else:
                self._leases.put(self._lease)
            self._is_put = True
        except NotFoundError as error:
            # The version was expired before the lease was there. Its content stays for a grace.
            log.info("hold: %s", error)
        except LeaseLostError:
            self._lease = msgspec.structs.replace(self._lease, began_ns=world.wall_ns())
            self._is_put = False
            return AGAIN
        except (StoreError, DataError, UserError) as error:
            log.warning("hold: %s", error)
            return AGAIN
        return self._leases.renewal

    def _drop(self) -> None:
        try:
            self._leases.drop(self._lease.session)
        except (StoreError, DataError, UserError) as error:
            log.info("hold: %s; its lease ends by itself", error)
