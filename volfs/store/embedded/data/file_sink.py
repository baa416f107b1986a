"""``PackSink`` over pack files: the packs that one upload or copy has open, with their locks."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from volfs.model.pack import PackKind, pack_kind
from volfs.store.embedded.data.pack_files import PackReader, refuse_pack
from volfs.store.embedded.data.pack_writer import PACK_TARGET, PackWriter, WriterPool
from volfs.store.packs.codec import Packed
from volfs.store.packs.rows import IndexEntry, place_record

_PACKS_PER_SIZE = 64


class FileSink:
    """The packs that one upload or copy writes. It holds the lock of every pack that it has
    written to, until the pack is full and settled or the sink is released. Nobody cuts or
    collects the pack meanwhile."""

    def __init__(
        self, pool: WriterPool, source: PackReader, open_pack: Callable[[PackKind], PackWriter]
    ) -> None:
        self._pool = pool
        self._source = source
        self._open_pack = open_pack
        self._writers: dict[PackKind, PackWriter] = {}
        self._full: list[PackWriter] = []

    def append(self, packed: Packed) -> IndexEntry:
        writer = self._writer_for(pack_kind(packed.header.kind))
        offset = self._pool.append(writer, packed)
        return place_record(packed.header, writer.pack, offset)

    def sync(self) -> None:
        writers = self.list_writers()
        for writer in writers:
            writer.sync()
        if any(writer.is_new for writer in writers):
            self._pool.sync_directory()

    def list_ends(self) -> list[tuple[int, int]]:
        return [(writer.pack, writer.end) for writer in self.list_writers()]

    def prove(self, relied: Mapping[int, int]) -> None:
        self._pool.prove(self.list_writers())
        # All packs are looked at, so that the next attempt knows each one that was replaced.
        replaced = [pack for pack, end in relied.items() if not self._source.is_in_place(pack, end)]
        if replaced:
            raise refuse_pack(replaced[0])

    def settle(self) -> None:
        for writer in self.list_writers():
            writer.settle()
        for writer in self._full:
            self._pool.give_back(writer)
        self._full.clear()

    def release(self) -> None:
        for writer in self.list_writers():
            self._pool.give_back(writer)
        self._full.clear()
        self._writers.clear()

    def list_writers(self) -> list[PackWriter]:
        return [*self._full, *self._writers.values()]

    def _writer_for(self, kind: PackKind) -> PackWriter:
        writer = self._writers.get(kind)
        if writer is not None and writer.end >= self._target():
            self._full.append(self._writers.pop(kind))
            writer = None
        if writer is None:
            writer = self._writers[kind] = self._open_pack(kind)
        return writer

    def _target(self) -> int:
        """The size at which a pack is full. It doubles with each 64 full packs held, so that a
        terabyte needs 500 descriptors."""
        return PACK_TARGET << (len(self._full) // _PACKS_PER_SIZE)
