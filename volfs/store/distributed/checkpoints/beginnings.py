"""The checkpoint with which the reading of a log begins: the newest one that can be read."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Generic, Protocol, TypeVar

from volfs.errors import (
    DamagedObjectError,
    ObjectNotFoundError,
    UnsupportedFormatError,
)
from volfs.model.objects import Buffer
from volfs.store.distributed.checkpoints.framed_objects import FramedObjects
from volfs.store.distributed.place.object_keys import LogPlace


class Numbered(Protocol):
    """What a checkpoint says."""

    @property
    def number(self) -> int:
        """The line after which the checkpoint was made."""


Found = TypeVar("Found", bound=Numbered)
log = logging.getLogger(__name__)

MOST = 8
"""Checkpoints that are looked at. If none is of use, the log is read from its first line."""


class Beginnings(Generic[Found]):
    """The checkpoints of one log. ``restore`` says what the content of one means. It may raise
    DamagedObjectError and ObjectNotFoundError."""

    def __init__(
        self,
        objects: FramedObjects,
        place: LogPlace,
        magic: bytes,
        restore: Callable[[Buffer], Found],
    ) -> None:
        self.place = place
        self._objects = objects
        self._magic = magic
        self._restore = restore

    def list_numbers(self) -> list[int]:
        """The lines after which checkpoints were made, the newest first. One request.
        StoreError."""
        page = self._objects.bucket.list_page(self.place.checkpoints, limit=MOST)
        found = (self.place.find_checkpoint_number(info.key) for info in page.objects)
        return [number for number in found if number is not None]

    def iter_newest(self) -> Iterator[Found]:
        """What checkpoints say of the log, the newest first. Whoever takes one proves it by the
        line after which it was made."""
        for number in self.list_numbers():
            found = self.find(number)
            if found is not None:
                yield found

    def find(self, number: int) -> Found | None:
        """What the checkpoint after a line says. None if it is of no use."""
        key = self.place.checkpoint(number)
        try:
            found = self._restore(self._objects.read(key, self._magic))
        except (DamagedObjectError, UnsupportedFormatError, ObjectNotFoundError) as error:
            log.info("%s: passed over: %s", key, error)
            return None
        if found.number != number:
            log.info("%s: passed over: it is of line %d", key, found.number)
            return None
        return found

    def create(self, number: int, content: bytes) -> bool:
        """Make a checkpoint. False if there is one. StoreError."""
        return self._objects.create(self.place.checkpoint(number), self._magic, content)
