"""What a process knows of one volume, in the form that the data path asks for."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from volfs.model.logs.volume_changes import LoggedPack, LoggedSegment
from volfs.model.logs.volume_log import VolumeState
from volfs.model.segments.packs_named import NamedPack
from volfs.model.segments.segment import NamedSegment
from volfs.store.distributed.checkpoints.log_checkpoints import NOTHING_BESIDE, Beside
from volfs.store.distributed.checkpoints.volume_checkpoints import VolumeCheckpoints
from volfs.store.distributed.place.object_keys import find_volume_id, segment_name
from volfs.store.distributed.refs.volume_logs import VolumeFollower, require


class VolumeView:
    """A volume after one line of its log, and what a checkpoint says of the objects beside the
    log. ``data.volume_packs.VolumePacks``. Immutable."""

    def __init__(
        self, volume_id: str, state: VolumeState | None, beside: Beside = NOTHING_BESIDE
    ) -> None:
        self.volume_id = volume_id
        self.state = state
        """None before line 0."""
        self.beside = beside

    @property
    def alive(self) -> VolumeState:
        """The state of the volume. NotFoundError if it was deleted, or is not there yet."""
        return require(self.volume_id, self.state)

    def list_packs(self) -> list[NamedPack]:
        """All packs, also those that a segment has, oldest first."""
        return self._list_from(0)

    def list_tail(self) -> Sequence[NamedPack]:
        return self._tail

    @cached_property
    def _tail(self) -> list[NamedPack]:
        return self._list_from(self.beside.kept.indexed)

    def _list_from(self, line: int) -> list[NamedPack]:
        if self.state is None:
            return []
        return [to_named(row.pack) for row in self.state.packs.list_oldest_first(line)]

    def list_segments(self) -> Sequence[NamedSegment]:
        return [to_segment(each) for each in self.list_logged_segments()]

    def list_logged_segments(self) -> list[LoggedSegment]:
        """The segments as a line names them."""
        kept = self.beside.kept
        return [*kept.merged, *(self.state.segments[kept.named :] if self.state else ())]

    def has_pack(self, name: str) -> bool:
        return self.state is not None and name in self.state.packs.packs

    def is_open(self, name: str) -> bool:
        return self.state is not None and self.state.packs.is_open(name)


class VolumeBook:
    """The log of one volume as this process knows it. ``data.volume_packs.VolumeLog``.
    Thread-safe."""

    def __init__(
        self,
        follower: VolumeFollower,
        volume_id: str,
        checkpoints: VolumeCheckpoints | None = None,
    ) -> None:
        self.volume_id = volume_id
        self.follower = follower
        self._checkpoints = checkpoints
        self._view: VolumeView | None = None

    @property
    def packs(self) -> VolumeView:
        return self._look(self.follower.guess.state)

    def refresh(self) -> VolumeView:
        state = self.follower.refresh().state
        if self._checkpoints is not None:
            self._checkpoints.renew(self.follower.log)
        return self._look(state)

    def _look(self, state: VolumeState | None) -> VolumeView:
        beside = self._checkpoints.newest if self._checkpoints is not None else NOTHING_BESIDE
        view = self._view
        if view is None or view.state is not state or view.beside is not beside:
            view = self._view = VolumeView(self.volume_id, state, beside)
        return view


def to_named(pack: LoggedPack) -> NamedPack:
    return NamedPack(pack.name, pack.length, pack.footer, pack.count)


def to_logged(pack: NamedPack) -> LoggedPack:
    return LoggedPack(pack.name, pack.length, pack.footer, pack.records)


def to_logged_segment(segment: NamedSegment) -> LoggedSegment:
    volume_id = find_volume_id(segment.key)
    assert volume_id is not None, segment.key
    name = segment.key.rpartition("/")[2]
    return LoggedSegment(volume_id, name, segment.length, segment.directory, segment.entries)


def to_segment(segment: LoggedSegment) -> NamedSegment:
    key = segment_name(segment.volume, segment.name)
    return NamedSegment(key, segment.length, segment.directory, segment.count)
