"""The index of a store in a bucket, made again: what this machine knows of places.

The bucket's own index is its footers and segments, which a repair makes again. What a machine knows
is a cache. It is dropped here, and filled from the footers of all packs.
"""

from __future__ import annotations

from volfs.errors import DataError
from volfs.model.progress import Report, report_bytes
from volfs.model.segments.packs_named import NamedPack
from volfs.store.contract.care import RebuildReport
from volfs.store.distributed.data.bucket_data import BucketData
from volfs.store.distributed.mending.bucket_repair import RepairParts
from volfs.store.distributed.mending.inventory import take_inventory
from volfs.store.distributed.mending.pack_check import read_footer
from volfs.store.distributed.mending.volume_recovery import Recovery
from volfs.store.distributed.refs.volume_view import to_named


class Rebuilding:
    """Makes the places of one machine anew."""

    def __init__(self, parts: RepairParts) -> None:
        self._parts = parts
        self._data: BucketData = parts.volumes.data
        self._packs = self._objects = self._bytes = self._damaged = 0

    def run(self, report: Report) -> RebuildReport:
        """StoreError; UnsupportedFormatError."""
        self._data.forget_places()
        self._parts.logs.forget_all()
        packs = take_inventory(self._parts.bucket).packs
        total, done = sum(info.size for info in packs.values()), 0
        report_bytes(report, 0, total)
        for name, info in packs.items():
            self._learn(name, info.size)
            done += info.size
            report_bytes(report, done, total)
        return RebuildReport(
            self._packs,
            self._objects,
            self._bytes,
            self._damaged,
            refs_lost=Recovery(self._parts).has_lost_refs(),
        )

    def _learn(self, name: str, size: int) -> None:
        self._packs += 1
        self._bytes += size
        try:
            pack, footer = read_footer(self._parts.bucket, name, size)
        except DataError:
            self._damaged += 1
            return
        self._objects += len(footer)
        found: NamedPack = to_named(pack)
        self._data.finder.put_rows(found, footer)
