"""The volumes that a process uses: for each, its log, its objects and its publisher."""

from __future__ import annotations

import threading
from typing import NamedTuple

from volfs.store.distributed.data.bucket_data import BucketData
from volfs.store.distributed.data.bucket_objects import BucketObjects
from volfs.store.distributed.data.bucket_upload import BucketUpload
from volfs.store.distributed.refs.volume_logs import VolumeLogs
from volfs.store.distributed.refs.volume_publisher import GcFacts, VolumePublisher
from volfs.store.distributed.refs.volume_view import VolumeBook
from volfs.system.world import World


class OpenVolume(NamedTuple):
    """One volume in this process."""

    book: VolumeBook
    objects: BucketObjects
    publisher: VolumePublisher


class OpenVolumes:
    """The volumes of a store in this process, by id. Thread-safe."""

    def __init__(self, logs: VolumeLogs, data: BucketData, facts: GcFacts, world: World) -> None:
        self.data = data
        self._logs = logs
        self._facts = facts
        self._world = world
        self._lock = threading.Lock()
        self._volumes: dict[str, OpenVolume] = {}

    def open(self, volume_id: str) -> OpenVolume:
        """A volume, whether or not it is there. NotFoundError if no volume can have the id."""
        follower, checkpoints, _ = self._logs.open_whole(volume_id)
        with self._lock:
            found = self._volumes.get(volume_id)
            # Nothing is remembered of a log that was not there, so another one may follow.
            if found is None or found.book.follower is not follower:
                book = VolumeBook(follower, volume_id, checkpoints)
                publisher = VolumePublisher(book, self._facts, self._world)
                found = OpenVolume(
                    book, self.data.objects_of(book, self._logs.history.find_manifest), publisher
                )
                self._volumes[volume_id] = found
            return found

    def open_upload(self, volume_id: str) -> BucketUpload:
        volume = self.open(volume_id)
        return volume.publisher.open_upload(self.data, volume.objects)
