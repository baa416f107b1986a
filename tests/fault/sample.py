"""A small store with everything in it, and all that can be seen of one.

Several versions, tags, files of all sizes, hard links, a large directory, and a
dead mount's overlay with uncommitted changes.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from tests.harness.rig import Rig, describe
from tests.volume.shortcuts import noise
from volfs.errors import DamagedObjectError, VolfsError
from volfs.model.entry import Entry, FileKind
from volfs.model.names import parse_path
from volfs.model.tree import iter_entries
from volfs.sessions.facts import SessionFacts, encode_facts
from volfs.sessions.info import load_session
from volfs.store.contract.objects import Objects
from volfs.store.contract.refs import Head, VolumeRecord
from volfs.store.contract.store import Store
from volfs.store.registry import open_store
from volfs.vfs.inode import Directory
from volfs.volume.history import create_tag, load_manifest
from volfs.volume.version_reader import Reader, iter_content_bytes
from volfs.volume.volumes import create_volume

T = TypeVar("T")
SESSION = "data-0123456789ab"
SIZES = (0, 1, 1024, 1025, 4096, 20_000, 300_000)


def build_sample(path: Path) -> None:
    store = open_store(str(path), create=True)
    volume = create_volume(store, "data", chunk_bits=12)
    create_volume(store, "other")
    rig = open_rig(store, volume)
    _write_versions(rig, store, volume)
    _leave_overlay(rig)
    rig.close()
    store.close()


def open_rig(store: Store, volume: VolumeRecord) -> Rig:
    ticks = itertools.count(1_700_000_000_000_000_000)
    directory = Path(store.url) / "mounts" / SESSION
    rig = Rig(store, volume, directory, lambda: next(ticks))
    rig.strict = False
    return rig


def _write_versions(rig: Rig, store: Store, volume: VolumeRecord) -> None:
    rig.mkdir(parse_path("dir"))
    for size in SIZES:
        rig.write(parse_path(f"dir/{size}"), noise(size, size))
    rig.write(parse_path("text"), b"to be compressed " * 2000)
    rig.commit(message="one")
    rig.link(parse_path("text"), parse_path("dir/same"))
    rig.make(parse_path("link"), FileKind.SYMLINK, target=b"dir/1024")
    rig.write(parse_path("dir/300000"), b"changed", 100_000)
    rig.commit(message="two")
    create_tag(store.refs, volume, "second", store.refs.get_head(volume.id))
    rig.mkdir(parse_path("many"))
    for number in range(600):
        rig.make(parse_path(f"many/{number}"))
    rig.unlink(parse_path("dir/1025"))
    rig.commit(message="three")


def _leave_overlay(rig: Rig) -> None:
    rig.write(parse_path("new"), noise(9000, 9))
    rig.write(parse_path("dir/20000"), b"uncommitted", 5000)
    rig.rename(parse_path("dir/4096"), parse_path("moved"))
    rig.unlink(parse_path("dir/1"))
    rig.flush()
    facts = SessionFacts("vo", "data", "/mnt/data", 1, 3, 1, False, "")
    (rig.scratch.directory.parent / "session.json").write_bytes(encode_facts(facts))


class Observation:
    """What was seen, by what it is, and which of it was refused."""

    def __init__(self) -> None:
        self.seen: dict[str, object] = {}
        self.refused: list[str] = []

    def note(self, key: str, look: Callable[[], T]) -> T | None:
        """What ``look`` finds; None if it is refused, as volfs does that."""
        value = self._try(key, look)
        if value is not None:
            self.seen[key] = value
        return value

    def _try(self, key: str, look: Callable[[], T]) -> T | None:
        try:
            return look()
        except VolfsError as error:
            self.refused.append(f"{key}: {type(error).__name__}: {error}")
            return None

    def hold(self, key: str, make: Callable[[], T]) -> T | None:
        """As ``note`` of what is not to be compared."""
        return self._try(key, make)


def observe(path: Path) -> Observation:
    """Everything that can be read of a store, and of the overlay in it."""
    found = Observation()
    session = path / "mounts" / SESSION
    found.note("facts", lambda: _load_facts(session))
    store = found.hold("store", lambda: open_store(str(path)))
    if store is not None:
        _observe_refs(found, store)
    return found


def _load_facts(path: Path) -> tuple[object, ...]:
    facts = load_session(path)
    if not facts.volume_id:
        raise DamagedObjectError("session.json")
    return facts[2:11]


def _observe_refs(found: Observation, store: Store) -> None:
    found.note("volumes", store.refs.list_volumes)
    found.note("leases", store.leases.list_all)
    volume = found.note("volume", lambda: store.refs.get_volume("data"))
    if volume is None:
        return
    found.note("head", lambda: store.refs.get_head(volume.id))
    found.note("tags", lambda: store.refs.list_tags(volume.id))
    found.note("tag", lambda: dict(store.refs.list_tags(volume.id)).get("second"))
    for head in found.note("versions", lambda: list(store.refs.iter_versions(volume.id))) or ():
        found.note(f"{head.version} by number", lambda h=head: _find(store, volume, h))  # type: ignore[misc]
        _observe_version(found, store.objects_of(volume.id), head)
    rig = found.hold("overlay", lambda: open_rig(store, volume))
    if rig is not None:
        _observe_overlay(found, rig)


def _find(store: Store, volume: VolumeRecord, head: Head) -> bytes | None:
    return store.refs.find_version(volume.id, head.version)


def _observe_version(found: Observation, objects: Objects, head: Head) -> None:
    manifest = found.note(f"{head.version}", lambda: load_manifest(objects, head.manifest))
    if manifest is None:
        return
    reader = Reader(objects.load_object)
    below = [(f"{head.version}:", manifest.snapshot.root)]
    while below:
        path, entry = below.pop()
        children = found.note(path, lambda e=entry: list(iter_entries(reader.get_tree, e.tree)))  # type: ignore[misc]
        for child in children or ():
            here = f"{path}/{child.name!r}"
            full = found.note(
                f"{here} entry",
                lambda c=child: reader.resolve(manifest.snapshot, c),  # type: ignore[misc]
            )
            if child.is_directory:
                below.append((here, child))
            elif full is not None and full.kind == FileKind.FILE:
                found.note(here, lambda e=full: _digest(reader, objects, e))  # type: ignore[misc]


def _digest(reader: Reader, objects: Objects, entry: Entry) -> str:
    digest = hashlib.sha256()
    for piece in iter_content_bytes(reader, objects, entry):
        digest.update(piece)
    return digest.hexdigest()


def _observe_overlay(found: Observation, rig: Rig) -> None:
    below = [()]
    while below:
        path = below.pop()
        key = f"overlay:{path}"
        inode = found.hold(key, lambda p=path: rig.get(p))  # type: ignore[misc]
        if inode is None:
            continue
        found.note(f"{key} entry", lambda i=inode: describe(i.entry, i))  # type: ignore[misc]
        if isinstance(inode, Directory):
            names = found.note(key, lambda p=path: sorted(rig.list(p)))  # type: ignore[misc]
            below += [(*path, name) for name in names or ()]  # type: ignore[misc]
        elif inode.entry.kind == FileKind.FILE:
            found.note(key, lambda p=path: hashlib.sha256(rig.read(p)).hexdigest())  # type: ignore[misc]
