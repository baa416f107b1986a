"""A write under a condition, told exactly: who wins, who loses, and who cannot know.

A write that gets no answer may have been done. So each has a *mark*, random and in the object's
metadata, by which a HEAD tells whose object is there.
"""

from __future__ import annotations

import secrets

from volfs.buckets.answers import FailureKind, RequestFailure, to_error
from volfs.buckets.calls import RequestSender
from volfs.buckets.objects import Condition, Data, Door, ObjectInfo
from volfs.errors import StoreUncertainError


def make_mark() -> str:
    return secrets.token_hex(16)


class MarkedPut:
    """One write under a condition, with all its attempts: they have one mark."""

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
        """ObjectExistsError, ObjectChangedError, StoreUncertainError."""
        what = self._caller.name_of("PUT", self._name)
        try:
            return self._caller.attempt(
                "PUT", self._name, self._send, size=len(self._data), decide=self._decide
            )
        except RequestFailure as failure:
            if self._in_doubt and failure.row.again:
                raise StoreUncertainError(
                    f"{what}: it is not known whether it was written ({failure.row.text})"
                ) from None
            raise to_error(failure, what) from None

    def _send(self, timeout: float) -> ObjectInfo:
        return self._door.put(self._name, self._data, self._condition, self._mark, timeout)

    def _decide(self, failure: RequestFailure) -> ObjectInfo | None:
        """What is there now decides, and the status never does: a network may deliver a
        request twice, and only the second is answered."""
        self._in_doubt = self._in_doubt or failure.row.unclear
        if not self._in_doubt and failure.kind not in (FailureKind.EXISTS, FailureKind.CHANGED):
            return None
        try:
            head = self._door.head(self._name, timeout=5.0)
        except RequestFailure as trouble:
            self._conclude(trouble)
            return None
        if head.mark == self._mark:
            return head.info
        self._lose(head.info)
        return None

    def _conclude(self, trouble: RequestFailure) -> None:
        """Nothing is there: a write over something has lost, one that creates is sent again."""
        if trouble.kind is FailureKind.NO_OBJECT and self._condition.etag is not None:
            raise RequestFailure(FailureKind.CHANGED, status=trouble.status)

    def _lose(self, there: ObjectInfo) -> None:
        """Another's object is there. One that is still to be written over is no loss."""
        if self._condition.create:
            raise RequestFailure(FailureKind.EXISTS)
        if there.etag != self._condition.etag:
            raise RequestFailure(FailureKind.CHANGED)


def put_marked(
    caller: RequestSender, door: Door, name: str, data: Data, condition: Condition
) -> ObjectInfo:
    """Write under a condition. ObjectExistsError, ObjectChangedError, StoreUncertainError."""
    return MarkedPut(caller, door, name, data, condition).run()
