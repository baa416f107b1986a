"""Damaged rows of ``versions`` and ``volumes``, made again if their content is certain.

A manifest names its volume, its version, and the manifest before it. The key of a damaged row is
not trusted by itself: if numbers are missing around it, the key may have been another one. Rows
whose content is not certain stay, for ``rebuild-index``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise

from msgspec.structs import replace

from volfs.errors import DamagedObjectError, DataError
from volfs.model.manifest import Manifest, decode_manifest
from volfs.model.names import MAIN, split_name
from volfs.model.objects import Oid
from volfs.store.checked_lmdb.checksum import CHECKSUM_SIZE
from volfs.store.checked_lmdb.environment import Transaction
from volfs.store.embedded.data.packs import Packs
from volfs.store.embedded.refs.refs import VERSION_SIZE, RefRows, encode_record, version_key
from volfs.store.origin import find_record

History = Mapping[int, Oid | None]
"""The manifests of a volume's versions, ascending. None for a version whose manifest is not
known."""


class RefMender:
    """Mends rows within one transaction, after all stored objects are indexed."""

    def __init__(self, packs: Packs, refs: RefRows) -> None:
        self._objects = packs.objects
        self._refs = refs
        self._volumes = packs.environment.open_table(b"volumes")
        self._names = packs.environment.open_table(b"names")
        self._versions = packs.environment.open_table(b"versions")

    def mend(self, txn: Transaction) -> int:
        """Mend what is certain. How many rows were made again."""
        return self._mend_versions(txn) + self._mend_volumes(txn)

    # --- versions --------------------------------------------------------

    def _mend_versions(self, txn: Transaction) -> int:
        damaged = txn.list_damaged(self._versions)
        volumes = {key[: -VERSION_SIZE - 1] for key in damaged}
        return sum(self._mend_history(txn, key.decode(errors="replace")) for key in volumes)

    def _mend_history(self, txn: Transaction, volume_id: str) -> int:
        before = dict(self._read_history(txn, volume_id))
        history = {v: oid or self._find_left(txn, volume_id, v) for v, oid in before.items()}
        head = self._refs.find_head(txn, volume_id)
        if head is not None and head.version == max(history, default=None):
            history[head.version] = history[head.version] or head.manifest
        history.update(self._walk(volume_id, history))
        mended = [(v, oid) for v, oid in history.items() if oid and not before[v]]
        for version, oid in mended:
            txn.put(version_key(volume_id, version), oid, db=self._versions)
        return len(mended)

    def _read_history(self, txn: Transaction, volume_id: str) -> Iterator[tuple[int, Oid | None]]:
        """The rows of one volume, by number. None for a damaged row."""
        start = version_key(volume_id, 0)
        prefix = start[:-VERSION_SIZE]
        with txn.cursor(self._versions) as cursor:
            keys = cursor.iter_keys() if cursor.set_range(start) else iter(())
            for key in keys:
                if not key.startswith(prefix):
                    return
                if len(key) == len(start):
                    yield int.from_bytes(key[len(prefix) :], "big"), self._find_oid(txn, key)

    def _find_oid(self, txn: Transaction, key: bytes) -> Oid | None:
        try:
            row = txn.get(key, db=self._versions)
        except DamagedObjectError:
            return None
        return None if row is None else Oid(row)

    def _find_left(self, txn: Transaction, volume_id: str, version: int) -> Oid | None:
        """The rest of a damaged row, if it names a manifest of just that version."""
        row = txn.raw.get(version_key(volume_id, version), b"", db=self._versions.raw)
        left = Oid(row[:-CHECKSUM_SIZE])
        return left if self._find_manifest(left, volume_id, version) else None

    def _walk(self, volume_id: str, history: History) -> Iterator[tuple[int, Oid]]:
        """The damaged rows that fill the numbers between two others. Parents tell them, from the
        upper one down."""
        damaged = {version for version, oid in history.items() if oid is None}
        known = [(version, oid) for version, oid in history.items() if oid is not None]
        for (low, _), (high, oid) in pairwise([(-1, Oid(b"")), *known]):
            if low + 1 < high and damaged.issuperset(range(low + 1, high)):
                yield from self._iter_below(volume_id, high, oid, low)

    def _iter_below(
        self, volume_id: str, high: int, oid: Oid, low: int
    ) -> Iterator[tuple[int, Oid]]:
        """The versions below ``high`` and above ``low``, as far as manifests tell them."""
        manifest = self._find_manifest(oid, volume_id, high)
        for version in range(high - 1, low, -1):
            if manifest is None:
                return
            parent = Oid(manifest.parent)
            manifest = self._find_manifest(parent, volume_id, version)
            if manifest is not None:
                yield version, parent

    def _find_manifest(self, oid: Oid, volume_id: str, version: int) -> Manifest | None:
        """A manifest. None if it cannot be read, or belongs to another version."""
        try:
            manifest = decode_manifest(self._objects.load_object(oid))
        except DataError:
            return None
        return manifest if (manifest.volume, manifest.version) == (volume_id, version) else None

    # --- volumes ---------------------------------------------------------

    def _mend_volumes(self, txn: Transaction) -> int:
        damaged = txn.list_damaged(self._volumes)
        return sum(self._mend_volume(txn, key) for key in damaged)

    def _mend_volume(self, txn: Transaction, key: bytes) -> bool:
        volume_id = key.decode(errors="replace")
        oid = self._find_oid(txn, version_key(volume_id, 0))
        manifest = self._find_manifest(oid, volume_id, 0) if oid else None
        record = find_record(manifest) if manifest else None
        name = self._find_name(txn, volume_id)
        if record is None or name is None:
            return False
        environment, alone = split_name(name)
        found = replace(record, name=alone, environment=environment or MAIN)
        return txn.put(key, encode_record(found), db=self._volumes)

    def _find_name(self, txn: Transaction, volume_id: str) -> str | None:
        """The name of a volume, from the row of the name, or from the log if that row is damaged,
        too.

        The environment is part of the name, as in the row.
        """
        for row in txn.iter_rows(self._names):
            if not isinstance(row, str) and row[1] == volume_id.encode():
                return row[0].decode()
        said = self._refs.log.read_certain().get(volume_id)
        if said is None or not said.name:
            return None
        return said.name if said.name.encode() in txn.list_damaged(self._names) else None
