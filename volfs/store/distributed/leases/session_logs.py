"""The logs of leases, by session. What is known of them is in the memory of this process."""

from __future__ import annotations

import threading
from functools import partial
from typing import NamedTuple

from volfs.buckets.access import Bucket, iter_objects
from volfs.errors import DamagedObjectError
from volfs.model.logs.lease_log import LEASE_CHANGES, LeaseChange, LeaseMade, LeaseState, apply
from volfs.store.distributed.log.follower import Follower, LogRules
from volfs.store.distributed.log.log import Log
from volfs.store.distributed.place.object_keys import (
    LEASES,
    LogPlace,
    find_lease_session,
    lease_log,
)

LEASE_RULES: LogRules[LeaseState | None, LeaseChange] = LogRules(LEASE_CHANGES, apply, None)
LeaseFollower = Follower[LeaseState | None, LeaseChange]


class NewestLine(NamedTuple):
    """The newest line of a lease's log, as a listing of all leases found it."""

    session: str | None
    """None if the names of the log's objects do not tell it."""
    lease: LeaseMade | None
    """None if no lease is in force."""
    damage: DamagedObjectError | None = None


class SessionLogs:
    """The logs of a store's leases. Thread-safe. Each log is there once in a process."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self._lock = threading.Lock()
        self._followers: dict[str, LeaseFollower] = {}

    def open(self, session: str) -> LeaseFollower:
        """The log of a session's lease, whether or not there is one."""
        with self._lock:
            if session not in self._followers:
                log = Log(self._bucket, lease_log(session))
                self._followers[session] = Follower(log, LEASE_RULES)
            return self._followers[session]

    def list_newest(self) -> list[NewestLine]:
        """The newest line of each log. One listing, and a request for each log. StoreError."""
        newest: dict[str, int] = {}
        for info in iter_objects(self._bucket, LEASES):
            folder = info.key.rpartition("/")[0] + "/"
            number = LogPlace(folder, "").find_number(info.key)
            if number is not None:
                newest[folder] = max(number, newest.get(folder, 0))
        reads = [partial(self._read, folder, number) for folder, number in newest.items()]
        return self._bucket.world.gather(reads)

    def _read(self, folder: str, number: int) -> NewestLine:
        session = find_lease_session(folder)
        try:
            line = Log(self._bucket, LogPlace(folder, "")).find_line(number)
            changes = LEASE_CHANGES.decode(line.body) if line is not None else ()
        except DamagedObjectError as error:
            return NewestLine(session, None, error)
        last = changes[-1] if changes else None
        return NewestLine(session, last if isinstance(last, LeaseMade) else None)
