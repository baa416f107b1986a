"""The log of the catalog, as one process knows it.

It is read from its first line. Only if a line is damaged, or gone, is it read from the checkpoint
that a repair has made: a listing costs a request, and few stores need it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from volfs.buckets.access import Bucket
from volfs.errors import DamagedObjectError
from volfs.model.logs.catalog_log import CATALOG_MAGIC, CatalogChange, CatalogState, decode_catalog
from volfs.model.objects import Buffer
from volfs.store.distributed.checkpoints.beginnings import Beginnings
from volfs.store.distributed.checkpoints.framed_objects import FramedObjects
from volfs.store.distributed.log.follower import Follower, KnownLog
from volfs.store.distributed.log.log import Log
from volfs.store.distributed.place.object_keys import LAST_NUMBER, catalog_log
from volfs.store.distributed.refs.log_rules import CATALOG_RULES


class CatalogFollower(Follower[CatalogState, CatalogChange]):
    """A follower that gets past damaged lines."""

    def __init__(self, bucket: Bucket) -> None:
        super().__init__(Log(bucket, catalog_log()), CATALOG_RULES)
        self._beginnings = Beginnings(
            FramedObjects(bucket), catalog_log(), CATALOG_MAGIC, _restore_catalog
        )

    def read_whole(self, last: int = LAST_NUMBER) -> KnownLog[CatalogState]:
        try:
            return super().read_whole(last)
        except DamagedObjectError as error:
            mended = Follower(self.log, CATALOG_RULES, self._begin_later)
            try:
                return mended.refresh()
            except DamagedObjectError:
                raise error from None

    def _begin_later(self) -> Iterator[KnownLog[CatalogState]]:
        return (found.known for found in self._beginnings.iter_newest())


class _Beginning(NamedTuple):
    known: KnownLog[CatalogState]

    @property
    def number(self) -> int:
        return self.known.number


def _restore_catalog(content: Buffer) -> _Beginning:
    state, digest = decode_catalog(content)
    return _Beginning(KnownLog(state, state.number, digest))
