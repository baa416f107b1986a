"""What a process knows of one volume, in the form that the data path asks for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from volfs.model.logs.volume_changes import LoggedPack, LoggedSegment
from volfs.model.logs.volume_log import VolumeState
from volfs.model.segments.packs_named import NamedPack
from volfs.model.segments.segment import NamedSegment
from volfs.store.distributed.place.object_keys import find_volume_id, segment_name
from volfs.store.distributed.refs.volume_logs import VolumeFollower, require


class VolumeView(NamedTuple):
    """A volume after one line of its log. ``data.volume_packs.VolumePacks``."""

    volume_id: str
    state: VolumeState | None
    """None before line 0."""

    @property
    def alive(self) -> VolumeState:
        """The state of the volume. NotFoundError if it was deleted, or is not there yet."""
        return require(self.volume_id, self.state)

    def list_tail(self) -> Sequence[NamedPack]:
        """All packs, also those that a segment has: the log does not say which
        segment has which pack."""
        if self.state is None:
            return []
        return [to_named(row.pack) for row in self.state.packs.list_oldest_first()]

    def list_segments(self) -> Sequence[NamedSegment]:
        return [] if self.state is None else [to_segment(each) for each in self.state.segments]

    def has_pack(self, name: str) -> bool:
        return self.state is not None and name in self.state.packs.packs

    def is_open(self, name: str) -> bool:
        return self.state is not None and self.state.packs.is_open(name)


class VolumeBook:
    """The log of one volume as this process knows it. ``data.volume_packs.VolumeLog``."""

    def __init__(self, follower: VolumeFollower, volume_id: str) -> None:
        self.volume_id = volume_id
        self.follower = follower

    @property
    def packs(self) -> VolumeView:
        return VolumeView(self.volume_id, self.follower.known.state)

    def refresh(self) -> VolumeView:
        return VolumeView(self.volume_id, self.follower.refresh().state)


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
