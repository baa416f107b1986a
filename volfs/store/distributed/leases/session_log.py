"""The log of one session's lease, as one process knows it.

Only the newest line counts, and gc deletes logs that are over. So a log is not read from its
beginning: a listing tells the newest line. The living process of a session is the only one that
puts leases into its log. If it finds a line there that it did not write, somebody has taken the
lease from it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import suppress

from volfs.buckets.access import Bucket, iter_objects
from volfs.errors import ConflictError, DamagedObjectError, LeaseLostError, UserError
from volfs.model.logs.lease_log import (
    LEASE_CHANGES,
    LeaseChange,
    LeaseMade,
    LeaseRevoked,
    LeaseState,
    apply,
    begin_at,
)
from volfs.model.logs.line import DIGEST_SIZE, Line, digest_line
from volfs.store.distributed.log.follower import KnownLog
from volfs.store.distributed.log.log import NO_NUMBER, Log
from volfs.store.distributed.place.object_keys import LogPlace

KnownLease = KnownLog[LeaseState | None]
NOTHING: KnownLease = KnownLog(None)
UNREADABLE = bytes([255]) * DIGEST_SIZE
"""Stands for the digest of a line that was not read, or cannot be, in the line after it."""


class SessionLog:
    """The log of one session's lease. Thread-safe; no lock is held during a request."""

    def __init__(self, bucket: Bucket, place: LogPlace) -> None:
        self.world = bucket.world
        self._bucket = bucket
        self._log = Log(bucket, place)
        self._lock = threading.Lock()
        self._sent: set[bytes] = set()
        """The nonces of all lines that this process has sent."""
        self.seen: KnownLease | None = None
        """The newest line that this process has seen, which may be out of date."""
        self.owned: KnownLease | None = None
        """The newest line that this process has written."""

    def look_past(self) -> KnownLease:
        """As ``look``, but a line that is damaged is one that says nothing. For whoever writes the
        next line, which mends the log."""
        try:
            return self.look()
        except DamagedObjectError:
            return _unread(self._find_newest(NO_NUMBER))

    def look_for_place(self) -> KnownLease:
        """As ``look_past``, for a process that begins a life of the session. If it has not looked
        at the log before, it does not read what the newest line says. One listing."""
        if self.seen is not None:
            return self.look_past()
        number = self._find_newest(NO_NUMBER)
        return NOTHING if number == NO_NUMBER else _unread(number)

    def read_again(self, known: KnownLease) -> KnownLease:
        """Read the line that ``look_for_place`` has not read. Any other is returned as it is.
        StoreError."""
        if known.digest != UNREADABLE:
            return known
        try:
            line = self._log.find_line(known.number)
            return known if line is None else begin(self._log.place, known.number, line)
        except DamagedObjectError:
            return known

    def look(self) -> KnownLease:
        """The newest line. One listing, and a request if the line is new. StoreError; DataError."""
        while True:
            seen = self.seen or NOTHING
            number = self._find_newest(seen.number)
            if number == seen.number:
                return seen
            if number == NO_NUMBER:
                self.seen = NOTHING
                return NOTHING
            line = self._log.find_line(number)
            if line is not None:
                self.seen = begin(self._log.place, number, line)
                return self.seen
            # Somebody has written a line after it, and gc has deleted this one.

    def append(self, known: KnownLease, change: LeaseChange) -> KnownLease | None:
        """Append a line that follows ``known``. None if somebody else's line does.

        ConflictError if the line cannot follow; StoreUncertainError; StoreError.
        """
        while True:
            state = apply(known.state, known.number + 1, 0, (change,))
            line = self._log.make_line(known.digest, 0, LEASE_CHANGES.encode((change,)))
            with self._lock:
                self._sent.add(line.nonce)
            there = self._log.append(known.number + 1, line)
            if there.nonce == line.nonce:
                self.seen = self.owned = KnownLog(state, known.number + 1, digest_line(line))
                return self.owned
            known = begin(self._log.place, known.number + 1, there)
            self.seen = known
            with self._lock:
                if there.nonce not in self._sent:
                    return None
            # An append of which this process did not know the result had won.

    def append_next(self, known: KnownLease, change: LeaseChange) -> None:
        """Append a line after ``known``, or after what others write meanwhile. ConflictError;
        StoreError."""
        while self.append(known, change) is None:
            known = self.look_past()

    def continue_with(self, change: LeaseChange) -> None:
        """Append a line after the newest line of this process. LeaseLostError if somebody else has
        written one.

        ``check_stays`` is still to be called: until then the line proves nothing.
        """
        before = self.owned
        assert before is not None
        try:
            won = self.append(before, change)
        except UserError as error:
            raise _lost(str(error)) from None
        if won is None:
            raise _lost("somebody else has ended it")

    def check_stays(self, before: KnownLease) -> None:
        """LeaseLostError if the line before ours is gone: then gc has deleted the log, and our
        line says what is not so. It is taken back."""
        try:
            if before.number < 0 or self._log.find_line(before.number) is not None:
                return
        except DamagedObjectError:
            return  # It is there.
        if self.owned is not None and find_made(self.owned) is not None:
            with suppress(ConflictError):  # Another thread has ended it.
                self.append(self.owned, LeaseRevoked())
        raise _lost("gc has revoked it, and deleted its log since")

    def _find_newest(self, seen: int) -> int:
        """The number of the newest line. It is not less than ``seen`` if that line is still there,
        so the lines before it are not listed."""
        place = self._log.place
        behind = place.line(seen - 1) if seen > 0 else None
        found = max(self._iter_numbers(behind), default=NO_NUMBER)
        if found == NO_NUMBER and behind is not None:
            found = max(self._iter_numbers(None), default=NO_NUMBER)
        return found

    def _iter_numbers(self, behind: str | None) -> Iterator[int]:
        place = self._log.place
        for info in iter_objects(self._bucket, place.lines, begin=behind):
            number = place.find_number(info.key)
            if number is not None:
                yield number

    def is_ours(self) -> bool:
        """Whether a lease is in force that this process wrote, or has taken over. One listing."""
        expected = self.owned or self.seen
        found = self.look()
        is_same = expected is not None and expected.digest == found.digest
        return is_same and found.state is not None and found.state.in_force is not None


def begin(place: LogPlace, number: int, line: Line) -> KnownLease:
    """What a process knows of a log after its newest line. DataError for a line that no volfs has
    written."""
    try:
        state = begin_at(number, LEASE_CHANGES.decode(line.body))
    except UserError as error:
        raise DamagedObjectError(f"{place.line(number)}: {error}") from None
    return KnownLog(state, number, digest_line(line))


def _unread(number: int) -> KnownLease:
    """What is known after a line that was not read: its number, for the line after it."""
    return KnownLog(LeaseState(number, None, None), number, UNREADABLE)


def find_made(known: KnownLease | None) -> LeaseMade | None:
    """The lease that is in force after a line."""
    return None if known is None or known.state is None else known.state.in_force


def _lost(why: str) -> LeaseLostError:
    return LeaseLostError(f"the lease was lost: {why}")
