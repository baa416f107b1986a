"""The logs of volumes, by the volumes' ids. What is known of them is in the memory of this
process."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from functools import partial
from typing import NamedTuple

from volfs.buckets.access import Bucket
from volfs.errors import DamagedObjectError, NotFoundError
from volfs.model.logs.version_table import BLOCK_SIZE, HistoryMiss, VersionRow
from volfs.model.logs.volume_changes import VolumeChange
from volfs.model.logs.volume_log import VolumeState
from volfs.model.objects import Buffer
from volfs.store.distributed.checkpoints.framed_objects import FramedObjects
from volfs.store.distributed.checkpoints.machine_memory import MachineMemory
from volfs.store.distributed.checkpoints.volume_checkpoints import VolumeCheckpoints
from volfs.store.distributed.checkpoints.volume_history import Block, VolumeHistory
from volfs.store.distributed.log.appending import APPEND_SECONDS
from volfs.store.distributed.log.follower import Follower, KnownLog
from volfs.store.distributed.log.log import Log
from volfs.store.distributed.log.log_rules import volume_rules
from volfs.store.distributed.place.object_keys import is_volume_id, volume_log
from volfs.store.distributed.refs.volume_watch import VolumeListener, VolumeWatch

VolumeFollower = Follower[VolumeState | None, VolumeChange]

AHEAD = 8
"""The most history segments that are asked for at once."""
FEW = 16
"""So many of the newest manifests are read one by one; for more, there is a segment."""


class OpenLog(NamedTuple):
    """One volume's log in this process."""

    follower: VolumeFollower
    checkpoints: VolumeCheckpoints
    watch: VolumeWatch


