"""The checkpoints of a volume, and the pieces of its table of packs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from volfs.errors import DamagedObjectError
from volfs.model.logs.volume_checkpoint import (
    CHECKPOINT_MAGIC,
    NOTHING_KEPT,
    PIECE_MAGIC,
    Kept,
    PieceRow,
    VolumeCheckpoint,
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
from volfs.store.distributed.checkpoints.machine_memory import MachineMemory, Remembered
from volfs.store.distributed.log.follower import KnownLog
from volfs.store.distributed.log.log import NO_NUMBER
from volfs.store.distributed.place.object_keys import make_random_name, piece_name, volume_log

VolumeBeginning = LogBeginning["VolumeState | None"]


class VolumeCheckpoints(LogCheckpoints["VolumeState | None"]):
    """The checkpoints of one volume. Thread-safe."""

    def __init__(
        self, objects: FramedObjects, volume_id: str, memory: MachineMemory | None = None
    ) -> None:
        self.volume_id = volume_id
        self._objects = objects
        super().__init__(objects, volume_log(volume_id), CHECKPOINT_MAGIC, self._restore, memory)

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

    # --- the machine's memory --------------------------------------------------------

    def restore_remembered(self, found: Remembered) -> tuple[KnownLog[VolumeState | None], Kept]:
        pieces = {name: decode_piece(data) for name, data in found.pieces}
        checkpoint = self._decode(found.content)
        if set(pieces) != set(checkpoint.pieces):
            raise DamagedObjectError("other pieces than the checkpoint names")
        beginning = _begin(checkpoint, pieces, 0)
        return beginning.known, beginning.beside.kept

    def make_remembered(self, known: KnownLog[VolumeState | None]) -> Remembered:
        assert known.state is not None
        newest = self.newest
        kept = newest.kept if newest.number <= known.number else NOTHING_KEPT
        content = encode_checkpoint(make_checkpoint(known.state, known.digest, kept))
        pieces = tuple((name, encode_piece(rows)) for name, rows in kept.pieces.items())
        number = newest.number if newest.number <= known.number else NO_NUMBER
        return Remembered(number, newest.size, content, pieces)

    # --- inside --------------------------------------------------------------------

    def _decode(self, content: Buffer) -> VolumeCheckpoint:
        checkpoint = decode_checkpoint(content)
        if checkpoint.facts is not None and checkpoint.facts.id != self.volume_id:
            raise DamagedObjectError(f"checkpoint: it is of the volume {checkpoint.facts.id}")
        return checkpoint

    def _restore(self, content: Buffer) -> VolumeBeginning:
        """DamagedObjectError; ObjectNotFoundError."""
        checkpoint = self._decode(content)
        reads = [partial(self._read_piece, name) for name in checkpoint.pieces]
        read = self._objects.bucket.world.gather(reads) if reads else []
        pieces = dict(zip(checkpoint.pieces, read, strict=True))
        return _begin(checkpoint, pieces, len(content))

    def _read_piece(self, name: str) -> tuple[PieceRow, ...]:
        return decode_piece(self._objects.read(piece_name(self.volume_id, name), PIECE_MAGIC))


def _begin(
    checkpoint: VolumeCheckpoint, pieces: Mapping[str, tuple[PieceRow, ...]], size: int
) -> VolumeBeginning:
    state = restore_state(checkpoint, pieces.values())
    known = KnownLog[VolumeState | None](
        state, checkpoint.number, checkpoint.digest, checkpoint.era
    )
    kept = restore_kept(checkpoint, pieces)
    return LogBeginning(known, Beside(checkpoint.number, kept, size))
