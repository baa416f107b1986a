"""Reading a version: decoded trees and chunk lists, and the bytes of files. Blocking."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Generic, Protocol, TypeVar

from volfs.errors import DamagedObjectError, NoEntryError, NotADirectoryInVolumeError
from volfs.model.content import ChunkList, GetList, decode_chunk_list, find_slices
from volfs.model.entry import Entry, FileKind
from volfs.model.links import resolve_link
from volfs.model.manifest import Manifest, Snapshot, decode_manifest
from volfs.model.names import Path, show_path
from volfs.model.objects import Buffer, Load, Oid
from volfs.model.tree import EMPTY_TREE, Tree, decode_tree, find_entry
from volfs.store.lru import LruMap

TREE_BYTES = 16 << 20
LIST_BYTES = 8 << 20
"""Encoded bytes that are cached of trees and of chunk lists. Decoded, trees take about six times
as much."""
READ_SIZE = 1 << 20

T = TypeVar("T")


class DecodedCache(Generic[T]):
    """A cache of recently used decoded objects, of up to ``limit`` encoded bytes. Thread-safe."""

    def __init__(self, load: Load, decode: Callable[[Buffer], T], limit: int) -> None:
        self._load = load
        self._decode = decode
        self._values: LruMap[Oid, T] = LruMap(limit)

    def get(self, oid: Oid) -> T:
        """The decoded object, loaded if need be. A DamagedObjectError names the object;
        StoreError."""
        value = self._values.find(oid)
        if value is not None:
            return value
        data = self._load(oid)
        try:
            value = self._decode(data)
        except DamagedObjectError as error:
            raise DamagedObjectError(f"object {oid.hex()}: {error}") from error
        self._values.put(oid, value, len(data))
        return value


class Reader:
    """The trees and chunk lists that ``load`` reaches, decoded and cached."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self.trees: DecodedCache[Tree] = DecodedCache(load, decode_tree, TREE_BYTES)
        self.lists: DecodedCache[ChunkList] = DecodedCache(load, decode_chunk_list, LIST_BYTES)
        self.get_list: GetList = self.lists.get

    def get_tree(self, oid: Oid) -> Tree:
        return self.trees.get(oid) if oid else EMPTY_TREE

    def load_manifest(self, oid: Oid) -> Manifest:
        return decode_manifest(self.load(oid))

    def find_path(self, snapshot: Snapshot, path: Path) -> Entry | None:
        """The entry at a path, with the attributes of its link group. No symlink is followed.

        None if there is nothing at the path. NotADirectoryInVolumeError if a name on the way is a
        file.
        """
        entry: Entry | None = snapshot.root
        for depth, name in enumerate(path):
            if entry is None:
                return None
            if not entry.is_directory:
                raise NotADirectoryInVolumeError(f"{show_path(path[:depth])}: not a directory")
            entry = find_entry(self.get_tree, entry.tree, name)
        return entry and self.resolve(snapshot, entry)

    def get_path(self, snapshot: Snapshot, path: Path) -> Entry:
        """As ``find_path``, but NoEntryError if there is nothing at the path."""
        entry = self.find_path(snapshot, path)
        if entry is None:
            raise NoEntryError(f"{show_path(path)}: no such file or directory")
        return entry

    def resolve(self, snapshot: Snapshot, entry: Entry) -> Entry:
        """A hard link's entry with the attributes and content of its link group; any other entry
        as it is."""
        return resolve_link(self.get_tree, snapshot.links, entry)


class Ranges(Protocol):
    """The part of ``Objects`` that reads files."""

    def read_object(self, oid: Oid, offset: int, length: int) -> Buffer: ...


def read_range(reader: Reader, objects: Ranges, entry: Entry, offset: int, length: int) -> Buffer:
    """The bytes of a file from ``offset``, fewer than ``length`` at its end. Data errors name the
    object."""
    length = min(length, entry.size - offset)
    if length <= 0:
        return b""
    if entry.inline:
        return entry.inline[offset : offset + length]
    parts: list[Buffer] = [
        objects.read_object(*piece) if piece.oid else bytes(piece.length)
        for piece in find_slices(reader.get_list, entry, offset, length)
    ]
    return parts[0] if len(parts) == 1 else b"".join(parts)


def iter_content_bytes(reader: Reader, objects: Ranges, entry: Entry) -> Iterator[Buffer]:
    """Yield a file's bytes in pieces of up to 1 MiB."""
    assert entry.kind == FileKind.FILE
    for offset in range(0, entry.size, READ_SIZE):
        yield read_range(reader, objects, entry, offset, READ_SIZE)
