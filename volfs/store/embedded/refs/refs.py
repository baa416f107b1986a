"""Volumes: records, names, version tables and heads. Rows: docs/format.md.

Functions that create a volume or move a head take part in the caller's transaction, so that one
transaction makes the objects reachable and changes the ref.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from typing import NamedTuple

import msgspec

from volfs.errors import AlreadyExistsError, DamagedObjectError, HeadMovedError, NotFoundError
from volfs.model.names import MAIN, join_name
from volfs.model.objects import OID_SIZE, Oid
from volfs.model.text import from_stored, to_stored
from volfs.store.checked_lmdb.environment import LmdbEnvironment, Table, Transaction
from volfs.store.contract.refs import Head, VolumeRecord, describe_missing
from volfs.store.embedded.refs.name_log import NameLog, Naming
from volfs.store.holds import PREFIX_SIZE

_HEAD = struct.Struct(f"<Q{OID_SIZE}s")
_VERSION = struct.Struct(">Q")
VERSION_SIZE = _VERSION.size
"""Bytes of the version number at the end of a version's key."""
KEY_MAX = 500
"""The most bytes of a key here. LMDB takes no fewer."""
_NEWEST = (1 << 64) - 1
_BATCH = 256
TAGS = b"tags"
TAGGED = struct.Struct("<Q")
"""The row of a tag: the version that it names."""

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(VolumeRecord)


class Creation(NamedTuple):
    """A volume to be added, with its versions from 0 on."""

    record: VolumeRecord
    manifests: tuple[Oid, ...]
    source: tuple[str, int] | None = None
    """For a fork: the id and the version of the forked volume, which must be there."""


class HeadMove(NamedTuple):
    """A head that becomes ``new``, if it is ``expected`` and the versions ``shares`` are there."""

    volume_id: str
    expected: Head
    new: Head
    shares: Collection[int] = ()


