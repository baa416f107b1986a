"""The state of a volume's log as bytes, so that not every line has to be read.

A *checkpoint* has the state after one line, except what is long and never changes: full blocks of
versions are in *history segments*, and packs by the thousands in *pieces* of the table of packs.
Layouts: docs/format.md, "Beside a log".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, NamedTuple

import msgspec
from immutables import Map
from msgspec import Meta

from volfs.errors import DamagedObjectError
from volfs.model.logs.change_codec import decode_content
from volfs.model.logs.pack_table import PackInUse, PackTable
from volfs.model.logs.version_table import BLOCK_SIZE, VersionRow, VersionTable, make_table
from volfs.model.logs.volume_changes import (
    Forward,
    LoggedPack,
    LoggedSegment,
    PackName,
    RandomName,
    TagName,
)
from volfs.model.logs.volume_facts import Natural, OidField, VolumeFacts, VolumeId
from volfs.model.logs.volume_log import PendingFork, Rider, VolumeState
from volfs.model.objects import Buffer, Kind, Oid, compute_oid
from volfs.model.references import Reference

CHECKPOINT_MAGIC = b"VOLFSCP1"
PIECE_MAGIC = b"VOLFSPT1"
HISTORY_MAGIC = b"VOLFSHS1"
PIECE_SIZE = 8192
"""Packs in a piece."""

PieceRow = tuple[LoggedPack, Natural]
"""A pack, and the line that named it first."""
RiderRow = tuple[Natural, Natural, bytes, tuple[tuple[Kind, OidField], ...]]


class VolumeCheckpoint(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """The state of a volume after line ``number``."""

    number: Natural
    era: Natural
    digest: OidField
    """The digest of that line. Whoever reads on, or appends, needs it."""
    facts: VolumeFacts | None
    is_deleted: bool
    head: Annotated[int, Meta(ge=-1)]
    history: Natural
    """The blocks of versions before this one are in history segments."""
    rows: tuple[tuple[Natural, OidField, Natural], ...]
    """The versions that no history segment has: number, manifest, line."""
    runs: tuple[Natural, ...]
    """From version 0 on, by turns: how many versions are there, and how many are not."""
    tags: tuple[tuple[TagName, Natural], ...]
    forks: tuple[tuple[VolumeId, Natural, Natural], ...]
    """Id, version and line of each pending fork."""
    riders: tuple[tuple[str, tuple[RiderRow, ...]], ...]
    pieces: tuple[RandomName, ...]
    packs: tuple[PieceRow, ...]
    """Packs that no piece has."""
    gone: tuple[PackName, ...]
    """Packs that a piece has, and the state has no more."""
    closed: tuple[PackName, ...]
    forwards: tuple[Forward, ...]
    segments: tuple[LoggedSegment, ...]
    """The segments that lines have named."""
    merged: tuple[LoggedSegment, ...] = ()
    """Segments that have the places of all objects of the lines before ``indexed``."""
    indexed: Natural = 0
    named: Natural = 0
    """So many of ``segments``, the oldest, have no place that ``merged`` has not."""
    newest: tuple[RandomName, ...] = ()
    """At most one: a history segment of the block of the head, which is not full yet."""


class HistoryRow(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """A version in a history segment."""

    version: Natural
    line: Natural
    manifest: OidField
    content: bytes = b""
    """The manifest itself. Empty if it could not be read when the segment was made."""


_encoder = msgspec.msgpack.Encoder()
_checkpoints = msgspec.msgpack.Decoder(VolumeCheckpoint)
_pieces = msgspec.msgpack.Decoder(tuple[PieceRow, ...])
_histories = msgspec.msgpack.Decoder(tuple[HistoryRow, ...])


# --- from a state -----------------------------------------------------------


class Kept(NamedTuple):
    """What lies beside the log already, and a checkpoint need not have again."""

    history: int = 0
    """The blocks of versions before this one are in history segments, as far as they have any
    versions."""
    pieces: Mapping[str, tuple[PieceRow, ...]] = {}
    """Pieces, by name."""
    merged: tuple[LoggedSegment, ...] = ()
    """Segments that have the places of all objects of the lines before ``indexed``."""
    indexed: int = 0
    named: int = 0
    """So many of the segments that lines have named, the oldest, need not be asked any more."""
    newest: str = ""
    """The history segment of the block of the head. Empty if there is none."""


NOTHING_KEPT = Kept()


def find_next_block(state: VolumeState, history: int) -> int | None:
    """The first block from ``history`` on that has versions and will get no more of them."""
    versions = state.versions
    blocks = [block for block in versions.there if block >= history]
    first = min(blocks, default=None)
    return first if first is not None and first < versions.head // BLOCK_SIZE else None


def list_worn_pieces(state: VolumeState, kept: Kept) -> list[str]:
    """Pieces of whose packs fewer than half are left: what is left is kept anew."""
    known = state.packs.packs

    def is_worn(rows: tuple[PieceRow, ...]) -> bool:
        return sum(pack.name in known for pack, _ in rows) * 2 < len(rows)

    return [name for name, rows in kept.pieces.items() if is_worn(rows)]


def find_next_piece(state: VolumeState, kept: Kept) -> tuple[PieceRow, ...]:
    """The oldest packs that no piece has, if there are enough for another piece; else nothing."""
    rows = _list_loose(state, kept)
    return rows[:PIECE_SIZE] if len(rows) >= PIECE_SIZE else ()


def make_checkpoint(
    state: VolumeState, digest: bytes, kept: Kept = NOTHING_KEPT
) -> VolumeCheckpoint:
    """The checkpoint of a state after a line with this digest. Equal states give equal ones."""
    known = state.packs.packs
    first = kept.history * BLOCK_SIZE
    rows = [(v, *row) for v, row in state.versions.known.items() if v >= first]
    pieced = (pack.name for rows_ in kept.pieces.values() for pack, _ in rows_)
    return VolumeCheckpoint(
        number=state.number,
        era=state.era,
        digest=digest,
        facts=state.facts,
        is_deleted=state.is_deleted,
        head=state.versions.head,
        history=kept.history,
        rows=tuple(sorted(rows)),
        runs=tuple(_iter_runs(state.versions)),
        tags=tuple(sorted(state.tags.items())),
        forks=tuple(sorted((name, *fork) for name, fork in state.forks.items())),
        riders=tuple(sorted(state.riders.items())),
        pieces=tuple(sorted(kept.pieces)),
        packs=_list_loose(state, kept),
        gone=tuple(sorted(name for name in pieced if name not in known)),
        closed=tuple(sorted(name for name, row in known.items() if not row.is_open)),
        forwards=tuple(sorted(state.packs.forwards.items())),
        segments=state.segments,
        merged=kept.merged,
        indexed=kept.indexed,
        named=kept.named,
        newest=(kept.newest,) if kept.newest else (),
    )


def _list_loose(state: VolumeState, kept: Kept) -> tuple[PieceRow, ...]:
    """The packs that no piece has, oldest first."""
    pieced = {pack.name for rows in kept.pieces.values() for pack, _ in rows}
    rows = state.packs.list_oldest_first()
    return tuple((row.pack, row.line) for row in rows if row.pack.name not in pieced)


def _iter_runs(versions: VersionTable) -> Iterator[int]:
    end, absent = 0, 0
    for first, last in versions.iter_ranges():
        if first:
            yield from (end - absent, first - end)
        end, absent = last + 1, first
    if versions.there:
        yield end - absent


def encode_checkpoint(checkpoint: VolumeCheckpoint) -> bytes:
    return _encoder.encode(checkpoint)


def encode_piece(rows: Iterable[PieceRow]) -> bytes:
    return _encoder.encode(tuple(rows))


def encode_history(rows: Iterable[HistoryRow]) -> bytes:
    return _encoder.encode(tuple(rows))


# --- to a state -------------------------------------------------------------


def decode_checkpoint(data: Buffer) -> VolumeCheckpoint:
    """DamagedObjectError for everything that no volfs writes."""
    return decode_content("checkpoint", _checkpoints, data)


def decode_piece(data: Buffer) -> tuple[PieceRow, ...]:
    """DamagedObjectError."""
    return decode_content("piece of the table of packs", _pieces, data)


def decode_history(data: Buffer, block: int) -> tuple[HistoryRow, ...]:
    """The rows of a block of versions, ascending. DamagedObjectError."""
    rows = decode_content("history segment", _histories, data)
    versions = [row.version for row in rows]
    if versions != sorted(set(versions)) or any(v // BLOCK_SIZE != block for v in versions):
        raise DamagedObjectError(f"history segment {block}: other versions")
    for row in rows:
        if row.content and compute_oid(Kind.MANIFEST, row.content) != row.manifest:
            raise DamagedObjectError(f"history segment {block}: version {row.version}")
    return rows


def restore_state(
    checkpoint: VolumeCheckpoint, pieces: Iterable[Iterable[PieceRow]] = ()
) -> VolumeState:
    """The state that a checkpoint was made of; blocks of history segments are not in memory.

    ``pieces`` are those that the checkpoint names. DamagedObjectError if it contradicts itself.
    """
    versions = _restore_versions(checkpoint)
    counts = Counter(version for _, version in checkpoint.tags)
    if not all(map(versions.has, counts)):
        raise DamagedObjectError("checkpoint: a tag names a version that is not there")
    return VolumeState(
        number=checkpoint.number,
        era=checkpoint.era,
        facts=checkpoint.facts,
        versions=versions,
        tags=Map(checkpoint.tags),
        tagged=Map(counts),
        forks=Map({name: PendingFork(*fork) for name, *fork in checkpoint.forks}),
        riders=Map({name: tuple(map(_to_rider, rows)) for name, rows in checkpoint.riders}),
        packs=_restore_packs(checkpoint, pieces),
        segments=checkpoint.segments,
        is_deleted=checkpoint.is_deleted,
    )


def restore_kept(checkpoint: VolumeCheckpoint, pieces: Mapping[str, tuple[PieceRow, ...]]) -> Kept:
    """What lies beside the log when a checkpoint was made. ``pieces`` are those that it names.
    DamagedObjectError if it contradicts itself."""
    is_possible = checkpoint.indexed <= checkpoint.number + 1
    if not is_possible or checkpoint.named > len(checkpoint.segments) or len(checkpoint.newest) > 1:
        raise DamagedObjectError("checkpoint: segments of other lines than it has")
    return Kept(
        checkpoint.history,
        dict(pieces),
        checkpoint.merged,
        checkpoint.indexed,
        checkpoint.named,
        "".join(checkpoint.newest),
    )


def _restore_versions(checkpoint: VolumeCheckpoint) -> VersionTable:
    rows = {v: VersionRow(Oid(oid), line) for v, oid, line in checkpoint.rows}
    first = checkpoint.history * BLOCK_SIZE
    ranges = list(_iter_ranges(checkpoint.runs))
    if (ranges and ranges[-1][1] > checkpoint.head) or first > checkpoint.head + 1:
        raise DamagedObjectError("checkpoint: versions after its head")
    table = make_table(checkpoint.head, ranges, rows, first)
    wanted = sum(last + 1 - max(start, first) for start, last in ranges if last >= first)
    if len(rows) != wanted or not all(v >= first and table.has(v) for v in rows):
        raise DamagedObjectError("checkpoint: other versions than it says")
    return table


def _iter_ranges(runs: Iterable[int]) -> Iterator[tuple[int, int]]:
    at, is_there = 0, True
    for length in runs:
        if is_there and length:
            yield at, at + length - 1
        at, is_there = at + length, not is_there


def _to_rider(row: RiderRow) -> Rider:
    line, version, over, needs = row
    return Rider(line, version, over, tuple(Reference(kind, Oid(oid)) for kind, oid in needs))


def _restore_packs(checkpoint: VolumeCheckpoint, pieces: Iterable[Iterable[PieceRow]]) -> PackTable:
    rows = {row[0].name: row for piece in (*pieces, checkpoint.packs) for row in piece}
    closed, gone = set(checkpoint.closed), set(checkpoint.gone)
    if not (closed | gone) <= rows.keys() or closed & gone:
        raise DamagedObjectError("checkpoint: it closes packs that it does not have")
    packs = {
        name: PackInUse(pack, line, name not in closed)
        for name, (pack, line) in rows.items()
        if name not in gone
    }
    return PackTable(Map(packs), Map(checkpoint.forwards))
