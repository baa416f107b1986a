"""The leases of a process that may read the bucket, and not write it."""

from __future__ import annotations

from volfs.store.contract.lease import Lease
from volfs.store.distributed.leases.bucket_leases import BucketLeases
from volfs.store.distributed.leases.session_logs import SessionLogs
from volfs.store.distributed.refs.volume_logs import VolumeLogs
from volfs.store.holds import Holds


class UnwrittenLeases(BucketLeases):
    """Leases that only this process knows. Nothing in the bucket keeps what they need."""

    def __init__(self, sessions: SessionLogs, volumes: VolumeLogs, holds: Holds, host: str) -> None:
        super().__init__(sessions, volumes, holds, host)
        self._own: dict[str, Lease] = {}

    def put(self, lease: Lease) -> None:
        self.check_versions(lease)
        self._own[lease.session] = lease

    def renew(self, lease: Lease) -> None:
        """Nobody could end it."""

    def find(self, session: str) -> Lease | None:
        return self._own.get(session) or super().find(session)

    def drop(self, session: str, expected: Lease | None = None) -> None:
        if expected in (None, self._own.get(session)):
            self._own.pop(session, None)
