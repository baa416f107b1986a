"""What a bucket tells of its objects, and what a door to a bucket can do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol, TypeAlias

Data: TypeAlias = bytes | bytearray | memoryview


class ObjectInfo(NamedTuple):
    """One object of a bucket, as it was when the service answered."""

    key: str
    size: int
    mtime_ns: int
    """When the service took it. Many services count in whole seconds."""
    etag: str
    """What changes with the content; compared as it is, quotes and all."""


class Page(NamedTuple):
    """A part of a listing, in the order of the keys' UTF-8 bytes."""

    objects: list[ObjectInfo]
    prefixes: list[str]
    """What keys have in common up to the next ``/``, that included."""
    next: str | None
    """What ``list_page`` takes as ``after`` for the next page; None on the last one."""


class Condition(NamedTuple):
    """What has to be so at the moment of a write; without both, nothing."""

    create: bool = False
    """No object has the key."""
    etag: str | None = None
    """The object of the key has this ETag."""


ALWAYS = Condition()


class ObjectHead(NamedTuple):
    """What is known of an object without its bytes."""

    info: ObjectInfo
    mark: str
    """What the write that made it was given to be known by; empty without one."""


class AbandonedUpload(NamedTuple):
    """A multipart upload that was begun and neither completed nor aborted."""

    key: str
    upload: str
    began_ns: int


BATCH = 1000


class Door(Protocol):
    """One kind of service. Each call is one request, once; what goes wrong is a ``Failure``.

    Keys are those of the whole bucket. No method waits longer than its ``timeout``, in
    seconds, between two bytes of an answer.
    """

    def describe(self) -> str:
        """What the bucket is called in messages: ``s3://bucket``, without a secret."""

    def identify(self) -> str:
        """What no other bucket is called, wherever it is: caches have it as its name."""

    def close(self) -> None: ...

    def head(self, key: str, timeout: float) -> ObjectHead: ...

    def get(
        self, key: str, span: tuple[int, int] | None, etag: str | None, timeout: float
    ) -> tuple[ObjectInfo, Data]:
        """The bytes of ``span`` (offset and length), or all; ``size`` is the whole object's."""

    def put(
        self, key: str, data: Data, condition: Condition, mark: str, timeout: float
    ) -> ObjectInfo:
        """Write it whole. ``mark`` is what ``head`` tells afterwards; empty for none."""

    def copy(self, source: str, target: str, create: bool, timeout: float) -> ObjectInfo: ...

    def delete(self, key: str, timeout: float) -> None:
        """Delete it, whether or not it is there."""

    def delete_many(self, keys: Sequence[str], timeout: float) -> None:
        """Delete up to ``BATCH`` of them, whether or not they are there."""

    def list_page(
        self, prefix: str, delimiter: bool, after: str | None, limit: int, timeout: float
    ) -> Page: ...

    def begin_multipart(self, key: str, mark: str, timeout: float) -> str:
        """The name of a new upload."""

    def put_part(self, key: str, upload: str, number: int, data: Data, timeout: float) -> str:
        """What ``complete`` is told of the part."""

    def complete(
        self, key: str, upload: str, parts: Sequence[tuple[int, str]], mark: str, timeout: float
    ) -> ObjectInfo: ...

    def abort(self, key: str, upload: str, timeout: float) -> None:
        """Forget an upload, whether or not there is one."""

    def list_leftovers(self, prefix: str, timeout: float) -> list[AbandonedUpload]: ...
