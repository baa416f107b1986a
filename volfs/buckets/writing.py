"""A write under a condition with an exact result: done, refused, or not known.

A write without an answer may have been done. So each write has a *mark*, which is random and lies
in the object's metadata. A HEAD shows by the mark whose object is there.
"""

from __future__ import annotations

import secrets

from volfs.buckets.answers import FailureKind, RequestFailure, to_error
from volfs.buckets.calls import ATTEMPT, BegunCall, RequestSender
from volfs.buckets.objects import Condition, Door, ObjectHead, ObjectInfo, PendingPut
from volfs.errors import StoreUncertainError
from volfs.model.objects import Buffer

_OWN_REMEDY = (FailureKind.EXPIRED, FailureKind.REGION)
"""Refusals that a door mends by itself when it sends the request: it renews, or asks elsewhere."""


def make_mark() -> str:
    return secrets.token_hex(16)


class MarkedPut:
    """One write under a condition, with all its attempts. They have one mark."""

    def __init__(
        self, caller: RequestSender, door: Door, name: str, data: Buffer, condition: Condition
    ) -> None:
        self._caller = caller
        self._door = door
        self._name = name
        self._data = data
        self._condition = condition
        self._mark = make_mark()
        self._in_doubt = False

    def begin(self) -> BegunPut | None:
        """Send the first request if nothing has to be waited for. None if something has to be."""
        begun = self._caller.try_begin(len(self._data))
        if begun is None:
            return None
        pending = None
        try:
            pending = self._door.begin_put(self._name, self._data, self._condition, self._mark)
        except RequestFailure as failure:
            return BegunPut(self, self._caller, begun._replace(failed=failure), None)
        finally:
            if pending is None:
                self._caller.end(answered=False)
        return BegunPut(self, self._caller, begun, pending) if pending is not None else None

    def run(self, begun: BegunCall | None = None) -> ObjectInfo:
        """Write, and return the object. ObjectExistsError, ObjectChangedError,
        StoreUncertainError."""
        what = self._caller.name_of("PUT", self._name)
        try:
            return self._caller.attempt(
                "PUT",
                self._name,
                self._send,
                size=len(self._data),
                decide=self._decide,
                begun=begun,
            )
        except RequestFailure as failure:
            if self._in_doubt:
                raise to_uncertain(failure, what) from None
            raise to_error(failure, what) from None

    def _send(self, timeout: float) -> ObjectInfo:
        return self._door.put(self._name, self._data, self._condition, self._mark, timeout)

    def _decide(self, failure: RequestFailure) -> ObjectInfo | None:
        """Decide by the object that is there, and never by the status: a network may deliver a
        request twice, and only the second is answered."""
        self._in_doubt = self._in_doubt or failure.row.unclear
        if not self._in_doubt and failure.kind not in (FailureKind.EXISTS, FailureKind.CHANGED):
            return None
        try:
            head = find_head(self._caller, self._door, self._name)
        except RequestFailure as trouble:
            if failure.row.again and not trouble.row.again:
                return None  # Without the right to look, trying again is all that is left.
            self._in_doubt = self._in_doubt or trouble.row.again
            raise failure from None
        if head is not None and head.mark == self._mark:
            return head.info
        self._judge(None if head is None else head.info)
        return None

    def _judge(self, there: ObjectInfo | None) -> None:
        """Raise the failure if the write has lost. A write that may still be done is sent
        again."""
        kind = None
        if self._condition.create and there is not None:
            kind = FailureKind.EXISTS
        elif self._condition.etag not in (None, there.etag if there is not None else ""):
            kind = FailureKind.CHANGED
        if kind is not None:
            self._in_doubt = False
            raise RequestFailure(kind)


class BegunPut:
    """A write under a condition whose first request is on its way. The caller waits for its answer
    by ``fileno``, and calls ``settle`` if the answer was not a plain success."""

    def __init__(
        self, put: MarkedPut, caller: RequestSender, begun: BegunCall, pending: PendingPut | None
    ) -> None:
        self._put = put
        self._caller = caller
        self._begun = begun
        self._pending = pending
        self.info: ObjectInfo | None = None
        """The object, as soon as it is known to be written."""

    @property
    def patience(self) -> float:
        """How many seconds the answer may take."""
        return min(ATTEMPT, max(self._begun.deadline.left, 0.1))

    @property
    def is_sending(self) -> bool:
        return self._pending is not None and self._pending.is_sending

    def fileno(self) -> int:
        assert self._pending is not None
        return self._pending.fileno()

    @property
    def is_over(self) -> bool:
        """Whether there is nothing to wait for."""
        return self._pending is None

    def advance(self) -> None:
        """Go on as far as possible without waiting."""
        pending = self._pending
        if pending is None:
            return
        try:
            self.info = pending.advance()
        except RequestFailure as failure:
            self._end(failure)
            return
        if self.info is not None:
            self._end(None)

    def give_up(self, failure: RequestFailure) -> None:
        """Wait no longer."""
        if self._pending is not None:
            self._end(failure)

    def settle(self) -> ObjectInfo:
        """The object, after finding out what became of the write, and writing again if it was not
        done. This waits. Errors are those of ``MarkedPut.run``."""
        if self.info is not None:
            return self.info
        failed = self._begun.failed
        if failed is not None and failed.kind in _OWN_REMEDY:
            return self._put.run(BegunCall(self._begun.deadline))
        return self._put.run(self._begun)

    def _end(self, failure: RequestFailure | None) -> None:
        assert self._pending is not None
        self._pending.close()
        self._pending = None
        self._begun = self._begun._replace(failed=failure)
        self._caller.end(answered=failure is None)


def find_head(caller: RequestSender, door: Door, name: str) -> ObjectHead | None:
    """The head of the present object, asked for until there is an answer. None if there is no
    object. ``RequestFailure``."""
    try:
        return caller.attempt("HEAD", name, lambda timeout: door.head(name, timeout))
    except RequestFailure as failure:
        if failure.kind is FailureKind.NO_OBJECT:
            return None
        raise


def to_uncertain(failure: RequestFailure, what: str) -> StoreUncertainError:
    return StoreUncertainError(
        f"{what}: it is not known whether it was written ({failure.row.text})"
    )


def put_marked(
    caller: RequestSender, door: Door, name: str, data: Buffer, condition: Condition
) -> ObjectInfo:
    """Write under a condition. ObjectExistsError, ObjectChangedError, StoreUncertainError."""
    return MarkedPut(caller, door, name, data, condition).run()
