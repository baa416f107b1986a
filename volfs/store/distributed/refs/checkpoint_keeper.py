"""Checkpoints of volumes, and what they refer to: pieces, history segments and index segments."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from volfs.errors import DamagedObjectError, DataError
from volfs.errors.fault_points import reached
from volfs.model.logs.line import encode_line
from volfs.model.logs.version_table import BLOCK_SIZE
from volfs.model.logs.volume_checkpoint import (
    HistoryRow,
    Kept,
    find_next_block,
    find_next_piece,
    list_worn_pieces,
)
from volfs.model.logs.volume_log import VolumeState
from volfs.model.objects import Oid
from volfs.model.segments.footer import walk_records
from volfs.model.segments.packs_named import name_line
from volfs.store.distributed.checkpoints.due_checkpoints import DueCheckpoints, Pace, choose_pace
from volfs.store.distributed.checkpoints.log_checkpoints import Beside
from volfs.store.distributed.refs.open_volumes import OpenVolumes
from volfs.store.distributed.refs.volume_logs import VolumeLogs
from volfs.store.distributed.refs.volume_view import VolumeView, to_logged_segment, to_named
from volfs.store.distributed.refs.volume_watch import NumberedLine
from volfs.system.world import World

log = logging.getLogger(__name__)


class CheckpointedVolume:
    """The log of a volume. ``CheckpointedLog``."""

    def __init__(self, keeper: CheckpointKeeper, logs: VolumeLogs, name: str, pace: Pace) -> None:
        self.name = name
        self._keeper = keeper
        self._logs = logs
        self._pace = pace

    @property
    def number(self) -> int:
        return self._logs.open(self.name).known.number

    def is_due(self, tried: int, *, is_ours: bool) -> bool:
        follower, checkpoints, watch = self._logs.open_whole(self.name)
        newest = checkpoints.newest
        since = follower.known.number - max(newest.number, tried)
        return self._pace.is_due(since, newest.size, watch.unsaved, is_ours=is_ours)

    def renew(self) -> None:
        follower, checkpoints, _ = self._logs.open_whole(self.name)
        checkpoints.renew(follower.log)

    def keep(self) -> None:
        self._keeper.keep(self.name)


class CheckpointKeeper:
    """Keeps the checkpoints of a store's volumes. ``VolumeListener``. Thread-safe."""

    def __init__(
        self,
        logs: VolumeLogs,
        volumes: OpenVolumes,
        world: World,
        lines: int = 0,
        due: DueCheckpoints | None = None,
    ) -> None:
        """``lines`` says how often, if it is not the usual pace. ``due`` may be shared with other
        logs."""
        self._logs = logs
        self._volumes = volumes
        self._pace = choose_pace(lines)
        self._due = DueCheckpoints(world) if due is None else due

    def close(self) -> None:
        """Begin nothing any more, and wait some seconds for what has begun."""
        self._due.close()

    # --- VolumeListener ------------------------------------------------------------

    def take_lines(self, volume_id: str, lines: Sequence[NumberedLine]) -> None:
        """Make the records of lines that were read known to this machine: nobody need fetch
        them."""
        state = self._logs.open(volume_id).known.state
        packs = self._volumes.data.finder.packs
        for number, line in lines:
            row = state.packs.packs.get(name_line(volume_id, number)) if state else None
            data = encode_line(line)
            if row is None or row.pack.length != len(data):
                continue
            pack = to_named(row.pack)
            try:
                footer = walk_records(data, pack.footer, pack.records)
            except DamagedObjectError:
                continue  # Whoever reads its objects is told.
            packs.keep(pack, data)
            self._volumes.data.finder.put_rows(pack, footer)

    def on_moved(self, volume_id: str, *, is_ours: bool) -> None:
        kept = CheckpointedVolume(self, self._logs, volume_id, self._pace)
        self._due.look(kept, is_ours=is_ours)

    # --- one checkpoint ------------------------------------------------------------

    def keep(self, volume_id: str) -> None:
        """Make the checkpoint of a volume after the newest line that is known, and first what the
        checkpoint refers to. VolfsError."""
        follower, checkpoints, watch = self._logs.open_whole(volume_id)
        kept, known = checkpoints.newest.kept, follower.known  # In this order: kept is not newer.
        state = known.state
        if state is None or state.is_deleted or known.number <= checkpoints.newest.number:
            return
        watch.unsaved = 0
        kept = self._keep_pieces(volume_id, state, self._keep_blocks(volume_id, state, kept))
        tail = VolumeView(volume_id, state, Beside(kept=kept)).list_tail()
        if max(known.number + 1 - kept.indexed, len(tail)) >= self._pace.lines:
            kept = self._keep_newest(volume_id, state, self._keep_places(volume_id, state, kept))
        reached("checkpoint.begun")
        checkpoints.write(known, kept)
        reached("checkpoint.stored")
        checkpoints.remember(known)

    def _keep_blocks(self, volume_id: str, state: VolumeState, kept: Kept) -> Kept:
        """Put the history segments of blocks that have become full."""
        while (block := find_next_block(state, kept.history)) is not None:
            rows = self._list_rows(volume_id, state, kept, block)
            self._logs.history.put_block(volume_id, block, rows)
            kept = kept._replace(history=block + 1, newest="")
        return kept

    def _keep_newest(self, volume_id: str, state: VolumeState, kept: Kept) -> Kept:
        """Put a history segment of the block of the head, as far as it goes."""
        rows = self._list_rows(volume_id, state, kept, state.versions.head // BLOCK_SIZE)
        return kept._replace(newest=self._logs.history.put_newest(volume_id, rows))

    def _list_rows(
        self, volume_id: str, state: VolumeState, kept: Kept, block: int
    ) -> list[HistoryRow]:
        if kept.newest:
            self._logs.history.load_newest(volume_id, kept.newest, block)
        rows = []
        for version in sorted(state.versions.iter_block(block)):
            row = state.versions.known[version]
            content = self._load_manifest(volume_id, row.manifest)
            rows.append(HistoryRow(version, row.line, row.manifest, content))
        return rows

    def _load_manifest(self, volume_id: str, oid: Oid) -> bytes:
        """A manifest, or nothing if it cannot be read."""
        content = self._logs.history.find_manifest(oid)
        if content is not None:
            return content
        try:
            return bytes(self._volumes.open(volume_id).objects.load_object(oid))
        except DataError:
            return b""

    def _keep_pieces(self, volume_id: str, state: VolumeState, kept: Kept) -> Kept:
        """Put pieces of the table of packs, until few packs are in none."""
        worn = list_worn_pieces(state, kept)
        pieces = {name: rows for name, rows in kept.pieces.items() if name not in worn}
        kept = kept._replace(pieces=pieces)
        checkpoints = self._logs.open_whole(volume_id).checkpoints
        while rows := find_next_piece(state, kept):
            name = checkpoints.put_piece(rows)
            kept = kept._replace(pieces={**kept.pieces, name: rows})
        return kept

    def _keep_places(self, volume_id: str, state: VolumeState, kept: Kept) -> Kept:
        """Put index segments, so that they have the places of all objects."""
        view = VolumeView(volume_id, state, Beside(kept=kept))
        try:
            segments = self._volumes.data.segments.cover_tail(volume_id, view)
        except DataError as error:
            log.info("%s: no index segment: %s", volume_id, error)
            return kept
        return kept._replace(
            merged=tuple(map(to_logged_segment, segments)),
            indexed=state.number + 1,
            named=len(state.segments),
        )
