"""The data path of an open store, wired together: what its packs and its index have to do
with each other."""

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
"""Bytes: what a disk can have under way while a file is read in order."""


class Packs:
    """The packs in a directory, by an index. ``check_place`` raises StoreReplacedError where
    the directory is not the store's any more."""

    def __init__(self, directory: Path, index: Index, check_place: Callable[[], None]) -> None:
        self.directory = directory
        self.index = index
        self.environment = index.environment
        self.check_place = check_place
        self.source = PackReader(directory)
        self.objects = ObjectReader(index, self.source, READ_AHEAD)
        self.pool = WriterPool(directory, index, check_place)

    def open_upload(self) -> PackUpload:
        sink = FileSink(self.pool, self.source, self.pool.take)
        return PackUpload(self.index, self.objects, sink)

    def open_copier(self) -> Copier:
        """It takes the last room of the disk, for what it copies is to make more."""
        create = partial(self.pool.create, reserve=0)
        return Copier(self.index, self.source, FileSink(self.pool, self.source, create))

    def close(self) -> None:
        self.pool.close()
        self.source.close()
