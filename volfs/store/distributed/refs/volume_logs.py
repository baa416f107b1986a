"""The logs of volumes, by the volumes' ids. What is known of them is in the memory of this
process."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from volfs.buckets.access import Bucket
from volfs.errors import NotFoundError
from volfs.model.logs.volume_changes import VolumeChange
from volfs.model.logs.volume_log import VolumeState
from volfs.model.objects import Buffer
from volfs.store.distributed.log.follower import Follower, KnownLog
from volfs.store.distributed.log.log import Log
from volfs.store.distributed.place.object_keys import is_volume_id, volume_log
from volfs.store.distributed.refs.log_rules import VOLUME_RULES

VolumeFollower = Follower[VolumeState | None, VolumeChange]


class VolumeLogs:
    """The logs of a store's volumes. Thread-safe. Each log is there once in a process."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self._lock = threading.Lock()
        self._followers: dict[str, VolumeFollower] = {}

    def open(self, volume_id: str) -> VolumeFollower:
        """The log of a volume, whether or not there is one. NotFoundError if no volume can have
        the id."""
        with self._lock:
            if volume_id not in self._followers:
                if not is_volume_id(volume_id):
                    raise NotFoundError(_describe_gone(volume_id))
                log = Log(self._bucket, volume_log(volume_id))
                self._followers[volume_id] = Follower(log, VOLUME_RULES)
            return self._followers[volume_id]

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
        """The newest state that is known without a request, if any is. NotFoundError."""
        return require(volume_id, self.open(volume_id).known.state)

    def begin(
        self, volume_id: str, changes: Sequence[VolumeChange], records: Buffer, era: int = 0
    ) -> bool:
        """Write the first line of a log. False if there is one already."""
        nothing: KnownLog[VolumeState | None] = KnownLog(None)
        return self.open(volume_id).propose(nothing, changes, records, era) is not None

    def forget_all(self) -> None:
        """Read every log anew when it is asked for: a repair has changed how logs are read."""
        with self._lock:
            kept = {id_: each for id_, each in self._followers.items() if each.log.doubts}
            self._followers = kept

    def _forget(self, volume_id: str) -> None:
        """Remember nothing of a volume that is not there, unless it is in doubt."""
        with self._lock:
            if volume_id in self._followers and not self._followers[volume_id].log.doubts:
                del self._followers[volume_id]


def require(volume_id: str, state: VolumeState | None) -> VolumeState:
    """The state of a living volume. NotFoundError."""
    if state is None or state.is_deleted:
        raise NotFoundError(_describe_gone(volume_id))
    return state


def _describe_gone(volume_id: str) -> str:
    return f"{volume_id}: no such volume: it was deleted"
