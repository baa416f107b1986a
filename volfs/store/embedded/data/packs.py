"""The data path of an open store: its packs and its index, wired together."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from volfs.store.embedded.data.file_sink import FileSink
from volfs.store.embedded.data.index import Index
from volfs.store.embedded.data.pack_files import PackReader
from volfs.store.embedded.data.pack_writer import WriterPool
from volfs.store.packs.copier import Copier
from volfs.store.packs.reader import ObjectReader
from volfs.store.packs.upload import PackUpload

READ_AHEAD = 8 << 20
"""Bytes that a disk can have under way while a file is read in order."""


class Packs:
    """The packs in a directory, with their index. ``check_place`` raises StoreReplacedError if the
    directory is no longer the store's; ``may_reclaim`` tells whether bytes that the index does
    not know belong to dead uploads."""

    def __init__(
        self,
        directory: Path,
        index: Index,
        check_place: Callable[[], None],
        may_reclaim: Callable[[], bool],
    ) -> None:
        self.directory = directory
        self.index = index
        self.environment = index.environment
        self.check_place = check_place
        self.source = PackReader(directory, self._forget_replaced)
        self.objects = ObjectReader(index, self.source, READ_AHEAD)
        self.pool = WriterPool(directory, index, check_place, may_reclaim)

    def _forget_replaced(self, pack: int) -> None:
        self.objects.forget_pack(pack)

    def open_upload(self) -> PackUpload:
        sink = FileSink(self.pool, self.source, self.pool.take)
        return PackUpload(self.index, self.objects, sink)

    def open_copier(self) -> Copier:
        """A copier that may take the last room of the disk, because its copies make more room."""
        create = partial(self.pool.create, reserve=0)
        return Copier(self.index, self.source, FileSink(self.pool, self.source, create))

    def close(self) -> None:
        self.pool.close()
        self.source.close()
