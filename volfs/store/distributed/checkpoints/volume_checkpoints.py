"""The checkpoints of a volume: the state after one of its lines, as it lies in the bucket.

A checkpoint is made of what a follower knows, so only of lines that are in the log. Two that are
made after one line say the same of the log; of what lies beside it, the first one counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import NamedTuple

from volfs.errors import DamagedObjectError
from volfs.model.logs.line import Line, digest_line
from volfs.model.logs.volume_checkpoint import (
    CHECKPOINT_MAGIC,
    NOTHING_KEPT,
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
from volfs.store.distributed.checkpoints.beginnings import Beginnings
from volfs.store.distributed.checkpoints.framed_objects import FramedObjects
from volfs.store.distributed.log.follower import KnownLog
from volfs.store.distributed.log.log import NO_NUMBER, Log
from volfs.store.distributed.place.object_keys import make_random_name, piece_name, volume_log


class Beside(NamedTuple):
    """What lies beside a volume's log, as its checkpoint after one line says."""

    number: int = NO_NUMBER
    """That line."""
    kept: Kept = NOTHING_KEPT
    size: int = 0
    """Bytes of the checkpoint's content."""


NOTHING_BESIDE = Beside()


class VolumeBeginning(NamedTuple):
    """What one checkpoint says."""

    known: KnownLog[VolumeState | None]
    beside: Beside

    @property
    def number(self) -> int:
        return self.known.number


class VolumeCheckpoints:
    """The checkpoints of one volume. Thread-safe."""

    def __init__(self, objects: FramedObjects, volume_id: str) -> None:
        self.volume_id = volume_id
        self.newest = NOTHING_BESIDE
        """What lies beside the log, by the newest checkpoint that this process has read or
        made."""
        self._objects = objects
        self._beginnings = Beginnings(
            objects, volume_log(volume_id), CHECKPOINT_MAGIC, self._restore
        )

    def begin(self) -> Iterator[KnownLog[VolumeState | None]]:
        """What checkpoints say of the log, the newest first. StoreError."""
        for found in self._beginnings.iter_newest():
            former, self.newest = self.newest, found.beside
            yield found.known
            self.newest = former  # The line after which it was made is another.

    def write(self, known: KnownLog[VolumeState | None], kept: Kept) -> None:
        """Make the checkpoint after a line that is in the log. If there is one, believe what it
        says of the objects beside the log: nobody else knows of ours. StoreError."""
        assert known.state is not None
        content = encode_checkpoint(make_checkpoint(known.state, known.digest, kept))
        made = VolumeBeginning(known, Beside(known.number, kept, len(content)))
        if self._beginnings.create(known.number, content):
            self._believe(made)
            return
        there = self._beginnings.find(known.number)
        if there is not None and there.known.digest == known.digest:
            self._believe(there)

    def renew(self, log: Log) -> None:
        """Look whether there is a newer checkpoint, because objects beside the log were not found:
        what no checkpoint in force names is deleted. StoreError; DataError."""
        for number in self._beginnings.list_numbers():
            if number <= self.newest.number:
                return
            found = self._beginnings.find(number)
            if found is not None and _is_of(found, log.find_line(number)):
                self._believe(found)
                return

    def put_piece(self, rows: Sequence[PieceRow]) -> str:
        """Put a piece of the table of packs, and return its name. StoreError."""
        name = make_random_name(self._objects.bucket.world.random_bytes)
        key = piece_name(self.volume_id, name)
        self._objects.create(key, PIECE_MAGIC, encode_piece(rows))
        return name

    # --- inside --------------------------------------------------------------------

    def _believe(self, found: VolumeBeginning) -> None:
        if found.number > self.newest.number:
            self.newest = found.beside

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
        return VolumeBeginning(known, Beside(checkpoint.number, kept, len(content)))

    def _read_piece(self, name: str) -> tuple[PieceRow, ...]:
        return decode_piece(self._objects.read(piece_name(self.volume_id, name), PIECE_MAGIC))


def _is_of(found: VolumeBeginning, line: Line | None) -> bool:
    """Whether a checkpoint was made after this line."""
    return line is not None and digest_line(line) == found.known.digest
