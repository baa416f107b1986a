"""The objects that an object refers to: the edges of the graph that gc and check walk."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from volfs.model.content import ChunkList, decode_chunk_list
from volfs.model.entry import Entry
from volfs.model.manifest import Manifest, decode_manifest
from volfs.model.objects import Buffer, Kind, Oid
from volfs.model.tree import Tree, decode_tree


class Reference(NamedTuple):
    kind: Kind
    oid: Oid


def iter_references(kind: Kind, data: Buffer) -> Iterator[Reference]:
    """The references in an object's canonical bytes; one may come twice. DamagedObjectError.

    The parent of a manifest is not among them, because a version may be removed before those that
    came after it.
    """
    if kind == Kind.MANIFEST:
        yield from iter_manifest_references(decode_manifest(data))
    elif kind == Kind.TREE:
        yield from iter_tree_references(decode_tree(data))
    elif kind == Kind.CHUNK_LIST:
        yield from iter_list_references(decode_chunk_list(data))


def iter_manifest_references(manifest: Manifest) -> Iterator[Reference]:
    yield from _trees(manifest.root.root, manifest.links)


def iter_tree_references(tree: Tree) -> Iterator[Reference]:
    yield from _trees(*(page.oid for page in tree.pages))
    for entry in tree.entries.values():
        yield from iter_entry_references(entry)


def iter_entry_references(entry: Entry) -> Iterator[Reference]:
    """The references of an entry: a directory's tree; a file's chunk list or chunks."""
    if entry.root:
        yield Reference(Kind.TREE if entry.is_directory else Kind.CHUNK_LIST, Oid(entry.root))
    for extent in entry.extents:
        if extent.oid:
            yield Reference(Kind.CHUNK, Oid(extent.oid))


def iter_list_references(node: ChunkList) -> Iterator[Reference]:
    for child in node.children:
        if child:
            yield Reference(Kind.CHUNK_LIST, Oid(child))
    for oid in node.windows.values():
        yield Reference(Kind.CHUNK_LIST, oid)
    for extent in node.extents:
        if extent.oid:
            yield Reference(Kind.CHUNK, Oid(extent.oid))


def _trees(*oids: bytes) -> Iterator[Reference]:
    return (Reference(Kind.TREE, Oid(oid)) for oid in oids if oid)


Visit = Callable[[Reference], Buffer | None]
"""The canonical bytes of an object whose references are wanted; None if they are not."""


def walk_references(roots: list[Reference], visit: Visit) -> None:
    """Visit everything below ``roots``, in no order. ``visit`` says where to go on.

    There is no recursion, because trees may be deep. Raises what ``visit`` raises, and
    DamagedObjectError.
    """
    waiting = list(roots)
    while waiting:
        reference = waiting.pop()
        data = visit(reference)
        if data is not None:
            waiting += iter_references(reference.kind, data)
