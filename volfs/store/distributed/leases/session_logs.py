"""The logs of leases, by session, and the newest line of each as a listing finds it."""

from __future__ import annotations

import threading
from functools import partial
from typing import NamedTuple

from volfs.buckets.access import Bucket, iter_objects
from volfs.errors import DamagedObjectError
from volfs.model.logs.lease_log import LeaseChange, LeaseMade
from volfs.store.distributed.leases.session_log import KnownLease, SessionLog, begin
from volfs.store.distributed.log.log import Log
from volfs.store.distributed.place.object_keys import (
    LEASES,
    LogPlace,
    find_lease_session,
    lease_log,
)

AT_ONCE = 64
"""How many lines are asked for at once."""
JUST_NOW = 1 << 62
"""Stands for the time of a line that was written while the leases were listed."""


class NewestLine(NamedTuple):
    """The newest line of a lease's log, as a listing of all leases found it."""

    place: LogPlace
    number: int
    written_ns: int
    """When it was written, by the store's clock."""
    session: str | None
    """None if the names of the log's objects do not tell it."""
    known: KnownLease | None
    """None if the line is damaged."""
    damage: DamagedObjectError | None = None

    @property
    def last(self) -> LeaseChange | None:
        return None if self.known is None or self.known.state is None else self.known.state.last

    @property
    def lease(self) -> LeaseMade | None:
        """The lease that is in force. None if none is."""
        return self.last if isinstance(self.last, LeaseMade) else None


class SessionLogs:
    """The logs of a store's leases. Thread-safe. Each log is there once in a process."""

    def __init__(self, bucket: Bucket) -> None:
        self.bucket = bucket
        self._lock = threading.Lock()
        self._logs: dict[str, SessionLog] = {}

    def open(self, session: str) -> SessionLog:
        """The log of a session's lease, whether or not there is one."""
        with self._lock:
            if session not in self._logs:
                self._logs[session] = SessionLog(self.bucket, lease_log(session))
            return self._logs[session]

    def forget(self, session: str) -> None:
        """Remember nothing of a session that never comes back."""
        with self._lock:
            self._logs.pop(session, None)

    def list_newest(self) -> list[NewestLine]:
        """The newest line of each log. One listing, and a request for each log. StoreError."""
        newest: dict[str, tuple[int, int]] = {}
        for info in iter_objects(self.bucket, LEASES):
            folder = info.key.rpartition("/")[0] + "/"
            number = LogPlace(folder, "").find_number(info.key)
            if number is not None:
                newest[folder] = max((number, info.mtime_ns), newest.get(folder, (-1, 0)))
        reads = [partial(self._read, folder, *found) for folder, found in newest.items()]
        found: list[NewestLine] = []
        for at in range(0, len(reads), AT_ONCE):
            found += self.bucket.world.gather(reads[at : at + AT_ONCE])
        return found

    def _read(self, folder: str, number: int, written_ns: int) -> NewestLine:
        session, place = find_lease_session(folder), LogPlace(folder, "")
        try:
            line = Log(self.bucket, place).find_line(number)
            if line is not None:
                return NewestLine(place, number, written_ns, session, begin(place, number, line))
            # gc deletes a line if there is a later one, or if the lease is over.
            known = SessionLog(self.bucket, place).look()
            return NewestLine(place, known.number, JUST_NOW, session, known)
        except DamagedObjectError as error:
            return NewestLine(place, number, written_ns, session, None, error)
