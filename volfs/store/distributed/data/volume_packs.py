"""What the data path asks of a volume's log, and the names of what the log names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from volfs.model.segments.packs_named import NamedPack
from volfs.model.segments.segment import NamedSegment
from volfs.store.distributed.place.object_keys import VOLUMES, pack_key, volume_log


class VolumePacks(Protocol):
    """The packs of a volume at one line of its log. Immutable.

    A line that has records counts as a pack (``NamedPack.is_line``).
    """

    def list_tail(self) -> Sequence[NamedPack]:
        """The packs that no segment has, oldest first."""

    def list_segments(self) -> Sequence[NamedSegment]:
        """The index segments, oldest first."""

    def has_pack(self, name: str) -> bool:
        """Whether the volume still has a pack of this name, open or closed."""

    def is_open(self, name: str) -> bool:
        """Whether something new may rely on the objects of a pack of this volume.

        A line is open only as long as gc takes no records away from it without closing it first.
        """


class VolumeLog(Protocol):
    """A volume's log, as this process knows it. Thread-safe."""

    @property
    def packs(self) -> VolumePacks:
        """The packs at the newest line that is known. Nothing is asked of the bucket."""

    def refresh(self) -> VolumePacks:
        """The packs at the end of the log, which is read now. StoreError."""


def find_key(name: str) -> str:
    """The key of a pack, of a line that has records, or of a segment, whose name is its key."""
    volume, _, number = name.partition("/")
    if not number:
        return pack_key(name)
    return name if name.startswith(VOLUMES) else volume_log(volume).lines + number


def as_pack(segment: NamedSegment) -> NamedPack:
    """A segment as something that is read like a pack."""
    return NamedPack(segment.key, segment.length, segment.directory, segment.entries)
