"""What gc does with leases: it revokes those that nobody renews, and deletes logs that are over.

All times are of the store's clock: those of the objects, and ``now_ns``, which is the time of an
object that gc has just written. A wrong clock costs a mount its lease, and no version its content.
"""

from __future__ import annotations

import logging

from volfs.buckets.access import iter_objects
from volfs.model.logs.lease_log import LeaseRevoked, is_over, is_overdue
from volfs.model.text import from_stored
from volfs.store.distributed.leases.session_log import SessionLog
from volfs.store.distributed.leases.session_logs import NewestLine, SessionLogs

log = logging.getLogger(__name__)


def revoke_stale(sessions: SessionLogs, now_ns: int) -> list[str]:
    """Revoke the leases that their sessions have not renewed for their whole ttl. Returns the
    sessions. Called before gc reads what is needed. StoreError; DataError.

    A session that renews its lease at the same moment keeps it: one of two lines has the number.
    """
    revoked: list[str] = []
    for newest in sessions.list_newest():
        lease, known = newest.lease, newest.known
        if lease is None or known is None or not is_overdue(lease, newest.written_ns, now_ns):
            continue
        if SessionLog(sessions.bucket, newest.place).append(known, LeaseRevoked()) is not None:
            session = from_stored(lease.session)
            log.info("lease %s: nobody has renewed it, so it was revoked", session)
            revoked.append(session)
    return revoked


def delete_old_lines(sessions: SessionLogs, now_ns: int) -> int:
    """Delete the logs of leases that are over, and of the others all lines but the newest two.
    Returns the number of lines. StoreError.

    The newest line goes last: whatever dies here, no older lease comes to be the newest. The line
    before it stays, because whoever has just written the newest looks for that (``check_stays``).
    """
    return sum(_delete_old(sessions, newest, now_ns) for newest in sessions.list_newest())


def _delete_old(sessions: SessionLogs, newest: NewestLine, now_ns: int) -> int:
    bucket, place = sessions.bucket, newest.place
    if newest.last is None:
        return 0
    ends = is_over(newest.last, newest.written_ns, now_ns)
    first = place.line(newest.number if ends else max(newest.number - 1, 0))
    keys = [info.key for info in iter_objects(bucket, place.lines) if info.key < first]
    if keys:
        bucket.delete_many(keys)
    if ends:
        bucket.delete(place.line(newest.number))
    return len(keys) + ends
