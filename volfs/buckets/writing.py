"""A write under a condition with an exact result: done, refused, or not known.

A write without an answer may have been done. So each write has a *mark*, which is random and lies
in the object's metadata. A HEAD shows by the mark whose object is there.
"""

from __future__ import annotations

import secrets

from volfs.buckets.answers import FailureKind, RequestFailure, to_error
from volfs.buckets.calls import RequestSender
from volfs.buckets.objects import Condition, Data, Door, ObjectHead, ObjectInfo
from volfs.errors import StoreUncertainError


def make_mark() -> str:
    return secrets.token_hex(16)


class MarkedPut:
    """One write under a condition, with all its attempts. They have one mark."""

    def __init__(
        self, caller: RequestSender, door: Door, name: str, data: Data, condition: Condition
    ) -> None:
        self._caller = caller
        self._door = door
        self._name = name
        self._data = data
        self._condition = condition
        self._mark = make_mark()
        self._in_doubt = False

    def run(self) -> ObjectInfo:
        """Write, and return the object. ObjectExistsError, ObjectChangedError,
        StoreUncertainError."""
        what = self._caller.name_of("PUT", self._name)
        try:
            return self._caller.attempt(
                "PUT", self._name, self._send, size=len(self._data), decide=self._decide
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
    caller: RequestSender, door: Door, name: str, data: Data, condition: Condition
) -> ObjectInfo:
    """Write under a condition. ObjectExistsError, ObjectChangedError, StoreUncertainError."""
    return MarkedPut(caller, door, name, data, condition).run()
