"""An upload in parts. The object appears whole when the upload is complete, and not at all if it
fails."""

from __future__ import annotations

import threading
from types import TracebackType

from volfs.buckets.answers import FailureKind, RequestFailure, to_error
from volfs.buckets.calls import RequestSender
from volfs.buckets.objects import Condition, Door, ObjectInfo
from volfs.buckets.writing import find_head, make_mark, to_uncertain
from volfs.errors import InvalidError, VolfsError
from volfs.model.objects import Buffer

_PERHAPS_DONE = (FailureKind.NO_UPLOAD, FailureKind.EXISTS, FailureKind.CHANGED)
"""What a service answers to a completion that comes twice."""
PARTS_MAX = 10_000
PART_MIN = 5 * 1024 * 1024
"""The smallest size of a part that is not the last one, by S3's rules."""


class Multipart:
    """One upload in parts. Many threads may put parts at once. As a context manager, it aborts the
    upload after an error."""

    def __init__(self, caller: RequestSender, door: Door, name: str, cut: int) -> None:
        self._caller = caller
        self._door = door
        self._name = name
        self._cut = cut
        self._mark = make_mark()
        self._lock = threading.Lock()
        self._parts: dict[int, str] = {}
        self._over = False
        self._in_doubt = False
        """Whether a completion without an answer may have been done."""
        self.upload = caller.ask(
            "POST", self._key, lambda t: door.begin_multipart(name, self._mark, t)
        )

    def __enter__(self) -> Multipart:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not self._over:
            self._abort_quietly()

    @property
    def _key(self) -> str:
        return self._name[self._cut :]

    def put_part(self, number: int, data: Buffer) -> None:
        """Put part 1, 2 …; each has at least 5 MiB, except the last. A part may be put again."""
        if not 1 <= number <= PARTS_MAX:
            raise InvalidError(f"part {number}: parts have the numbers 1 to {PARTS_MAX}")
        tag = self._caller.ask(
            "PUT",
            self._key,
            lambda t: self._door.put_part(self._name, self.upload, number, data, t),
            size=len(data),
        )
        with self._lock:
            self._parts[number] = tag

    def complete(self, *, create: bool = False, etag: str | None = None) -> ObjectInfo:
        """Make the object of all parts, in the order of their numbers.

        ``create`` and ``etag`` as in ``Bucket.put``, as far as the service knows conditions here.
        After ObjectExistsError and ObjectChangedError the parts are still there.
        """
        condition = Condition(create, etag)
        what = self._caller.name_of("COMPLETE", self._key)
        with self._lock:
            parts = sorted(self._parts.items())
        if self._over:
            raise to_error(RequestFailure(FailureKind.NO_UPLOAD), what)
        try:
            info = self._caller.attempt(
                "COMPLETE",
                self._key,
                lambda t: self._door.complete(
                    self._name, self.upload, parts, self._mark, t, condition
                ),
                decide=self._decide,
            )
        except RequestFailure as failure:
            if self._in_doubt:
                raise to_uncertain(failure, what) from None
            raise to_error(failure, what) from None
        self._over = True
        return info._replace(key=self._key)

    def abort(self) -> None:
        """Forget all parts. May be called again, and after a failure."""
        self._over = True
        self._caller.ask("ABORT", self._key, lambda t: self._door.abort(self._name, self.upload, t))

    def _decide(self, failure: RequestFailure) -> ObjectInfo | None:
        """The finished object, if the upload was completed and only the answer was lost; or
        None."""
        self._in_doubt = self._in_doubt or failure.row.unclear
        if not self._in_doubt and failure.kind not in _PERHAPS_DONE:
            return None
        try:
            head = find_head(self._caller, self._door, self._name)
        except RequestFailure as trouble:
            self._in_doubt = self._in_doubt or trouble.row.again
            raise failure from None
        if head is not None and head.mark == self._mark:
            return head.info
        self._in_doubt = False
        return None

    def _abort_quietly(self) -> None:
        """Abort without an error, which would hide the caller's. ``list_leftovers`` shows what is
        left."""
        try:
            self.abort()
        except VolfsError:
            self._over = True
