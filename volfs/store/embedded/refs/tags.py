"""Tags: names for versions of one volume. Rows: docs/format.md, "History"."""

from __future__ import annotations

from collections.abc import Mapping

from volfs.errors import AlreadyExistsError, NotFoundError
from volfs.model.names import is_tag_name
from volfs.store.checked_lmdb.environment import LmdbEnvironment, Table, Transaction
from volfs.store.contract.refs import Tag
from volfs.store.embedded.refs.name_log import NameLog, Naming
from volfs.store.embedded.refs.refs import TAGGED, TAGS, RefRows, decode_tag


class Tags:
    """The rows of tags. Thread-safe. Each call reads LMDB."""

    def __init__(self, environment: LmdbEnvironment, refs: RefRows, log: NameLog) -> None:
        self._environment = environment
        self._refs = refs
        self._log = log
        self._tags: Table = environment.open_table(TAGS)

    def put(self, volume_id: str, tag: str, version: int, *, move: bool) -> None:
        key = _key(volume_id, tag)
        with self._environment.write() as txn:
            self._refs.check_versions(txn, volume_id, (version,))
            # A tag that is moved may be damaged: naming its version again mends it.
            row = None if move else txn.get(key, db=self._tags)
            if row is not None and _decode(key, row) != version:
                raise AlreadyExistsError(f"tag {tag}: it names version {_decode(key, row)}")
            txn.put(key, TAGGED.pack(version), db=self._tags)
            self._refs.log_name(txn, Naming(volume_id, tag=tag, version=version))

    def list_all(self, volume_id: str) -> list[Tag]:
        with self._environment.read() as txn:
            return self.list_in(txn, volume_id)

    def list_in(self, txn: Transaction, volume_id: str) -> list[Tag]:
        """All tags of a volume, as of the transaction."""
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
        def delete(txn: Transaction) -> None:
            if not (is_tag_name(tag) and txn.delete(_key(volume_id, tag), db=self._tags)):
                raise NotFoundError(f"no tag {tag}")
            self._refs.log_name(txn, Naming(volume_id, tag=tag), is_removal=True)

        # The objects that the tag keeps may be what fills the disk.
        self._environment.free(delete)

    def recover(self, txn: Transaction, volume_id: str, tags: Mapping[str, int]) -> int:
        """Put the given tags that are not there, if their versions are there. How many were
        put."""
        count = 0
        for tag, version in tags.items():
            if self._refs.is_there(txn, volume_id, version):
                row = TAGGED.pack(version)
                count += txn.put(_key(volume_id, tag), row, overwrite=False, db=self._tags)
        return count

    def mend(self, txn: Transaction) -> int:
        """Put damaged tags again if the name log has them. How many were put. The others stay."""
        damaged = txn.list_damaged(self._tags)
        named = self._log.read_certain() if damaged else {}
        count = 0
        for key in damaged:
            volume_id, _, tag = key.decode(errors="replace").partition("/")
            version = named[volume_id].tags.get(tag) if volume_id in named else None
            if version is not None and self._refs.is_there(txn, volume_id, version):
                count += txn.put(key, TAGGED.pack(version), db=self._tags)
        return count


def _key(volume_id: str, tag: str) -> bytes:
    return f"{volume_id}/{tag}".encode()


def _decode(key: bytes, row: bytes) -> int:
    version = decode_tag(key, row).version
    assert version is not None
    return version
