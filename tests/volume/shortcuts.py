"""Small volumes in a line: what the tests of this room write and look at."""

from __future__ import annotations

import random
from typing import Any

from volfs.errors import HeadMovedError
from volfs.model.entry import Entry, FileKind
from volfs.model.manifest import Snapshot
from volfs.model.names import Path, join_path, parse_path
from volfs.model.tree import iter_entries
from volfs.store.contract.objects import Upload
from volfs.store.contract.refs import Head, VolumeRecord
from volfs.store.contract.store import Store
from volfs.volume.commit import CommitNote, Published
from volfs.volume.edit import Edit
from volfs.volume.history import load_manifest
from volfs.volume.version_reader import Reader, iter_content_bytes


def noise(size: int, seed: int = 0) -> bytes:
    """Bytes that do not compress, the same each time."""
    return random.Random(seed).randbytes(size)


def make_file(mode: int = 0o644, mtime_ns: int = 1_000_000_001) -> Entry:
    return Entry(b"new", FileKind.FILE, mode, mtime_ns=mtime_ns, ctime_ns=mtime_ns)


def put_bytes(edit: Edit, path: str, data: bytes) -> None:
    step = 1 << edit.volume.chunk_bits
    pieces = [data[at : at + step] for at in range(0, len(data), step)]
    edit.put(parse_path(path), edit.writer.write_stream(make_file(), pieces))


def publish_files(
    store: Store,
    volume: VolumeRecord,
    files: dict[str, bytes | None],
    note: CommitNote | None = None,
) -> Published:
    """One version that writes these files, and removes those that are None."""
    with Edit(store, volume) as edit:
        for path, data in files.items():
            if data is None:
                edit.remove(parse_path(path), recursive=True)
            else:
                put_bytes(edit, path, data)
        return edit.commit(note or CommitNote())


def head_snapshot(store: Store, volume: VolumeRecord) -> Snapshot:
    return load_manifest(
        store.objects_of(volume.id), store.refs.get_head(volume.id).manifest
    ).snapshot


def read_file(store: Store, volume: VolumeRecord, path: str) -> bytes:
    reader = Reader(store.objects_of(volume.id).load_object)
    entry = reader.get_path(head_snapshot(store, volume), parse_path(path))
    return b"".join(
        bytes(piece) for piece in iter_content_bytes(reader, store.objects_of(volume.id), entry)
    )


def list_paths(store: Store, volume: VolumeRecord) -> list[str]:
    """All paths of the newest version; directories end in a slash."""
    reader = Reader(store.objects_of(volume.id).load_object)

    def walk(entry: Entry, path: Path) -> list[str]:
        found = []
        for child in iter_entries(reader.get_tree, entry.tree):
            here = (*path, child.name)
            found.append(join_path(here).decode() + "/" * child.is_directory)
            if child.is_directory:
                found += walk(child, here)
        return found

    return walk(head_snapshot(store, volume).root, ())


class Interloper:
    """A store in which others publish right before our swap, as often as it is told."""

    def __init__(self, store: Store, *others: dict[str, bytes | None]) -> None:
        self._store = store
        self._others = list(others)
        self.attempts = 0
        self.refs = self

    def __getattr__(self, name: str) -> object:
        refs = self._store.refs
        return getattr(refs if hasattr(refs, name) else self._store, name)

    def publish(
        self, upload: Upload, volume_id: str, expected: Head, new: Head, **options: Any
    ) -> None:
        self.attempts += 1
        if self._others:
            record = self._store.refs.find_volume_by_id(volume_id)
            assert record is not None
            publish_files(self._store, record, self._others.pop(0))
        self._store.refs.publish(upload, volume_id, expected, new, **options)


class LostAnswer(Interloper):
    """A store whose swap lands, but says that the head had moved."""

    def publish(
        self, upload: Upload, volume_id: str, expected: Head, new: Head, **options: Any
    ) -> None:
        self.attempts += 1
        self._store.refs.publish(upload, volume_id, expected, new, **options)
        raise HeadMovedError("it was ourselves")
