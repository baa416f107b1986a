"""A store in a bucket with the least that the data path needs: a log of packs, and heads.

It stands in for the log of a volume and its publisher, which have rules of their own. Its lines are
real lines. What they say is an encoded list of packs, and a head.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from volfs.buckets.access import Bucket, iter_objects
from volfs.buckets.cache.disk_cache import DiskCache
from volfs.errors import DataError, HeadMovedError, ObjectExistsError, ObjectNotFoundError
from volfs.model.logs.line import NO_LINE, Line, decode_line, digest_line, encode_line
from volfs.model.objects import Kind, Oid
from volfs.model.segments.packs_named import NamedPack, name_line
from volfs.model.segments.segment import NamedSegment
from volfs.store.contract.care import Damage
from volfs.store.contract.objects import Upload
from volfs.store.contract.refs import Head, VolumeRecord
from volfs.store.distributed.data.bucket_data import BucketData, open_cached_packs
from volfs.store.distributed.data.bucket_objects import BucketObjects
from volfs.store.distributed.data.bucket_upload import BucketUpload, Shipment
from volfs.store.distributed.data.volume_packs import find_key

MIB = 1 << 20


class Said(msgspec.Struct):
    """What a line says: packs that are named, closed, gone; segments; a head."""

    packs: list[NamedPack] = []
    relies: list[str] = []
    closed: list[str] = []
    gone: list[str] = []
    segments: list[NamedSegment] = []
    covered: bool = False
    """Whether the segments have everything that was named before."""
    manifest: bytes = b""


def say(shipment: Shipment, manifest: bytes) -> Said:
    """What the line of a publication says."""
    packs, segments, relies, *_ = shipment
    return Said(list(packs), list(relies), segments=list(segments), manifest=manifest)


class StandInPacks:
    """``VolumePacks``."""

    def __init__(self) -> None:
        self.packs: dict[str, NamedPack] = {}
        self.tail: list[str] = []
        self.closed: set[str] = set()
        self.segments: list[NamedSegment] = []
        self.heads: list[Oid] = []

    def list_tail(self) -> Sequence[NamedPack]:
        return [self.packs[name] for name in self.tail if name in self.packs]

    def list_segments(self) -> Sequence[NamedSegment]:
        return self.segments

    def has_pack(self, name: str) -> bool:
        return name in self.packs

    def is_open(self, name: str) -> bool:
        return name in self.packs and name not in self.closed

    def apply(self, said: Said, line: NamedPack) -> None:
        if said.covered:
            self.tail = []
        for pack in [*said.packs, *([line] if line.records else [])]:
            self.packs[pack.name] = pack
        # A segment that comes with packs has all of them.
        tail = [] if said.segments else said.packs
        self.tail += [pack.name for pack in [*tail, *([line] if line.records else [])]]
        self.segments = said.segments if said.covered else [*self.segments, *said.segments]
        self.closed |= set(said.closed)
        for name in said.gone:
            self.packs.pop(name, None)
        if said.manifest:
            self.heads.append(Oid(said.manifest))


class StandInLog:
    """``VolumeLog``, and appending to it."""

    def __init__(self, bucket: Bucket, volume: str) -> None:
        self.bucket = bucket
        self.volume = volume
        self.known = StandInPacks()
        self.lines = 0
        self.refreshed = 0
        self._prev = NO_LINE
        self._lock = threading.RLock()

    @property
    def packs(self) -> StandInPacks:
        return self.known

    def refresh(self) -> StandInPacks:
        with self._lock:
            self.refreshed += 1
            try:
                while True:
                    _, data = self.bucket.get(self._key(self.lines))
                    self._take(bytes(data))
            except ObjectNotFoundError:
                return self.known

    def append(self, said: Said, records: bytes = b"", count: int = 0) -> tuple[NamedPack, bytes]:
        """HeadMovedError if the number is taken. Everything that is relied on must be open."""
        with self._lock:
            assert all(self.known.is_open(name) for name in said.relies), "relies on a closed pack"
            body = count.to_bytes(4, "little") + msgspec.msgpack.encode(said)
            data = encode_line(Line(os.urandom(16), self._prev, 1, body, records))
            try:
                self.bucket.put(self._key(self.lines), data, create=True)
            except ObjectExistsError as error:
                raise HeadMovedError("lost") from error
            return self._take(data), data

    def _take(self, data: bytes) -> NamedPack:
        line = decode_line(data)
        count = int.from_bytes(line.body[:4], "little")
        said = msgspec.msgpack.decode(line.body[4:], type=Said)
        name = name_line(self.volume, self.lines)
        pack = NamedPack(name, len(data), line.first_record, count)
        self.known.apply(said, pack)
        self.lines += 1
        self._prev = digest_line(line)
        return pack

    def _key(self, number: int) -> str:
        return find_key(name_line(self.volume, number))


class StandInStore:
    """One machine's handle on the store; ``local`` is what the machine has of it."""

    def __init__(self, bucket: Bucket, local: Path, *, cache: int = 256 * MIB) -> None:
        self.bucket = bucket
        self.local = local
        packs = open_cached_packs(bucket, DiskCache(local / "disk", cache))
        self.data = BucketData(bucket, local / "cache", packs)
        self.logs: dict[str, StandInLog] = {}
        self._objects: dict[str, BucketObjects] = {}
        self.refs = StandInRefs(self)
        self.care = StandInCare(self)

    def log_of(self, volume: str) -> StandInLog:
        if volume not in self.logs:
            self.logs[volume] = StandInLog(self.bucket, volume)
            self.logs[volume].refresh()
        return self.logs[volume]

    def objects_of(self, volume: str) -> BucketObjects:
        if volume not in self._objects:
            self._objects[volume] = self.data.objects_of(self.log_of(volume))
        return self._objects[volume]

    def open_upload(self, volume: str) -> BucketUpload:
        return self.data.open_upload(volume, self.log_of(volume), self.objects_of(volume))

    def write_segment(self, volume: str) -> NamedSegment:
        """Segments of all that there is, named by a line, as a checkpoint makes them. The
        last one."""
        log = self.log_of(volume)
        segments = self.data.segments.cover_tail(volume, log.packs)
        log.append(Said(segments=segments, covered=True))
        return segments[-1]

    def close(self) -> None:
        self.data.close()


