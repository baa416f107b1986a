"""What a mount has not committed, as changes of the version that it shows.

A delta is made of the overlay as a commit would make it, but nothing is sealed and no content is
written: the content of a file that was written stands for itself by an id that no object has. The
delta is applied in memory. So a look costs what has changed, and leaves no trace.
"""

from __future__ import annotations

from typing import NamedTuple

from volfs.model.changes import Change, iter_changes
from volfs.model.delta import Delta, apply_delta
from volfs.model.entry import Entry, Extent, set_content, with_content
from volfs.model.extents import ExtentMap
from volfs.model.manifest import Snapshot
from volfs.model.objects import Buffer, Kind, Load, Oid, compute_oid
from volfs.vfs.state import MountState
from volfs.volume.version_reader import Reader

_UNWRITTEN = b"\xff" * 32
"""The id of content that is not in the store yet."""


class Uncommitted(NamedTuple):
    """The changes of a mount at one moment, and what they lie on."""

    version: int
    base: Snapshot
    delta: Delta


def take_uncommitted(state: MountState) -> Uncommitted:
    """The changes as they are now. Synchronous, O(changes). No commit is under way."""
    found = state.overlay.describe()
    for file in found.files:
        file.place(_describe_content(file.entry, file.base, file.extents))
    return Uncommitted(state.view.head.version, state.view.snapshot, found.delta)


def _describe_content(entry: Entry, base: Entry, extents: ExtentMap) -> Entry:
    if extents.is_base and extents.size == base.size:
        return with_content(entry, base)
    size = extents.size
    return set_content(entry, size, extents=(Extent(size, _UNWRITTEN, 0),) if size else ())


def list_uncommitted(load: Load, found: Uncommitted) -> list[Change]:
    """The changes in the order of their paths. In a thread: ``load`` waits. DataError;
    StoreError."""
    made: dict[Oid, bytes] = {}

    def put(kind: Kind, data: Buffer) -> Oid:
        oid = compute_oid(kind, data)
        made[oid] = bytes(data)
        return oid

    def load_any(oid: Oid) -> bytes:
        return made[oid] if oid in made else load(oid)

    reader = Reader(load_any)
    now = apply_delta(reader.get_tree, put, found.base, found.delta).snapshot
    return list(iter_changes(reader.get_tree, found.base, now))
