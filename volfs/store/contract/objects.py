"""Objects: what a store keeps by id, and the uploads that add new ones."""

from __future__ import annotations

from typing import Protocol, Self

from volfs.model.objects import Buffer, Kind, Oid


class Objects(Protocol):
    """The objects of one volume, by id. The first read of a stored record verifies its
    checksum."""

    @property
    def ahead(self) -> int:
        """How many bytes should be asked for in advance when a file is read in order."""

    def contains(self, oid: Oid) -> bool:
        """Whether the object is published and not removed by gc. The object is not read."""

    def is_there(self, oid: Oid) -> bool:
        """As ``contains``, but True as well for an object that gc has put aside, if it counts as
        soon as somebody needs it. Whoever marks what is in use asks this."""

    def load_object(self, oid: Oid) -> bytes:
        """All canonical bytes of an object. MissingObjectError; DamagedObjectError; StoreError."""

    def read_object(self, oid: Oid, offset: int, length: int) -> Buffer:
        """``length`` bytes from ``offset``; the whole range must lie inside the object.

        Errors as for ``load_object``. A range outside of the object is a DamagedObjectError,
        because then the extent that refers to the object is wrong.
        """

    def read_object_ready(self, oid: Oid, offset: int, length: int) -> Buffer | None:
        """As ``read_object``, but None if the read would wait for more than a moment.

        None also if only a look elsewhere would tell whether there is such an object.
        """

    def load_object_ready(self, oid: Oid) -> bytes | None:
        """As ``load_object``, but None if the read would wait for more than a moment.

        None also if only a look elsewhere would tell whether there is such an object.
        """

    def prefetch(self, oid: Oid) -> None:
        """Hint that the object will be read soon. Never fails, and never waits."""


class Upload(Protocol):
    """Objects on their way into the store; others do not see them before they are published.

    A context manager: leaving it without publishing forgets the objects (their bytes may stay,
    unreferenced, for gc). Thread-safe: many threads may put at once.
    """

    new_objects: int
    new_bytes: int
    """Objects and stored bytes that the store did not have before."""

    def put_object(self, kind: Kind, data: Buffer) -> Oid:
        """Keep an object. An object that the store has is not written again. OutOfSpaceError;
        StoreError."""

    def rely_on(self, oid: Oid) -> bool:
        """Whether the store, or this upload, has the object whole.

        If so, the object counts as put: the upload is published only while the object is there.
        What the object refers to is not looked at.
        """

    def load_object(self, oid: Oid) -> bytes:
        """As ``Objects.load_object``, and it also finds what this upload has put."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...
