"""Objects: what a store keeps by id, and how new ones come into it."""

from __future__ import annotations

from typing import Protocol, Self

from volfs.model.objects import Buffer, Kind, Oid


class Objects(Protocol):
    """The objects of one volume, by id. The first read of a stored record verifies its checksum."""

    @property
    def ahead(self) -> int:
        """How many bytes of a file that is read in order are worth asking for in advance."""

    def contains(self, oid: Oid) -> bool:
        """Whether the object is published, and not removed by gc. Does not read it."""

    def load_object(self, oid: Oid) -> bytes:
        """All canonical bytes. MissingObjectError; DamagedObjectError; StoreError."""

    def read_object(self, oid: Oid, offset: int, length: int) -> Buffer:
        """``length`` bytes from ``offset``; both must lie inside the object.

        Same errors as ``load_object``; a range outside is a DamagedObjectError,
        for it is the referring extent that lies.
        """

    def read_object_ready(self, oid: Oid, offset: int, length: int) -> Buffer | None:
        """As ``read_object``, but None where it would wait for more than a moment.

        None also where only a look elsewhere would tell whether there is such an object.
        """

    def load_object_ready(self, oid: Oid) -> bytes | None:
        """As ``load_object``, but None where it would wait for more than a moment.

        None also where only a look elsewhere would tell whether there is such an object.
        """

    def prefetch(self, oid: Oid) -> None:
        """Hint that the object will be read soon. Never fails, never waits."""


class Upload(Protocol):
    """Objects on their way into the store; invisible to others until published.

    A context manager: leaving it without publishing forgets them (they may stay
    as unreferenced bytes for gc). Thread-safe: many threads may put at once.
    """

    new_objects: int
    new_bytes: int
    """Objects and stored bytes that were not known before."""

    def put_object(self, kind: Kind, data: Buffer) -> Oid:
        """Keep an object. Known ones are not written again. OutOfSpaceError; StoreError."""

    def load_object(self, oid: Oid) -> bytes:
        """As ``Objects.load_object``, and it also sees what this upload has put."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...
