"""The history segments of volumes: the manifests of a block of versions in one object.

A block whose segment is gone or damaged is read from the lines of the log.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping

from volfs.errors import DamagedObjectError, ObjectNotFoundError, UnsupportedFormatError
from volfs.model.logs.version_table import VersionRow
from volfs.model.logs.volume_checkpoint import (
    HISTORY_MAGIC,
    HistoryRow,
    decode_history,
    encode_history,
)
from volfs.model.objects import Oid
from volfs.store.distributed.checkpoints.framed_objects import FramedObjects
from volfs.store.distributed.place.object_keys import history_name, make_random_name, newest_name
from volfs.store.lru import LruMap

MANIFEST_BYTES = 16 << 20
BLOCKS = 64
log = logging.getLogger(__name__)

Block = Mapping[int, VersionRow]


class VolumeHistory:
    """Blocks of versions, and manifests, of the volumes of a store. Thread-safe."""

    def __init__(self, objects: FramedObjects) -> None:
        self._objects = objects
        self._blocks: LruMap[tuple[str, int], Block] = LruMap(BLOCKS)
        self._manifests: LruMap[Oid, bytes] = LruMap(MANIFEST_BYTES)

    def find_manifest(self, oid: Oid) -> bytes | None:
        """A manifest that came with a line, or with a history segment, not long ago."""
        return self._manifests.find(oid)

    def note_manifest(self, oid: Oid, content: bytes) -> None:
        self._manifests.put(oid, content, len(content))

    def find_block(self, volume_id: str, block: int) -> Block | None:
        """The versions of a block, and maybe some that have expired. None if there is no segment
        of use. StoreError."""
        found = self._blocks.find((volume_id, block))
        if found is None:
            rows = self._read(history_name(volume_id, block), block)
            if rows is not None:
                found = {row.version: VersionRow(Oid(row.manifest), row.line) for row in rows}
                self.note_block(volume_id, block, found)
        return found

    def note_block(self, volume_id: str, block: int, rows: Block) -> None:
        self._blocks.put((volume_id, block), rows)

    def load_newest(self, volume_id: str, name: str, block: int) -> None:
        """Learn the manifests of a block that is not full yet, from the segment of this name."""
        self._read(newest_name(volume_id, name), block)

    def put_block(self, volume_id: str, block: int, rows: Iterable[HistoryRow]) -> None:
        """Put the segment of a full block, unless there is one. StoreError."""
        content = encode_history(rows)
        self._objects.create(history_name(volume_id, block), HISTORY_MAGIC, content)

    def put_newest(self, volume_id: str, rows: Iterable[HistoryRow]) -> str:
        """Put the segment of a block that is not full yet, and return its name. StoreError."""
        name = make_random_name(self._objects.bucket.world.random_bytes)
        content = encode_history(rows)
        self._objects.create(newest_name(volume_id, name), HISTORY_MAGIC, content)
        return name

    # --- inside --------------------------------------------------------------------

    def _read(self, key: str, block: int) -> tuple[HistoryRow, ...] | None:
        """The rows of a segment, whose manifests are remembered. None if it is of no use."""
        try:
            rows = decode_history(self._objects.read(key, HISTORY_MAGIC), block)
        except (DamagedObjectError, UnsupportedFormatError, ObjectNotFoundError) as error:
            log.info("%s: passed over: %s", key, error)
            return None
        for row in rows:
            if row.content:
                self.note_manifest(Oid(row.manifest), row.content)
        return rows
