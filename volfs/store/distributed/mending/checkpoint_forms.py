"""Checkpoints as a check and a repair need them: each is read, compared, and made."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Generic, NamedTuple, TypeVar

from volfs.buckets.access import Bucket
from volfs.errors import DamagedObjectError, ObjectNotFoundError
from volfs.model.logs.catalog_log import CatalogState
from volfs.model.logs.framed import Framed, decode_framed, encode_framed
from volfs.model.logs.gc_log import GcState
from volfs.model.logs.table_log import TablesState
from volfs.model.logs.version_table import VersionRow
from volfs.model.logs.volume_checkpoint import (
    CHECKPOINT_MAGIC,
    HISTORY_MAGIC,
    PIECE_MAGIC,
    decode_checkpoint,
    decode_history,
    decode_piece,
    encode_checkpoint,
    make_checkpoint,
    restore_state,
)
from volfs.model.logs.volume_log import VolumeState
from volfs.model.objects import Buffer, Oid
from volfs.model.pack import Codec
from volfs.store.distributed.checkpoints.log_forms import (
    CATALOG_FORM,
    GC_FORM,
    TABLES_FORM,
    LogForm,
)
from volfs.store.distributed.log.follower import KnownLog
from volfs.store.distributed.mending.segment_check import judge_segment
from volfs.store.distributed.place.object_keys import history_name, piece_name, segment_name
from volfs.store.packs.codec import decompress

State = TypeVar("State")


class CheckpointForm(NamedTuple, Generic[State]):
    """How the checkpoints of one kind of log are read and made."""

    read: Callable[[str], KnownLog[State]]
    """The state in the checkpoint of this key. DataError; StoreError."""
    encode: Callable[[KnownLog[State]], bytes]
    is_same: Callable[[State, State], bool]
    """Whether a checkpoint, the first, has the state that the lines give."""
    find_problem: Callable[[str, State], str] = lambda key, state: ""
    """What is wrong with the objects that readers find by the checkpoint of this key, which has
    this state; empty if nothing is. StoreError."""


def read_content(bucket: Bucket, key: str, magic: bytes) -> Buffer:
    """The content of an object beside a log. DataError; StoreError."""
    try:
        framed = decode_framed(bucket.get(key)[1], magic, key)
    except ObjectNotFoundError:
        raise DamagedObjectError(f"{key}: it is gone") from None
    return decompress(framed.codec, framed.stored, framed.raw)


def catalog_form(bucket: Bucket) -> CheckpointForm[CatalogState]:
    return _plain_form(bucket, CATALOG_FORM)


def gc_form(bucket: Bucket) -> CheckpointForm[GcState | None]:
    return _plain_form(bucket, GC_FORM)


def tables_form(bucket: Bucket) -> CheckpointForm[TablesState]:
    return _plain_form(bucket, TABLES_FORM)


def _plain_form(bucket: Bucket, form: LogForm[State]) -> CheckpointForm[State]:
    def read(key: str) -> KnownLog[State]:
        return form.decode(read_content(bucket, key, form.magic))

    def encode(known: KnownLog[State]) -> bytes:
        return _frame(form.magic, form.encode(known))

    return CheckpointForm(read, encode, lambda a, b: a == b)


def volume_form(bucket: Bucket, volume: str) -> CheckpointForm[VolumeState | None]:
    def encode(known: KnownLog[VolumeState | None]) -> bytes:
        assert known.state is not None
        return _frame(
            CHECKPOINT_MAGIC, encode_checkpoint(make_checkpoint(known.state, known.digest))
        )

    return CheckpointForm(
        partial(_read_volume, bucket, volume),
        encode,
        _is_same_volume,
        partial(_find_damaged_segment, bucket),
    )


def _read_volume(bucket: Bucket, volume: str, key: str) -> KnownLog[VolumeState | None]:
    checkpoint = decode_checkpoint(read_content(bucket, key, CHECKPOINT_MAGIC))
    keys = [piece_name(volume, name) for name in checkpoint.pieces]
    pieces = [decode_piece(read_content(bucket, key, PIECE_MAGIC)) for key in keys]
    state = restore_state(checkpoint, pieces)
    for block in sorted(state.versions.unread):
        content = read_content(bucket, history_name(volume, block), HISTORY_MAGIC)
        rows = [
            (row.version, VersionRow(Oid(row.manifest), row.line))
            for row in decode_history(content, block)
        ]
        state = state._replace(versions=state.versions.with_block(block, rows))
    return KnownLog(state, checkpoint.number, checkpoint.digest, checkpoint.era)


def _find_damaged_segment(bucket: Bucket, key: str, state: VolumeState | None) -> str:
    """What is wrong with the first index segment that the checkpoint itself names."""
    assert state is not None
    checkpoint = decode_checkpoint(read_content(bucket, key, CHECKPOINT_MAGIC))
    for segment in checkpoint.merged:
        if problem := judge_segment(bucket, segment, state):
            return f"segment {segment_name(segment.volume, segment.name)}: {problem}"
    return ""


def _is_same_volume(kept: VolumeState | None, replayed: VolumeState | None) -> bool:
    return kept == replayed


def _frame(magic: bytes, content: bytes) -> bytes:
    return encode_framed(Framed(magic, Codec.RAW, len(content), content))
