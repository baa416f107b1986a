"""Objects in memory: what pure code needs of a store."""

from __future__ import annotations

from collections import Counter

from volfs.errors import MissingObjectError
from volfs.model.content import ChunkList, decode_chunk_list
from volfs.model.objects import Buffer, Kind, Oid, compute_oid
from volfs.model.tree import EMPTY_TREE, Tree, decode_tree


class MemoryObjects:
    """``put``, ``load`` and the two decoded getters, with counts of what was asked.

    Everything is decoded again on its way out, so an object that no reader
    would accept is found by whoever reads it.
    """

    def __init__(self) -> None:
        self.objects: dict[Oid, bytes] = {}
        self.kinds: dict[Oid, Kind] = {}
        self.puts: Counter[Kind] = Counter()
        """Objects that were not there before, by kind."""
        self.loads = 0

    def put(self, kind: Kind, data: Buffer, /) -> Oid:
        oid = compute_oid(kind, data)
        if oid not in self.objects:
            self.objects[oid] = bytes(data)
            self.kinds[oid] = kind
            self.puts[kind] += 1
        return oid

    def load(self, oid: Oid, /) -> bytes:
        self.loads += 1
        try:
            return self.objects[oid]
        except KeyError:
            raise MissingObjectError(f"no object {oid.hex()}") from None

    def get_tree(self, oid: Oid, /) -> Tree:
        return decode_tree(self.load(oid)) if oid else EMPTY_TREE

    def get_list(self, oid: Oid, /) -> ChunkList:
        return decode_chunk_list(self.load(oid))

    def put_chunk(self, data: Buffer) -> Oid:
        return self.put(Kind.CHUNK, data)

    def reset_counts(self) -> None:
        self.puts.clear()
        self.loads = 0
