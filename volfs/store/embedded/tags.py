"""Tags: names for versions of one volume. Rows: docs/format.md, "History"."""

from __future__ import annotations

import struct

from volfs.errors import AlreadyExistsError, DamagedObjectError, NotFoundError
from volfs.store.base import Tag
from volfs.store.embedded.environment import Environment, Table, Transaction
from volfs.store.embedded.refs import TAGS, Refs

_VERSION = struct.Struct("<Q")


class Tags:
    """Thread-safe; reads LMDB each time."""

    def __init__(self, environment: Environment, refs: Refs) -> None:
        self._environment = environment
        self._refs = refs
        self._tags: Table = environment.open_table(TAGS)

    def put(self, volume_id: str, tag: str, version: int, *, move: bool) -> None:
        key = _key(volume_id, tag)
        with self._environment.write() as txn:
            self._refs.check_versions(txn, volume_id, (version,))
            # One that is moved may be damaged: naming its version again mends it.
            row = None if move else txn.get(key, db=self._tags)
            if row is not None and _decode(key, row) != version:
                raise AlreadyExistsError(f"tag {tag}: it names version {_decode(key, row)}")
            txn.put(key, _VERSION.pack(version), db=self._tags)

    def find(self, volume_id: str, tag: str) -> int | None:
        key = _key(volume_id, tag)
        with self._environment.read() as txn:
            row = txn.get(key, db=self._tags)
        return None if row is None else _decode(key, row)

    def list_all(self, volume_id: str) -> list[Tag]:
        with self._environment.read() as txn:
            return self.list_in(txn, volume_id)

    def list_in(self, txn: Transaction, volume_id: str) -> list[Tag]:
        """All of a volume, as of the transaction."""
        first = _key(volume_id, "")
        tags = []
        with txn.cursor(self._tags) as cursor:
            cursor.set_range(first)
            for key, row in cursor:
                if not key.startswith(first):
                    break
                tags.append(Tag(key[len(first) :].decode(), _decode(key, row)))
        return tags

    def delete(self, volume_id: str, tag: str) -> None:
        # No reserve: what it keeps may be what fills the disk.
        with self._environment.write(reserve=0) as txn:
            if not txn.delete(_key(volume_id, tag), db=self._tags):
                raise NotFoundError(f"no tag {tag}")


def _key(volume_id: str, tag: str) -> bytes:
    return f"{volume_id}/{tag}".encode()


def _decode(key: bytes, row: bytes) -> int:
    if len(row) != _VERSION.size:
        raise DamagedObjectError(f"tag {key.decode()}: {len(row)} bytes")
    return int(_VERSION.unpack(row)[0])
