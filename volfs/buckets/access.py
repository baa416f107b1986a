"""A bucket as the rest of volfs sees it: thread-safe, blocking, in volfs's own errors.

Keys are relative to the folder that the address names, so nothing outside of it is ever touched.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

from volfs.buckets.address import KEY_MAX
from volfs.buckets.answers import FailureKind, RequestFailure
from volfs.buckets.calls import DEADLINE, RequestSender
from volfs.buckets.doors.memory import MemoryDoor
from volfs.buckets.multipart import Multipart
from volfs.buckets.objects import (
    ALWAYS,
    BATCH,
    AbandonedUpload,
    Condition,
    Door,
    ObjectInfo,
    Page,
    TellNext,
)
from volfs.buckets.writing import BegunPut, MarkedPut, put_marked
from volfs.errors import InvalidPathError, ObjectChangedError, VolfsError
from volfs.model.objects import Buffer
from volfs.system.world import REAL, World

PAGE = 1000


class Bucket:
    """One bucket, or one folder of it. Errors are those of the table in ``answers``."""

    def __init__(
        self, door: Door, prefix: str = "", deadline: float = DEADLINE, world: World = REAL
    ) -> None:
        self.door = door
        self.prefix = prefix
        self.deadline = deadline
        self.world = world
        self._caller = RequestSender(door.describe(), deadline, world)

    def __repr__(self) -> str:
        return f"<Bucket {self.door.describe()}/{self.prefix}>"

    @property
    def unreachable_since_ns(self) -> int | None:
        """The time of day, in nanoseconds, since which nothing has answered. None if the last call
        went well."""
        return self._caller.outage.since_ns

    @property
    def is_away(self) -> bool:
        """Whether requests have had no answer for so long that most calls fail at once."""
        return self._caller.outage.is_away

    @property
    def slots(self) -> int:
        """How many requests may be on their way at once, at present."""
        return self._caller.throttle.limit

    def close(self) -> None:
        """Close the connections. Waiting calls end with a StoreError."""
        self._caller.close()
        self.door.close()

    # --- reading ----------------------------------------------------------------

    def head(self, key: str) -> ObjectInfo:
        """Size, time and ETag of an object. ObjectNotFoundError."""
        name = self._name(key)
        return self._strip(self._caller.ask("HEAD", key, lambda t: self.door.head(name, t)).info)

    def get(self, key: str, *, etag: str | None = None) -> tuple[ObjectInfo, Buffer]:
        """A whole object. ObjectNotFoundError, ObjectChangedError."""
        name = self._name(key)
        info, data = self._caller.ask("GET", key, lambda t: self.door.get(name, None, etag, t))
        self._check_etag(key, info, etag)
        return self._strip(info), data

    def get_range(self, key: str, offset: int, length: int, *, etag: str | None = None) -> Buffer:
        """The bytes from ``offset`` on; fewer than ``length`` only at the object's end.

        With ``etag``, a replaced object is an ObjectChangedError, and its bytes are never
        returned. ObjectNotFoundError.
        """
        name = self._name(key)
        if length <= 0:
            return b""
        try:
            info, data = self._caller.attempt(
                "GET", key, lambda t: self.door.get(name, (offset, length), etag, t)
            )
        except RequestFailure as failure:
            if failure.kind is FailureKind.BAD_RANGE:
                return b""
            raise self._caller.to_error(failure, "GET", key) from None
        self._check_etag(key, info, etag)
        return data

    def list_page(
        self,
        prefix: str,
        *,
        delimiter: bool = True,
        after: str | None = None,
        limit: int = PAGE,
        tell: TellNext | None = None,
        begin: str | None = None,
    ) -> Page:
        """One request's worth of the keys below ``prefix``. ``after`` is the last page's ``next``.
        Without it, ``begin`` is a key behind which to begin; some services ignore it.

        ``tell`` may be called with the page's ``next`` before its entries are read.
        With ``delimiter``, keys that have a ``/`` after the prefix are listed as prefixes.
        """
        name = self.prefix + prefix
        start = None if begin is None else self.prefix + begin
        page = self._caller.ask(
            "LIST",
            prefix,
            lambda t: self.door.list_page(name, delimiter, after, limit, t, tell, start),
        )
        if not self.prefix:
            return page
        cut = len(self.prefix)
        objects = [ObjectInfo(i.key[cut:], i.size, i.mtime_ns, i.etag) for i in page.objects]
        return Page(objects, [found[cut:] for found in page.prefixes], page.next)

    # --- writing ----------------------------------------------------------------

    def put(
        self, key: str, data: Buffer, *, create: bool = False, etag: str | None = None
    ) -> ObjectInfo:
        """Write a whole object. It is there when this returns.

        With ``create``, ObjectExistsError if the key has an object. With ``etag``,
        ObjectChangedError if the key's object has another ETag, or there is none.
        StoreUncertainError if no answer came, and nothing could tell whether the object was
        written.
        """
        name = self._name(key)
        if not create and etag is None:
            size = len(data)
            info = self._caller.ask(
                "PUT", key, lambda t: self.door.put(name, data, ALWAYS, "", t), size=size
            )
        else:
            info = put_marked(self._caller, self.door, name, data, Condition(create, etag))
        return self._strip(info)

    def begin_put(
        self, key: str, data: Buffer, *, create: bool = False, etag: str | None = None
    ) -> BegunPut | None:
        """Begin a ``put`` with a condition, for a caller that waits for the answer by itself. None
        if something else has to be waited for first: then the caller uses ``put``."""
        condition = Condition(create, etag)
        return MarkedPut(self._caller, self.door, self._name(key), data, condition).begin()

    def connect(self) -> bool:
        """Make a connection for ``begin_put``, which never makes one itself. False if there is
        none."""
        self._caller.check_process()
        return self.door.connect(self.deadline)

    # --- one request, sent once ---------------------------------------------------
    # These are for callers that must know what became of each request. The failure is raised as
    # it is, because it says whether the request may have been carried out; ``to_error`` makes the
    # error of the table.

    def create_once(self, key: str, data: Buffer, seconds: float) -> ObjectInfo:
        """Send one create-only write, whose answer may take ``seconds``. ``RequestFailure``."""
        name = self._name(key)
        return self._strip(
            self._caller.send_once(
                "PUT",
                key,
                lambda t: self.door.put(name, data, Condition(create=True), "", t),
                seconds,
            )
        )

    def get_once(self, key: str, seconds: float) -> Buffer:
        """Ask once for a whole object. ``RequestFailure``."""
        name = self._name(key)
        return self._caller.send_once(
            "GET", key, lambda t: self.door.get(name, None, None, t), seconds
        )[1]

    def give_up(self, failure: RequestFailure) -> None:
        """Note that a caller of these, who has sent a request again and again, has given up."""
        self._caller.give_up(failure)

    def wait(self, seconds: float) -> None:
        """Wait between two requests. StoreError as soon as the bucket is closed."""
        self._caller.wait(seconds)

    def to_error(self, failure: RequestFailure, verb: str, key: str) -> VolfsError:
        """The error of volfs for a request that failed."""
        return self._caller.to_error(failure, verb, key)

    # --- copies and deletions -------------------------------------------------------

    def copy(self, source: str, target: str, *, create: bool = False) -> ObjectInfo:
        """Let the service copy an object within the bucket. ObjectNotFoundError,
        ObjectExistsError."""
        names = self._name(source), self._name(target)
        return self._strip(
            self._caller.ask("COPY", source, lambda t: self.door.copy(*names, create, t))
        )

    def delete(self, key: str) -> None:
        """Delete an object, whether or not it is there."""
        name = self._name(key)
        self._caller.ask("DELETE", key, lambda t: self.door.delete(name, t))

    def delete_many(self, keys: Sequence[str]) -> None:
        """Delete objects, whether or not they are there, a thousand with one request."""
        names = iter([self._name(key) for key in keys])
        for batch in iter(lambda: list(islice(names, BATCH)), []):
            self._delete_batch(batch)

    def open_multipart(self, key: str) -> Multipart:
        """Begin an upload in parts. Nobody sees the object before ``complete``."""
        return Multipart(self._caller, self.door, self._name(key), len(self.prefix))

    # --- what failed uploads have left ------------------------------------------

    def list_leftovers(self, prefix: str = "") -> list[AbandonedUpload]:
        """Multipart uploads below ``prefix`` that were begun and not ended, by anybody."""
        name = self.prefix + prefix
        found = self._caller.ask("LIST", prefix, lambda t: self.door.list_leftovers(name, t))
        cut = len(self.prefix)
        return [leftover._replace(key=leftover.key[cut:]) for leftover in found]

    def abort_leftover(self, leftover: AbandonedUpload) -> None:
        """Give back the room that an unfinished upload holds. A program that is still uploading
        gets an error."""
        name = self._name(leftover.key)
        self._caller.ask("ABORT", leftover.key, lambda t: self.door.abort(name, leftover.upload, t))

    # --- names ------------------------------------------------------------------

    def find_flaw(self, key: str) -> str:
        """Why the service can have no object of this key, however long it is. Empty if it can."""
        return self.door.find_flaw(self.prefix + key)

    def _name(self, key: str) -> str:
        """The key in the whole bucket. InvalidPathError."""
        name = self.prefix + key
        try:
            size = len(name.encode())
        except UnicodeEncodeError:
            raise InvalidPathError(f"key {key[:80]!r}: a key is UTF-8, and this is not") from None
        if not key or size > KEY_MAX:
            raise InvalidPathError(f"key {key[:80]!r}: a key has 1 to {KEY_MAX} bytes")
        return name

    def _strip(self, info: ObjectInfo) -> ObjectInfo:
        cut = len(self.prefix)
        return info._replace(key=info.key[cut:]) if cut else info

    def _delete_batch(self, batch: list[str]) -> None:
        self._caller.ask(
            "DELETE", f"{len(batch)} objects", lambda t: self.door.delete_many(batch, t)
        )

    def _check_etag(self, key: str, info: ObjectInfo, etag: str | None) -> None:
        """ObjectChangedError if the answer has another ETag. Some services do not know
        If-Match."""
        if etag is not None and info.etag != etag:
            raise ObjectChangedError(f"{self._caller.name_of('GET', key)}: the object was replaced")


def iter_objects(
    bucket: Bucket, prefix: str = "", *, begin: str | None = None
) -> Iterator[ObjectInfo]:
    """Every object below a prefix, in the order of the keys' bytes. With ``begin``, those up to
    that key may be left out."""
    after: str | None = None
    while True:
        page = bucket.list_page(prefix, delimiter=False, after=after, begin=begin)
        yield from page.objects
        if page.next is None:
            return
        after = page.next


def open_memory_bucket(name: str = "memory", prefix: str = "") -> Bucket:
    """An empty bucket in the memory of this process."""
    return Bucket(MemoryDoor(name), prefix)
