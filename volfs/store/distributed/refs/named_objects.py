"""What a volume refers to: the objects that nobody may delete while the log is as it is.

For gc. Whoever deletes objects beside logs keeps what is listed here, for each volume that has a
log, and for its newest checkpoints. A pending fork is about to name segments of its source, which
an older checkpoint may have named. So while ``VolumeState.forks`` is not empty, no segment of that
volume is deleted.
"""

from __future__ import annotations

from typing import NamedTuple

from volfs.model.logs.volume_log import VolumeState
from volfs.store.distributed.checkpoints.log_checkpoints import Beside
from volfs.store.distributed.place.object_keys import (
    history_name,
    newest_name,
    piece_name,
    segment_name,
    volume_log,
)


class NamedObjects(NamedTuple):
    """What a state refers to, by the keys of the objects, but packs by their names."""

    packs: frozenset[str]
    """Also those that are closed, and the lines that have records, of this or another volume."""
    segments: frozenset[str]
    """Index segments, of this volume or of one that it was forked from."""
    beside: frozenset[str]
    """A checkpoint, its pieces, and history segments."""


def list_named(volume_id: str, state: VolumeState, beside: Beside) -> NamedObjects:
    """What a state refers to, with the checkpoint that it was read with, or one of its line or an
    earlier one."""
    kept, logged = beside.kept, [*beside.kept.merged, *state.segments]
    keys = {piece_name(volume_id, name) for name in kept.pieces}
    blocks = (block for block in state.versions.there if block < kept.history)
    keys |= {history_name(volume_id, block) for block in blocks}
    if kept.newest:
        keys.add(newest_name(volume_id, kept.newest))
    if beside.number >= 0:
        keys.add(volume_log(volume_id).checkpoint(beside.number))
    return NamedObjects(
        frozenset(state.packs.packs),
        frozenset(segment_name(each.volume, each.name) for each in logged),
        frozenset(keys),
    )
