"""The volume ``NAME.incoming``: what keeps the chunks of a version that is not complete yet.

Objects that no version needs are removed by gc, and objects that are not published are lost with
the process. So the chunks of a large version are published in a volume of their own, a savepoint
at a time. After an interruption they are there, and the replica's next upload relies on them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import islice

import msgspec

from volfs.errors import NotFoundError, VolumeInUseError
from volfs.model.entry import DIRECT_EXTENTS_MAX, Entry, Extent, FileKind
from volfs.model.manifest import encode_manifest
from volfs.model.objects import Oid
from volfs.store.clock import now_ns
from volfs.store.contract.refs import VolumeRecord
from volfs.store.contract.store import Store
from volfs.store.identity import derive_id
from volfs.volume.commit import CommitNote
from volfs.volume.edit import Edit
from volfs.volume.volumes import delete_volume, list_environments_of, make_first_version

_SUFFIX = ".incoming"
_NAME_MAX = 64


class IncomingVolume:
    """The savepoints of one replica."""

    def __init__(self, store: Store, replica: VolumeRecord) -> None:
        self._store = store
        self._replica = replica

    def open(self) -> Edit:
        """An edit of the volume, in whose upload chunks are put. The volume is made if need be."""
        record = self._find() or self._create()
        return Edit(self._store, record)

    def delete(self) -> None:
        """Delete the volume, if it is there, because the version is complete."""
        record = self._find()
        if record is not None:
            with suppress(NotFoundError, VolumeInUseError):
                delete_volume(self._store, record.name, environment=record.environment)

    def _find(self) -> VolumeRecord | None:
        return self._store.refs.find_volume_by_id(_make_id(self._replica.id))

    def _create(self) -> VolumeRecord:
        record = msgspec.structs.replace(
            self._replica,
            id=_make_id(self._replica.id),
            name=self._choose_name(),
            created_ns=now_ns(),
            auto_commit=None,
        )
        self._store.refs.create_volume(record, encode_manifest(make_first_version(record)))
        return record

    def _choose_name(self) -> str:
        """The replica's name with the suffix, or the id if a volume of its environment has that
        name."""
        name = self._replica.name[: _NAME_MAX - len(_SUFFIX)] + _SUFFIX
        is_taken = self._replica.environment in list_environments_of(self._store, name)
        return _make_id(self._replica.id) if is_taken else name


def save_chunks(edit: Edit, chunks: Sequence[Oid]) -> None:
    """Publish a savepoint: a directory of files that refer to the chunks, one byte of each."""
    directory = b"%d" % (edit.head.version + 1)
    for number, extents in enumerate(_cut(chunks)):
        file = Entry(b"new", FileKind.FILE, 0o600, size=len(extents), extents=extents)
        edit.put((directory, b"%d" % number), file)
    edit.commit(CommitNote("chunks of a version that is not complete"))


def _cut(chunks: Sequence[Oid]) -> Iterator[tuple[Extent, ...]]:
    extents = iter([Extent(1, oid, 0) for oid in chunks])
    return iter(lambda: tuple(islice(extents, DIRECT_EXTENTS_MAX)), ())


def _make_id(replica_id: str) -> str:
    """The id of the volume. It follows from the replica's, so that a later run finds it."""
    return derive_id("vo", "incoming", replica_id)
