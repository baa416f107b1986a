"""The checkpoints of a volume, and the pieces of its table of packs."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from volfs.errors import DamagedObjectError
from volfs.model.logs.volume_checkpoint import (
    CHECKPOINT_MAGIC,
    PIECE_MAGIC,
    Kept,
    PieceRow,
    decode_checkpoint,
    decode_piece,
    encode_checkpoint,
    encode_piece,
    make_checkpoint,
    restore_kept,
    restore_state,
)
from volfs.model.logs.volume_log import VolumeState
from volfs.model.objects import Buffer
from volfs.store.distributed.checkpoints.framed_objects import FramedObjects
from volfs.store.distributed.checkpoints.log_checkpoints import (
    Beside,
    LogBeginning,
    LogCheckpoints,
)
from volfs.store.distributed.log.follower import KnownLog
from volfs.store.distributed.place.object_keys import make_random_name, piece_name, volume_log

VolumeBeginning = LogBeginning["VolumeState | None"]


class VolumeCheckpoints(LogCheckpoints["VolumeState | None"]):
    """The checkpoints of one volume. Thread-safe."""

    def __init__(self, objects: FramedObjects, volume_id: str) -> None:
        self.volume_id = volume_id
        self._objects = objects
        super().__init__(objects, volume_log(volume_id), CHECKPOINT_MAGIC, self._restore)

    def write(self, known: KnownLog[VolumeState | None], kept: Kept) -> None:
        """Make the checkpoint after a line that is in the log. StoreError."""
        assert known.state is not None
        content = encode_checkpoint(make_checkpoint(known.state, known.digest, kept))
        self.put(known, content, kept)

    def put_piece(self, rows: Sequence[PieceRow]) -> str:
        """Put a piece of the table of packs, and return its name. StoreError."""
        name = make_random_name(self._objects.bucket.world.random_bytes)
        key = piece_name(self.volume_id, name)
        self._objects.create(key, PIECE_MAGIC, encode_piece(rows))
        return name

    # --- inside --------------------------------------------------------------------

    def _restore(self, content: Buffer) -> VolumeBeginning:
        """DamagedObjectError; ObjectNotFoundError."""
        checkpoint = decode_checkpoint(content)
        if checkpoint.facts is not None and checkpoint.facts.id != self.volume_id:
            raise DamagedObjectError(f"checkpoint: it is of the volume {checkpoint.facts.id}")
        reads = [partial(self._read_piece, name) for name in checkpoint.pieces]
        read = self._objects.bucket.world.gather(reads) if reads else []
        pieces = dict(zip(checkpoint.pieces, read, strict=True))
        state = restore_state(checkpoint, pieces.values())
        known = KnownLog[VolumeState | None](
            state, checkpoint.number, checkpoint.digest, checkpoint.era
        )
        kept = restore_kept(checkpoint, pieces)
        return LogBeginning(known, Beside(checkpoint.number, kept, len(content)))

    def _read_piece(self, name: str) -> tuple[PieceRow, ...]:
        return decode_piece(self._objects.read(piece_name(self.volume_id, name), PIECE_MAGIC))
