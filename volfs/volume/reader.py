"""Reading a version: decoded trees and chunk lists, and the bytes of files. Blocking."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from volfs.errors import DamagedObjectError, NoEntryError, NotADirectoryInVolumeError
from volfs.model.content import ChunkList, decode_chunk_list, find_slices
from volfs.model.entry import Entry, FileKind
from volfs.model.links import resolve_link
from volfs.model.manifest import Manifest, Snapshot, decode_manifest
from volfs.model.names import Path, show_path
from volfs.model.objects import Buffer, Load, Oid
from volfs.model.tree import EMPTY_TREE, Tree, decode_tree, find_entry
from volfs.store.base import Objects

TREES_KEPT = 4096
LISTS_KEPT = 1024
READ_SIZE = 1 << 20

T = TypeVar("T")


class DecodedCache(Generic[T]):
    """Recently used decoded objects. Safe to use from several threads."""

    def __init__(self, load: Load, decode: Callable[[Buffer], T], kept: int) -> None:
        self._load = load
        self._decode = decode
        self._kept = kept
        self._values: OrderedDict[Oid, T] = OrderedDict()
        self._lock = threading.Lock()

    def find(self, oid: Oid) -> T | None:
        with self._lock:
            value = self._values.get(oid)
            if value is not None:
                self._values.move_to_end(oid)
            return value

    def add(self, oid: Oid, data: Buffer) -> T:
        """Decode and keep; DamagedObjectError names the object."""
        try:
            value = self._decode(data)
        except DamagedObjectError as error:
            raise DamagedObjectError(f"object {oid.hex()}: {error}") from error
        with self._lock:
            self._values[oid] = value
            if len(self._values) > self._kept:
                self._values.popitem(last=False)
        return value

    def get(self, oid: Oid) -> T:
        value = self.find(oid)
        return value if value is not None else self.add(oid, self._load(oid))


class Reader:
    """The trees and chunk lists that ``load`` reaches, decoded and cached."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self.trees: DecodedCache[Tree] = DecodedCache(load, decode_tree, TREES_KEPT)
        self.lists: DecodedCache[ChunkList] = DecodedCache(load, decode_chunk_list, LISTS_KEPT)

    def get_tree(self, oid: Oid) -> Tree:
        return self.trees.get(oid) if oid else EMPTY_TREE

    def get_list(self, oid: Oid) -> ChunkList:
        return self.lists.get(oid)

    def load_manifest(self, oid: Oid) -> Manifest:
        return decode_manifest(self.load(oid))

    def find_path(self, snapshot: Snapshot, path: Path) -> Entry | None:
        """The entry at a path, with the attributes of its link group; no symlink is followed.

        NotADirectoryInVolumeError where a name on the way is a file.
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
        """As ``find_path``; NoEntryError where there is none."""
        entry = self.find_path(snapshot, path)
        if entry is None:
            raise NoEntryError(f"{show_path(path)}: no such file or directory")
        return entry

    def resolve(self, snapshot: Snapshot, entry: Entry) -> Entry:
        """An entry with its link group's attributes and content; others as they are."""
        return resolve_link(self.get_tree, snapshot.links, entry)


def read_range(reader: Reader, objects: Objects, entry: Entry, offset: int, length: int) -> Buffer:
    """Bytes of a file from ``offset``; fewer at its end. Data errors name the object."""
    length = min(length, entry.size - offset)
    if length <= 0:
        return b""
    if entry.inline:
        return entry.inline[offset : offset + length]
    slices = find_slices(reader.get_list, entry, offset, length)
    if len(slices) == 1 and slices[0].oid:
        return objects.read_object(*slices[0])
    buffer = bytearray(length)
    at = 0
    for piece in slices:
        if piece.oid:
            buffer[at : at + piece.length] = objects.read_object(*piece)
        at += piece.length
    return buffer


def iter_content_bytes(reader: Reader, objects: Objects, entry: Entry) -> Iterator[Buffer]:
    """A file's bytes in pieces of up to 1 MiB."""
    assert entry.kind == FileKind.FILE
    for offset in range(0, entry.size, READ_SIZE):
        yield read_range(reader, objects, entry, offset, READ_SIZE)
