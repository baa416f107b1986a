"""All objects of a store, by what they are: one listing of everything."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from volfs.buckets.access import Bucket, iter_objects
from volfs.buckets.objects import ObjectInfo
from volfs.store.distributed.place.object_keys import (
    FACTS,
    LEASES,
    LogPlace,
    catalog_log,
    find_note_name,
    find_pack_name,
    find_volume_id,
    gc_log,
    is_random_name,
    secrets_log,
    volume_home,
    volume_log,
)

ListedObjects = dict[str, ObjectInfo]


@dataclass
class LogObjects:
    """The objects of one log."""

    place: LogPlace
    lines: dict[int, ObjectInfo] = field(default_factory=dict)
    checkpoints: dict[int, ObjectInfo] = field(default_factory=dict)

    told: int = -1
    """A line that was there once, as something else tells."""

    @property
    def end(self) -> int:
        """The number of the last line, there or not; -1 if there never was one."""
        return max(self.told, max(self.lines, default=-1))

    def take(self, info: ObjectInfo) -> bool:
        """Take an object in, if it belongs to the log."""
        number = self.place.find_number(info.key)
        if number is not None:
            self.lines[number] = info
            return True
        number = self.place.find_checkpoint_number(info.key)
        if number is not None:
            self.checkpoints[number] = info
        return number is not None


@dataclass
class ObjectsOfVolume:
    """The objects of one volume."""

    log: LogObjects
    segments: ListedObjects = field(default_factory=dict)
    """By key, as all of these."""
    pieces: ListedObjects = field(default_factory=dict)
    histories: ListedObjects = field(default_factory=dict)

    def take(self, info: ObjectInfo, home: str) -> bool:
        if self.log.take(info):
            return True
        folder, _, name = info.key.removeprefix(home).partition("/")
        if folder in ("x", "p") and is_random_name(name):
            (self.segments if folder == "x" else self.pieces)[info.key] = info
        elif folder == "h" and _is_history_name(f"{home}h/", info.key):
            self.histories[info.key] = info
        else:
            return False
        return True


def _is_history_name(folder: str, key: str) -> bool:
    """Whether a key is that of a full block, which has a number, or of one that is not full."""
    is_full = LogPlace(folder, "").find_number(key) is not None
    return is_full or is_random_name(key.removeprefix(folder))


class Inventory:
    """What a listing of the whole store has found."""

    def __init__(self) -> None:
        self.has_facts = False
        self.catalog = LogObjects(catalog_log())
        self.gc = LogObjects(gc_log())
        self.secrets = LogObjects(secrets_log())
        self.volumes: dict[str, ObjectsOfVolume] = {}
        self.leases: dict[str, LogObjects] = {}
        """By the folder of their lines."""
        self.packs: ListedObjects = {}
        """By name."""
        self.notes: ListedObjects = {}
        self.unknown: list[ObjectInfo] = []
        self.newest_ns = 0
        """The store's time of the newest object."""

    def take(self, info: ObjectInfo) -> None:
        self.newest_ns = max(self.newest_ns, info.mtime_ns)
        if not self._take(info):
            self.unknown.append(info)

    def _take(self, info: ObjectInfo) -> bool:
        key = info.key
        if key == FACTS:
            self.has_facts = True
            return True
        if find_pack_name(key) is not None:
            self.packs[find_pack_name(key) or ""] = info
            return True
        if find_note_name(key) is not None:
            self.notes[key] = info
            return True
        if any(log.take(info) for log in (self.catalog, self.gc, self.secrets)):
            return True
        if key.startswith(LEASES):
            return self._take_lease(info)
        volume = find_volume_id(key)
        return volume is not None and self._open(volume).take(info, volume_home(volume))

    def _open(self, volume: str) -> ObjectsOfVolume:
        if volume not in self.volumes:
            self.volumes[volume] = ObjectsOfVolume(LogObjects(volume_log(volume)))
        return self.volumes[volume]

    def _take_lease(self, info: ObjectInfo) -> bool:
        folder = info.key.rpartition("/")[0] + "/"
        log = self.leases.get(folder) or LogObjects(LogPlace(folder, ""))
        if folder.count("/") != LEASE_DEPTH or not log.take(info):
            return False
        self.leases[folder] = log
        return True


LEASE_DEPTH = 3
"""Slashes in the folder of the lines of a lease."""


def take_inventory(bucket: Bucket) -> Inventory:
    """List everything. StoreError."""
    found = Inventory()
    for info in iter_objects(bucket):
        found.take(info)
    return found


def group_by_folder(objects: list[ObjectInfo]) -> dict[str, list[ObjectInfo]]:
    """Objects by the first part of their keys."""
    groups: dict[str, list[ObjectInfo]] = defaultdict(list)
    for info in objects:
        groups[info.key.partition("/")[0]].append(info)
    return groups