class RefRows:
    """The rows of volumes, names, versions and heads. Thread-safe. Each call reads LMDB."""

    def __init__(self, environment: LmdbEnvironment, log: NameLog) -> None:
        self._environment = environment
        self.log = log
        self._volumes: Table = environment.open_table(b"volumes")
        self._names: Table = environment.open_table(b"names")
        self._heads: Table = environment.open_table(b"heads")
        self._versions: Table = environment.open_table(b"versions")
        self._tags: Table = environment.open_table(TAGS)

    # --- volumes ---------------------------------------------------------

    def get_volume(self, name: str, environment: str) -> VolumeRecord:
        with self._environment.read() as txn:
            return self.find_in(txn, name, environment)

    def find_volume_by_id(self, volume_id: str) -> VolumeRecord | None:
        with self._environment.read() as txn:
            row = txn.get(volume_id.encode(), db=self._volumes)
        return None if row is None else _decode_record(row)

    def list_volumes(self) -> list[VolumeRecord]:
        with self._environment.read() as txn:
            records = [_decode_record(row) for _, row in txn.list_all(self._volumes)]
        return sorted(records, key=lambda record: (-record.created_ns, record.name))

    def recover(self, txn: Transaction, record: VolumeRecord, versions: Collection[Head]) -> None:
        """Add a volume with these versions. The newest one is the head.

        AlreadyExistsError if the name or the id is taken.
        """
        self._check_free(txn, record)
        key = record.id.encode()
        if not txn.put(key, encode_record(record), overwrite=False, db=self._volumes):
            raise AlreadyExistsError(f"volume {record.id}: already exists")
        txn.put(name_key(record), key, db=self._names)
        for head in sorted(versions):
            self._set_head(txn, record.id, head)

    def rename_volume(self, old: str, new: str, environment: str, to: str) -> None:
        with self._environment.write() as txn:
            record = self.find_in(txn, old, environment)
            self._rename(txn, record, msgspec.structs.replace(record, name=new, environment=to))

    def rename_environment(self, old: str, new: str) -> None:
        with self._environment.write() as txn:
            for _, row in txn.list_all(self._volumes):
                record = _decode_record(row)
                if record.environment == old:
                    self._rename(txn, record, msgspec.structs.replace(record, environment=new))

    def _rename(self, txn: Transaction, old: VolumeRecord, new: VolumeRecord) -> None:
        self._check_free(txn, new)
        key = old.id.encode()
        txn.put(key, encode_record(new), db=self._volumes)
        txn.delete(name_key(old), db=self._names)
        txn.put(name_key(new), key, db=self._names)
        self.log_name(txn, naming_of(new))

    def delete(self, txn: Transaction, record: VolumeRecord) -> None:
        """Remove all rows of a volume."""
        key = record.id.encode()
        txn.delete(name_key(record), db=self._names)
        txn.delete(key, db=self._volumes)
        txn.delete(key, db=self._heads)
        for table in (self._versions, self._tags):
            with txn.cursor(table) as cursor:
                while cursor.set_range(key + b"/") and cursor.key().startswith(key + b"/"):
                    cursor.delete()
        self.log_name(txn, Naming(record.id), is_removal=True)

    def find_in(self, txn: Transaction, name: str, environment: str) -> VolumeRecord:
        """The record of a volume, as of the transaction. NotFoundError."""
        said = join_name(environment, name)
        key = to_stored(said).encode()
        is_possible = "/" not in name + environment and 0 < len(key) <= KEY_MAX
        volume_id = txn.get(key, db=self._names) if is_possible else None
        if volume_id is None:
            raise NotFoundError(describe_missing(name, environment))
        row = txn.get(volume_id, db=self._volumes)
        if row is None:
            raise DamagedObjectError(f"volume {said}: its record {volume_id.decode()} is missing")
        return _decode_record(row)

    def _check_free(self, txn: Transaction, record: VolumeRecord) -> None:
        if txn.get(name_key(record), db=self._names) is not None:
            raise AlreadyExistsError(f"volume {record.full_name}: already exists")

    # --- versions --------------------------------------------------------

    def get_head(self, volume_id: str) -> Head:
        with self._environment.read() as txn:
            return self._get_head(txn, volume_id)

    def _get_head(self, txn: Transaction, volume_id: str) -> Head:
        row = txn.get(volume_id.encode(), db=self._heads)
        if row is None:
            raise NotFoundError(f"{volume_id}: no such volume: it was deleted")
        return _decode_head(volume_id.encode(), row)

    def find_version(self, volume_id: str, version: int) -> Oid | None:
        if not 0 <= version <= _NEWEST:
            return None
        with self._environment.read() as txn:
            return self.find_version_in(txn, volume_id, version)

    def find_version_in(self, txn: Transaction, volume_id: str, version: int) -> Oid | None:
        row = txn.get(version_key(volume_id, version), db=self._versions)
        return None if row is None else Oid(row)

    def iter_versions(self, volume_id: str) -> Iterator[Head]:
        """Newest first, in short transactions. Versions that are published meanwhile do not
        appear."""
        below = _NEWEST
        while heads := self._read_versions(volume_id, below):
            yield from heads
            below = heads[-1].version

    def _read_versions(self, volume_id: str, below: int) -> list[Head]:
        first = version_key(volume_id, 0)
        with self._environment.read() as txn, txn.cursor(self._versions) as cursor:
            found = cursor.set_range(version_key(volume_id, below))
            if not (cursor.prev() if found else cursor.last()):
                return []
            rows = zip(range(_BATCH), cursor.iterprev(), strict=False)
            return [_decode_version(key, row) for _, (key, row) in rows if key >= first]

    def change(self, txn: Transaction, change: Creation | HeadMove) -> Oid:
        """Create a volume or move a head. Returns the manifest that can be reached from now on.

        HeadMovedError if the head is not the expected one; AlreadyExistsError as for ``recover``;
        NotFoundError if the volume, or a version that has to be there, is gone.
        """
        if isinstance(change, HeadMove):
            return self._move_head(txn, change)
        if change.source is not None:
            volume_id, version = change.source
            self.check_versions(txn, volume_id, (version,))
        self.recover(txn, change.record, [Head(*item) for item in enumerate(change.manifests)])
        return change.manifests[-1]

    def _move_head(self, txn: Transaction, move: HeadMove) -> Oid:
        volume_id, expected, new, shares = move
        head = self._get_head(txn, volume_id)
        if head != expected:
            raise HeadMovedError(
                f"volume {volume_id} is at version {head.version}, not {expected.version}"
            )
        self.check_versions(txn, volume_id, shares)
        self._set_head(txn, volume_id, new)
        return new.manifest

    def remove_versions(
        self, txn: Transaction, volume_id: str, versions: Collection[int]
    ) -> list[int]:
        """Take versions out of the history, except the head. Returns those that were there.
        NotFoundError."""
        head = self._get_head(txn, volume_id)
        removed = [
            version
            for version in sorted(set(versions) - {head.version})
            if txn.delete(version_key(volume_id, version), db=self._versions)
        ]
        if removed[:1] == [0]:
            self._log_original(txn, volume_id)
        return removed

    def list_held(
        self, txn: Transaction, volume_id: str, versions: Collection[int], held: Collection[bytes]
    ) -> list[int]:
        """The given versions that are there and whose manifests' ids begin with one of
        ``held``."""
        rows = ((v, txn.get(version_key(volume_id, v), db=self._versions)) for v in versions)
        return [version for version, row in rows if row and row[:PREFIX_SIZE] in held]

    def list_headless(self) -> list[str]:
        """Ids of volumes whose head is missing, or is not the newest of their versions."""
        with self._environment.read() as txn:
            return [volume_id for volume_id, _ in self._iter_headless(txn)]

    def mend_heads(self) -> int:
        """Set the heads of headless volumes to their newest versions. How many."""
        with self._environment.write() as txn:
            found = list(self._iter_headless(txn))
            for volume_id, newest in found:
                self._set_head(txn, volume_id, newest)
        return len(found)

    def mend_names(self, txn: Transaction) -> int:
        """If the rows of volumes are whole, make damaged rows of names again from them. How
        many."""
        damaged = txn.list_damaged(self._names)
        if not damaged or txn.list_damaged(self._volumes):
            return 0
        for name in damaged:
            txn.delete(name, db=self._names)
        for key, row in txn.list_all(self._volumes):
            txn.put(name_key(_decode_record(row)), key, db=self._names)
        return len(damaged)

    def _iter_headless(self, txn: Transaction) -> Iterator[tuple[str, Head]]:
        with txn.cursor(self._volumes) as cursor:
            ids = [key.decode() for key in cursor.iter_keys()]
        for volume_id in ids:
            newest = self._find_newest(txn, volume_id)
            if newest is not None and self.find_head(txn, volume_id) != newest:
                yield volume_id, newest

    def find_head(self, txn: Transaction, volume_id: str) -> Head | None:
        """The head of a volume. None if it is missing or damaged."""
        try:
            return self._get_head(txn, volume_id)
        except (NotFoundError, DamagedObjectError):
            return None

    def _find_newest(self, txn: Transaction, volume_id: str) -> Head | None:
        """The newest version of a volume. None if its row is damaged, because then nothing is
        certain."""
        with txn.cursor(self._versions) as cursor:
            found = cursor.set_range(version_key(volume_id, _NEWEST))
            if not (cursor.prev() if found else cursor.last()):
                return None
            if not cursor.key().startswith(f"{volume_id}/".encode()):
                return None
            with suppress(DamagedObjectError):
                return _decode_version(*cursor.item())
        return None

    def iter_manifests(self, txn: Transaction) -> Iterator[tuple[str, Oid]]:
        """The manifests of every version and every head of every volume, each with the volume's
        id."""
        with txn.cursor(self._versions) as versions:
            for key, row in versions:
                yield _decode_volume_id(key.partition(b"/")[0]), Oid(row)
        with txn.cursor(self._heads) as heads:
            for key, row in heads:
                yield _decode_volume_id(key), _decode_head(key, row).manifest

    def check_versions(self, txn: Transaction, volume_id: str, versions: Collection[int]) -> None:
        """NotFoundError for the first of the versions that is not there."""
        for version in versions:
            if txn.get(version_key(volume_id, version), db=self._versions) is None:
                raise NotFoundError(f"volume {volume_id}: version {version} is not there any more")

    def is_there(self, txn: Transaction, volume_id: str, version: int) -> bool:
        """Whether a version is there. Its row may be damaged."""
        return txn.raw.get(version_key(volume_id, version), db=self._versions.raw) is not None

    def _set_head(self, txn: Transaction, volume_id: str, head: Head) -> None:
        txn.put(version_key(volume_id, head.version), head.manifest, db=self._versions)
        txn.put(volume_id.encode(), _HEAD.pack(*head), db=self._heads)

    # --- the name log ----------------------------------------------------

    def log_name(self, txn: Transaction, naming: Naming, *, is_removal: bool = False) -> None:
        """Write a naming to the log. This is the last step of a transaction that gives a name or a
        tag, or ``takes`` it away."""
        self.log.add(naming, self.iter_namings(txn), is_removal=is_removal)

    def _log_original(self, txn: Transaction, volume_id: str) -> None:
        """Log the volume's name, because version 0 is being removed, which alone told the name
        given at creation."""
        row = txn.get(volume_id.encode(), db=self._volumes)
        if row is not None:
            self.log_name(txn, naming_of(_decode_record(row)), is_removal=True)

    def log_all_names(self, txn: Transaction, gone: Iterable[str] = ()) -> bool:
        """Rewrite the log to say what the index says, in few lines, and which volumes were
        deleted.

        False if rows are damaged, because of those the log may say more than the index.
        """
        if txn.list_damaged(self._volumes) or txn.list_damaged(self._tags):
            return False
        self.log.replace((*self.iter_namings(txn), *map(Naming, gone)))
        return True

    def iter_namings(self, txn: Transaction) -> Iterator[Naming]:
        """All names and tags that can be read."""
        for row in txn.iter_rows(self._volumes):
            if not isinstance(row, str):
                yield naming_of(_decode_record(row[1]))
        for row in txn.iter_rows(self._tags):
            if not isinstance(row, str):
                yield decode_tag(*row)


