"""One append to a log: as many requests as it takes to know what became of the line.

The nonce decides, and never the status of an answer: a write without an answer may have been done,
a network may deliver a write twice and answer the second, and services answer 409 and 429 whether
or not there is an object. After everything but a success, the line of the number is read. If there
is none, the same bytes are sent to the same number again, so a late write can at most be the line
that it was meant to be.
"""

from __future__ import annotations

import threading

from volfs.buckets.access import Bucket
from volfs.buckets.answers import FailureKind, RequestFailure
from volfs.buckets.calls import Deadline
from volfs.buckets.throttle import pause_before
from volfs.errors import (
    DamagedObjectError,
    StoreUncertainError,
    UnsupportedFormatError,
    VolfsError,
)
from volfs.errors.fault_points import reached
from volfs.model.logs.line import Line, decode_line, encode_line
from volfs.model.objects import Buffer
from volfs.store.distributed.place.object_keys import LogPlace

APPEND_SECONDS = 60.0
"""After so many seconds an append whose result is not known is an error."""
REQUEST_SECONDS = 10.0
"""How long the answer to one request may take."""

_UNSENT = frozenset((FailureKind.AWAY, FailureKind.REFUSED, FailureKind.NO_HOST, FailureKind.TLS))
"""Failures of requests that never left this machine."""
_REFUSED = frozenset((FailureKind.EXISTS, FailureKind.CHANGED))
"""Answers that a line is there. It may be this one."""


class Doubts:
    """The numbers of one log to which this process has sent a line, and does not know whether it
    is there, or still on its way."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers: set[int] = set()

    @property
    def numbers(self) -> frozenset[int]:
        with self._lock:
            return frozenset(self._numbers)

    def add(self, number: int) -> None:
        with self._lock:
            self._numbers.add(number)

    def settle(self, number: int) -> None:
        with self._lock:
            self._numbers.discard(number)


class Appending:
    """One line on its way to one number."""

    def __init__(
        self,
        bucket: Bucket,
        place: LogPlace,
        number: int,
        line: Line,
        seconds: float,
        doubts: Doubts,
    ) -> None:
        self._bucket = bucket
        self._key = place.line(number)
        self._number = number
        self._line = line
        self._bytes = encode_line(line)
        self._doubts = doubts
        self._deadline = Deadline(seconds, bucket.world)
        self._was_in_doubt = number in doubts.numbers
        self._may_be_there = False
        """Whether any request for this line may have been carried out, or may still be."""

    def run(self) -> Line:
        """The line that has the number. StoreUncertainError; StoreError."""
        found = self._recall()
        attempt = 1
        while found is None:
            failure = self._send()
            if failure is None:
                found = self._line
            else:
                found = self._look(failure)
                if found is None:
                    self._wait(failure, attempt)
                    attempt += 1
        self._doubts.settle(self._number)
        return found

    # --- inside --------------------------------------------------------------------

    def _recall(self) -> Line | None:
        """The line of the number, if this process has sent a line there before, and it is there
        now."""
        if not self._was_in_doubt:
            return None
        try:
            return self._get()
        except RequestFailure:
            return None  # The append itself will tell.

    def _send(self) -> RequestFailure | None:
        """Send the line, once. None if it is there."""
        self._doubts.add(self._number)
        reached("append.begun")
        try:
            self._bucket.create_once(self._key, self._bytes, self._seconds_left())
            reached("append.stored")
        except RequestFailure as failure:
            self._may_be_there = self._may_be_there or (
                failure.kind not in _UNSENT and self._is_worth(failure)
            )
            return failure
        return None

    def _look(self, failure: RequestFailure) -> Line | None:
        """The line of the number after a failed write. Raises if a further write is of no use."""
        try:
            found = self._get()
        except RequestFailure as trouble:
            if not self._is_worth(trouble):
                raise self._to_error(failure) from None
            return None
        if found is None and not self._is_worth(failure):
            raise self._to_error(failure)
        return found

    def _get(self) -> Line | None:
        """The line of the number, or None. ``RequestFailure``; DataError."""
        try:
            return self._get_whole()
        except DamagedObjectError:
            return self._get_whole()  # The bytes may have been damaged on their way.

    def _get_whole(self) -> Line | None:
        try:
            data = self._bucket.get_once(self._key, self._seconds_left())
        except RequestFailure as failure:
            if failure.kind is FailureKind.NO_OBJECT:
                return None
            raise
        return decode_named(self._key, data)

    def _wait(self, failure: RequestFailure, attempt: int) -> None:
        """Wait before the next attempt. Raises if the time is over."""
        pause = pause_before(attempt, failure.wait, self._bucket.world.uniform)
        if pause >= self._deadline.left:
            raise self._to_error(failure)
        self._bucket.wait(pause)

    def _to_error(self, failure: RequestFailure) -> VolfsError:
        """The error of an append that is given up after this failure."""
        self._bucket.give_up(failure)
        if self._may_be_there:
            return StoreUncertainError(
                f"{self._key}: it is not known whether it was published ({failure.row.text})"
            )
        if not self._was_in_doubt:
            self._doubts.settle(self._number)
        return self._bucket.to_error(failure, "PUT", self._key)

    def _is_worth(self, failure: RequestFailure) -> bool:
        """Whether the next request may do better. While the service is away, only an append that
        may have been carried out waits for it."""
        if failure.kind is FailureKind.AWAY:
            return self._may_be_there
        return failure.row.again or failure.kind in _REFUSED

    def _seconds_left(self) -> float:
        return min(REQUEST_SECONDS, max(self._deadline.left, 0.1))


def decode_named(key: str, data: Buffer) -> Line:
    """Decode a line; errors name its key."""
    try:
        return decode_line(data)
    except (DamagedObjectError, UnsupportedFormatError) as error:
        raise type(error)(f"{key}: {error}") from None