class StandInRefs:
    def __init__(self, store: StandInStore) -> None:
        self._store = store

    def create_volume(self, record: VolumeRecord, manifest: bytes) -> None:
        with self._store.open_upload(record.id) as upload:
            oid = upload.put_object(Kind.MANIFEST, manifest)
            self._publish(upload, record.id, oid)

    def get_head(self, volume: str) -> Head:
        heads = self._store.log_of(volume).packs.heads
        return Head(len(heads) - 1, heads[-1])

    def publish(self, upload: Upload, volume: str, old: Head, new: Head) -> None:
        assert isinstance(upload, BucketUpload)
        upload.load_object(new.manifest)
        if self.get_head(volume) != old:
            raise HeadMovedError("moved")
        self._publish(upload, volume, new.manifest)

    def _publish(self, upload: BucketUpload, volume: str, manifest: Oid) -> None:
        shipment = upload.ship()
        said = say(shipment, manifest)
        log = self._store.log_of(volume)
        upload.arrive(*log.append(said, shipment.records, shipment.record_count))


class StandInCare:
    def __init__(self, store: StandInStore) -> None:
        self._store = store

    def iter_damage(self) -> Iterator[Damage]:
        """Every object of every volume that cannot be read, by a machine that knows nothing."""
        volumes = {info.key.split("/")[1] for info in iter_objects(self._store.bucket, "v/")}
        for volume in volumes:
            log = self._store.log_of(volume)
            log.refresh()
            for pack in log.packs.packs.values():
                for record in self._store.data.finder.load_footer(pack):
                    try:
                        self._store.objects_of(volume).load_object(record.oid)
                    except DataError as error:
                        yield Damage(record.oid, pack.name, str(error))