def encode_record(record: VolumeRecord) -> bytes:
    """The row of a volume. For ``main`` it names no environment, as rows from before
    environments."""
    fields = msgspec.structs.asdict(record) | {"created_by": to_stored(record.created_by)}
    if record.environment == MAIN:
        del fields["environment"]
    return _encoder.encode(fields)


def name_key(record: VolumeRecord) -> bytes:
    """The key of the row of a volume's name."""
    return record.full_name.encode()


def naming_of(record: VolumeRecord) -> Naming:
    """The naming of a volume, for the name log."""
    return Naming(record.id, name=record.name, environment=record.environment)


def decode_tag(key: bytes, row: bytes) -> Naming:
    """Decode the row of a tag. DamagedObjectError."""
    volume_id, _, tag = key.decode().partition("/")
    if len(row) != TAGGED.size:
        raise DamagedObjectError(f"tag {tag}: {len(row)} bytes")
    return Naming(volume_id, tag=tag, version=TAGGED.unpack(row)[0])


def version_key(volume_id: str, version: int) -> bytes:
    return volume_id.encode() + b"/" + _VERSION.pack(version)


def _decode_volume_id(key: bytes) -> str:
    try:
        return key.decode()
    except ValueError as error:
        raise DamagedObjectError(f"volume {key!r}: no id: {error}") from error


def _decode_head(key: bytes, row: bytes) -> Head:
    if len(row) != _HEAD.size:
        raise DamagedObjectError(f"volume {key!r}: its head has {len(row)} bytes")
    version, manifest = _HEAD.unpack(row)
    return Head(version, Oid(manifest))


def _decode_version(key: bytes, row: bytes) -> Head:
    return Head(_VERSION.unpack(key[-_VERSION.size :])[0], Oid(row))


def _decode_record(row: bytes) -> VolumeRecord:
    try:
        record = _decoder.decode(row)
        return msgspec.structs.replace(record, created_by=from_stored(record.created_by))
    except ValueError as error:
        raise DamagedObjectError(f"volume record: {error}") from error
