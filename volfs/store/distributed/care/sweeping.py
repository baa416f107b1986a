"""What follows a verdict of gc (step G9): packs that came back are opened, doomed ones deleted.

All of it may be done twice, and by whoever comes next if a gc dies.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from volfs.buckets.access import Bucket
from volfs.errors import ObjectNotFoundError
from volfs.errors.fault_points import reached
from volfs.model.logs.gc_log import GcState
from volfs.model.logs.line import encode_line, make_slim
from volfs.model.logs.volume_changes import PacksAdopted, VolumeChange
from volfs.model.logs.volume_log import VolumeState
from volfs.model.progress import Report, report_bytes
from volfs.store.distributed.care.gc_roots import KnownVolume
from volfs.store.distributed.data.bucket_packs import BucketPacks
from volfs.store.distributed.data.volume_packs import find_key
from volfs.store.distributed.log.appending import decode_named
from volfs.store.distributed.log.log import Log
from volfs.store.distributed.refs.condemned_packs import find_condemned
from volfs.store.distributed.refs.volume_logs import VolumeLogs

DELETED_AT_ONCE = 1000


class Adoption(NamedTuple):
    """Packs that a line of gc has returned."""

    packs: frozenset[str]
    line: int


class Sweeper:
    """Carries out what the log of gc says."""

    def __init__(self, bucket: Bucket, logs: VolumeLogs, packs: BucketPacks, log: Log) -> None:
        self._bucket = bucket
        self._logs = logs
        self._packs = packs
        self._log = log

    # --- returned packs --------------------------------------------------------------

    def adopt_all(self, gc: GcState, volumes: dict[str, KnownVolume]) -> None:
        """Open what gc has returned, in every living volume that has closed it."""
        lines = sorted(set(gc.returned.values()))
        for line in lines:
            packs = frozenset(name for name, at in gc.returned.items() if at == line)
            for volume_id, known in volumes.items():
                if _list_closed(known.state, packs):
                    self.adopt(volume_id, Adoption(packs, line))

    def adopt(self, volume_id: str, adoption: Adoption) -> None:
        """Append ``adopted`` to a log, for those packs that are closed there, unless gc has
        condemned them again: then the fence of that line may come before or after this one."""
        follower = self._logs.open(volume_id)
        known = follower.refresh()
        while closed := _list_closed(known.state, adoption.packs):
            again = self.find_condemned_again(adoption.line, known.era)
            opened = tuple(name for name in closed if name not in again)
            if not opened:
                return
            changes: list[VolumeChange] = [PacksAdopted(opened, adoption.line)]
            if follower.propose(known, changes) is not None:
                reached("gc.adopted")
                return
            known = follower.known

    def find_condemned_again(self, line: int, era: int) -> Collection[str]:
        """The packs that gc has condemned after a line, up to an era."""
        return find_condemned(self._log, line, era)

    # --- doomed packs ----------------------------------------------------------------

    def delete_doomed(self, names: Collection[str], report: Report) -> None:
        """Delete packs that are doomed, and take the records of doomed lines away. StoreError."""
        lines = sorted(name for name in names if "/" in name)
        packs = sorted(name for name in names if "/" not in name)
        done, total = 0, len(names)
        for first in range(0, len(packs), DELETED_AT_ONCE):
            batch = packs[first : first + DELETED_AT_ONCE]
            self._bucket.delete_many([find_key(name) for name in batch])
            done += len(batch)
            report_bytes(report, done, total)
        for name in lines:
            self.slim(name)
            done += 1
            report_bytes(report, done, total)
        self._packs.forget_named(names)
        reached("gc.removed")

    def slim(self, name: str) -> None:
        """Write the slim form of a line over it. It has the same nonce and the same digest, so
        whoever reads it, or is in doubt about it, reads what was there."""
        key = find_key(name)
        try:
            line = decode_named(key, self._bucket.get(key)[1])
        except ObjectNotFoundError:
            return  # Somebody has deleted what nobody may delete; a check tells it.
        if line.records:
            self._bucket.put(key, encode_line(make_slim(line)))


def _list_closed(state: VolumeState | None, names: Collection[str]) -> list[str]:
    """Those of the packs that a living volume has closed."""
    if state is None or state.is_deleted:
        return []
    return sorted(name for name in names if state.packs.is_closed(name))