class VolumeLogs:
    """The logs of a store's volumes. Thread-safe. Each log is there once in a process."""

    def __init__(
        self,
        bucket: Bucket,
        seconds: float = APPEND_SECONDS,
        memory: MachineMemory | None = None,
    ) -> None:
        self._bucket = bucket
        self._memory = memory
        self._seconds = seconds
        self._objects = FramedObjects(bucket)
        self.history = VolumeHistory(self._objects)
        self._listener: VolumeListener | None = None
        self._lock = threading.Lock()
        self._logs: dict[str, OpenLog] = {}

    def listen(self, listener: VolumeListener) -> None:
        """Tell somebody of what happens from now on."""
        with self._lock:
            self._listener = listener
            for known in self._logs.values():
                known.watch.listener = listener

    def open(self, volume_id: str) -> VolumeFollower:
        """The log of a volume, whether or not there is one. NotFoundError if no volume can have
        the id."""
        return self.open_whole(volume_id).follower

    def open_whole(self, volume_id: str) -> OpenLog:
        """As ``open``, with what lies beside the log."""
        with self._lock:
            if volume_id not in self._logs:
                if not is_volume_id(volume_id):
                    raise NotFoundError(_describe_gone(volume_id))
                self._logs[volume_id] = self._make(volume_id)
            return self._logs[volume_id]

    def _make(self, volume_id: str) -> OpenLog:
        log = Log(self._bucket, volume_log(volume_id), self._seconds)
        checkpoints = VolumeCheckpoints(self._objects, volume_id, self._memory)
        watch = VolumeWatch(volume_id, self.history)
        watch.listener = self._listener
        rules = volume_rules(volume_id)
        follower = Follower(log, rules, checkpoints.begin, watch, checkpoints.recall)
        return OpenLog(follower, checkpoints, watch)

    def find(self, volume_id: str) -> VolumeState | None:
        """The newest state of a volume. None if there is no such volume, or none any more."""
        try:
            state = self.open(volume_id).refresh().state
        except NotFoundError:
            return None
        if state is None:
            self._forget(volume_id)
        return None if state is None or state.is_deleted else state

    def get(self, volume_id: str) -> VolumeState:
        """As ``find``, but NotFoundError."""
        return require(volume_id, self.find(volume_id))

    def guess(self, volume_id: str) -> VolumeState:
        """The newest state that is known or remembered without a request, if any is.
        NotFoundError."""
        return require(volume_id, self.open(volume_id).guess.state)

    def seems_there(self, volume_id: str) -> bool:
        """Whether there is such a volume. If this process has not read the volume's log, what this
        machine remembers is believed, because whoever uses the volume reads the log first."""
        follower = self.open(volume_id)
        state = follower.guess.state if follower.is_recalled else self.find(volume_id)
        return state is not None and not state.is_deleted

    def begin(
        self, volume_id: str, changes: Sequence[VolumeChange], records: Buffer, era: int = 0
    ) -> bool:
        """Write the first line of a log. False if there is one already."""
        nothing: KnownLog[VolumeState | None] = KnownLog(None)
        return self.open(volume_id).propose(nothing, changes, records, era) is not None

    def remember(self) -> None:
        """Let this machine remember what this process has read."""
        with self._lock:
            logs = list(self._logs.values())
        for follower, checkpoints, _ in logs:
            if follower.is_known and follower.known.state is not None:
                checkpoints.remember(follower.known)

    def forget_all(self) -> None:
        """Read every log anew when it is asked for: a repair has changed how logs are read."""
        if self._memory is not None:
            self._memory.forget()
        with self._lock:
            kept = {id_: each for id_, each in self._logs.items() if each.follower.log.doubts}
            self._logs = kept

    # --- versions ------------------------------------------------------------------

    def find_row(self, volume_id: str, state: VolumeState, version: int) -> VersionRow | None:
        """The row of a version. None if it is not there. A history segment is read if it has to
        be. DataError; StoreError."""
        try:
            return state.versions.find(version)
        except HistoryMiss as miss:
            row = self._load_block(volume_id, state, miss.block).get(version)
            return row or self._search_row(volume_id, state, version)

    def iter_rows(self, volume_id: str, state: VolumeState) -> Iterator[tuple[int, VersionRow]]:
        """The versions that are there, newest first, with their rows. Their manifests are at hand
        for whoever loads them soon. DataError; StoreError."""
        versions, ahead, loaded = state.versions, 1, dict[int, Block]()
        blocks = sorted(versions.there, reverse=True)
        for at, block in enumerate(blocks):
            if block in versions.unread and block not in loaded:
                wanted = [each for each in blocks[at : at + ahead] if each in versions.unread]
                reads = [partial(self._load_block, volume_id, state, each) for each in wanted]
                loaded = dict(zip(wanted, self._bucket.world.gather(reads), strict=True))
                ahead = min(2 * ahead, AHEAD)
            for count, version in enumerate(versions.iter_block(block)):
                if count == FEW and block not in versions.unread:
                    self._load_newest(volume_id, state)
                row = loaded[block].get(version) if block in loaded else versions.find(version)
                yield version, row or self._search_row(volume_id, state, version)

    def _load_block(self, volume_id: str, state: VolumeState, block: int) -> Block:
        """The versions of a block that is not in memory. Some may not be among them that have
        expired since."""
        found = self.history.find_block(volume_id, block)
        return self._read_blocks(volume_id, state).get(block, {}) if found is None else found

    def _search_row(self, volume_id: str, state: VolumeState, version: int) -> VersionRow:
        """The row of a version of which the segment was made when the version had expired."""
        row = self._read_blocks(volume_id, state)[version // BLOCK_SIZE].get(version)
        if row is None:
            raise DamagedObjectError(f"{volume_id}: no line has published version {version}")
        return row

    def _read_blocks(self, volume_id: str, state: VolumeState) -> dict[int, Block]:
        """All blocks of a state, from the lines of the log."""
        whole = self.open(volume_id).read_whole(state.number).state
        blocks: dict[int, dict[int, VersionRow]] = {}
        if whole is not None:
            for version, row in whole.versions.known.items():
                blocks.setdefault(version // BLOCK_SIZE, {})[version] = row
        for block in sorted(blocks, reverse=True):
            self.history.note_block(volume_id, block, blocks[block])
        return dict(blocks)

    def _load_newest(self, volume_id: str, state: VolumeState) -> None:
        """Learn the manifests of the block of the head, as far as a checkpoint has them."""
        beside = self.open_whole(volume_id).checkpoints.newest
        block = state.versions.head // BLOCK_SIZE
        if beside.kept.newest and beside.kept.history <= block:
            self.history.load_newest(volume_id, beside.kept.newest, block)

    # --- inside --------------------------------------------------------------------

    def _forget(self, volume_id: str) -> None:
        """Remember nothing of a volume that is not there, unless it is in doubt."""
        with self._lock:
            if volume_id in self._logs and not self._logs[volume_id].follower.log.doubts:
                del self._logs[volume_id]


def require(volume_id: str, state: VolumeState | None) -> VolumeState:
    """The state of a living volume. NotFoundError."""
    if state is None or state.is_deleted:
        raise NotFoundError(_describe_gone(volume_id))
    return state


def find_head(state: VolumeState) -> VersionRow:
    """The row of the head, which is always in memory."""
    row = state.versions.find(state.versions.head)
    assert row is not None, "a volume without a head"
    return row


def _describe_gone(volume_id: str) -> str:
    return f"{volume_id}: no such volume: it was deleted"
