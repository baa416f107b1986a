"""Values that describe objects of a bucket, and the interface of a door to a bucket."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from volfs.model.objects import Buffer


class ObjectInfo(NamedTuple):
    """One object of a bucket, as it was when the service answered."""

    key: str
    size: int
    mtime_ns: int
    """When the service stored the object. Many services count in whole seconds."""
    etag: str
    """A text that changes with the content. It is compared as it is, with its quotes."""


class Page(NamedTuple):
    """A part of a listing, in the order of the keys' UTF-8 bytes."""

    objects: list[ObjectInfo]
    prefixes: list[str]
    """The common beginnings of keys up to and with the next ``/``."""
    next: str | None
    """The value of ``after`` for the next page. None on the last page."""


class Condition(NamedTuple):
    """What must be true at the moment of a write. Without both fields there is no condition."""

    create: bool = False
    """No object has the key."""
    etag: str | None = None
    """The object of the key has this ETag."""


ALWAYS = Condition()


class ObjectHead(NamedTuple):
    """What is known of an object without its bytes."""

    info: ObjectInfo
    mark: str
    """The mark that the write was given to know its object by. Empty if it had none."""


class AbandonedUpload(NamedTuple):
    """A multipart upload that was begun and neither completed nor aborted."""

    key: str
    upload: str
    began_ns: int


BATCH = 1000
TellNext = Callable[[str | None], None]
"""Called with the ``next`` of a page, as soon as that is known."""


class PendingPut(Protocol):
    """A write that was sent. Its caller waits for the connection, and then calls ``advance``."""

    @property
    def is_sending(self) -> bool:
        """Whether the caller waits until the connection takes bytes. If False, it waits for the
        answer."""

    def fileno(self) -> int: ...

    def advance(self) -> ObjectInfo | None:
        """The object that was written; None if the answer is not complete yet.
        ``RequestFailure``."""

    def close(self) -> None: ...


class Door(Protocol):
    """A door to one kind of service. Each call is one request, sent once. A request that fails
    raises ``RequestFailure``.

    Keys are those of the whole bucket. No method waits longer than its ``timeout``, in seconds,
    between two bytes of an answer.
    """

    def describe(self) -> str:
        """The name of the bucket in messages: ``s3://bucket``, without a secret."""

    def identify(self) -> str:
        """A name that no other bucket has, wherever it is. Caches use it."""

    def find_flaw(self, key: str) -> str:
        """Why the service can have no object of this key, however long it is. Empty if it can."""

    def close(self) -> None: ...

    def head(self, key: str, timeout: float) -> ObjectHead: ...

    def get(
        self, key: str, span: tuple[int, int] | None, etag: str | None, timeout: float
    ) -> tuple[ObjectInfo, Buffer]:
        """The bytes of ``span`` (offset and length), or all. ``size`` is that of the whole
        object."""

    def put(
        self, key: str, data: Buffer, condition: Condition, mark: str, timeout: float
    ) -> ObjectInfo:
        """Write a whole object. ``head`` returns its ``mark`` afterwards; empty for none."""

    def begin_put(
        self, key: str, data: Buffer, condition: Condition, mark: str
    ) -> PendingPut | None:
        """Begin as ``put`` does, without waiting for anything. None if that is not possible at
        present: then the caller uses ``put``."""

    def connect(self, timeout: float) -> bool:
        """Make a connection for ``begin_put``. False if there is none."""

    def copy(self, source: str, target: str, create: bool, timeout: float) -> ObjectInfo: ...

    def delete(self, key: str, timeout: float) -> None:
        """Delete an object, whether or not it is there."""

    def delete_many(self, keys: Sequence[str], timeout: float) -> None:
        """Delete up to ``BATCH`` objects, whether or not they are there."""

    def list_page(
        self,
        prefix: str,
        delimiter: bool,
        after: str | None,
        limit: int,
        timeout: float,
        tell: TellNext | None = None,
        begin: str | None = None,
    ) -> Page:
        """A page of keys, of those behind ``begin`` if the service can. ``tell`` may be called with
        its ``next`` before its entries are read."""

    def begin_multipart(self, key: str, mark: str, timeout: float) -> str:
        """Begin an upload, and return its name."""

    def put_part(self, key: str, upload: str, number: int, data: Buffer, timeout: float) -> str:
        """Put a part, and return the text by which ``complete`` knows it."""

    def complete(
        self,
        key: str,
        upload: str,
        parts: Sequence[tuple[int, str]],
        mark: str,
        timeout: float,
        condition: Condition = ALWAYS,
    ) -> ObjectInfo:
        """Make the object of these parts. ``condition`` holds as far as the service knows
        conditions here."""

    def abort(self, key: str, upload: str, timeout: float) -> None:
        """Forget an upload, whether or not there is one."""

    def list_leftovers(self, prefix: str, timeout: float) -> list[AbandonedUpload]: ...
