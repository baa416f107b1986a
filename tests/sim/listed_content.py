"""Content without trees: a manifest lists the ids of chunks, and machines that read and mark it.

A machine is the whole engine over the bucket of the simulation, with packs that are read each time.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from pathlib import Path

from tests.sim.plain_packs import open_plain_engine
from volfs.buckets.access import Bucket
from volfs.errors import MissingObjectError
from volfs.model.objects import Kind, Oid
from volfs.model.progress import report_nothing
from volfs.model.references import Reference
from volfs.store.contract.care import GcOptions, GcReport
from volfs.store.contract.objects import Objects
from volfs.store.contract.refs import Head, VolumeRecord
from volfs.store.distributed.care.bucket_collector import BucketCollector
from volfs.store.distributed.care.gc_parts import GcParts
from volfs.store.distributed.data.bucket_data import SPOOLS
from volfs.store.distributed.machine import CACHE

CHUNKS = [random.Random(number).randbytes(300 + number) for number in range(6)]
LARGE = [random.Random(f"large {number}").randbytes(140 << 10) for number in range(3)]
Content = tuple[bytes, ...]
STAMP = 16
"""Random bytes at the beginning of a manifest."""
AT_ONCE = GcOptions(0, 0)
"""gc without any grace: it takes everything that it may."""


def list_chunks(manifest: bytes) -> list[Oid]:
    return [Oid(manifest[at : at + 32]) for at in range(STAMP, len(manifest), 32)]


def make_record(volume: str) -> VolumeRecord:
    return VolumeRecord(volume, f"name {volume[-6:]}", 2, 20, 0, "sim")


class ListedLive:
    """``Live`` of a store of such content."""

    def __init__(self, machine: SimMachine) -> None:
        self._machine = machine
        self._oids: set[Oid] = set()

    def __contains__(self, oid: Oid) -> bool:
        return oid in self._oids

    def keep(self, volume_id: str, roots: Iterable[Reference]) -> None:
        objects = self._machine.objects_of(volume_id)
        for kind, oid in roots:
            self._keep(objects, oid)
            if kind is Kind.MANIFEST:
                for chunk in list_chunks(objects.load_object(oid)):
                    self._keep(objects, chunk)

    def _keep(self, objects: Objects, oid: Oid) -> None:
        if not objects.is_there(oid):
            raise MissingObjectError(f"object {oid.hex()} is missing")
        self._oids.add(oid)


class SimMachine:
    """One life of a machine."""

    def __init__(self, bucket: Bucket, directory: Path) -> None:
        self.engine = open_plain_engine(bucket, directory)
        self.refs = self.engine.refs
        self.leases = self.engine.leases
        self._directory = directory

    @property
    def parts(self) -> GcParts:
        engine = self.engine
        spools = self._directory / CACHE / SPOOLS
        finder = engine.volumes.data.finder
        return GcParts(engine.bucket, self.refs.logs, self.leases, finder, spools)

    def collect(
        self,
        options: GcOptions = AT_ONCE,
        collector: type[BucketCollector] = BucketCollector,
    ) -> GcReport:
        return collector(self.parts, ListedLive(self), options, report_nothing).run()

    def objects_of(self, volume: str) -> Objects:
        return self.engine.volumes.open(volume).objects

    def read(self, volume: str, manifest: Oid) -> Content:
        """The content of a version. DataError."""
        objects = self.objects_of(volume)
        return tuple(map(objects.load_object, list_chunks(objects.load_object(manifest))))

    def list_versions(self, volume: str) -> list[Head]:
        return list(self.refs.iter_versions(volume))

    def close(self) -> None:
        self.engine.close_parts()
