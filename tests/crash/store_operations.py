"""What is done to a store, each operation with what comes of it in a plain model.

The model has the files of every version of every volume, and the tags. A version
that is equal to another by ``restore`` or ``fork`` has the very same dict of files.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from itertools import islice

from tests.crash.mount_life import Place, opened
from tests.crash.store_damage import damage_store
from tests.volume.shortcuts import publish_files
from volfs.model.names import join_path, parse_path
from volfs.model.objects import Oid
from volfs.model.retention import KeepRules
from volfs.model.tree import iter_entries
from volfs.store.contract.refs import Head, VolumeRecord
from volfs.store.contract.store import Store
from volfs.volume.expire import expire_versions
from volfs.volume.gc import collect_garbage
from volfs.volume.history import create_tag, get_version, load_manifest
from volfs.volume.leases import held_version
from volfs.volume.recovery import rebuild_store, repair_store
from volfs.volume.restore import restore_version
from volfs.volume.version_reader import Reader, iter_content_bytes
from volfs.volume.volumes import create_volume, delete_volume, fork_volume

NAMES = ("a", "b", "c", "d/a", "d/b")
SIZES = (10, 1024, 5000, 20_000)
FIRST = "v0"
CHUNK_BITS = 12
Files = dict[str, bytes]


@dataclass
class History:
    """A volume: the files of each version that is there, and which version a tag names."""

    versions: dict[int, Files]
    tags: dict[str, int] = field(default_factory=dict)

    @property
    def head(self) -> int:
        return max(self.versions)

    def add(self, files: Files) -> None:
        self.versions[self.head + 1] = files


Model = dict[str, History]


def copy_model(model: Model) -> Model:
    """One that changes by itself; files of versions never do."""
    return {name: History(dict(v.versions), dict(v.tags)) for name, v in model.items()}


def begin_model(store: Store) -> Model:
    """A first volume with a file that stays."""
    volume = create_volume(store, FIRST, chunk_bits=CHUNK_BITS)
    publish_files(store, volume, {"d/stays": b"stays"})
    return {FIRST: History({0: {}, 1: {"d/stays": b"stays"}})}


def look(store: Store) -> Model:
    """The store as a model: everything in it is read."""
    return {volume.name: look_at(store, volume) for volume in store.refs.list_volumes()}


def look_at(store: Store, volume: VolumeRecord) -> History:
    heads = store.refs.iter_versions(volume.id)
    versions = {head.version: read_files(store, volume, head.manifest) for head in heads}
    return History(versions, dict(store.refs.list_tags(volume.id)))


def read_files(store: Store, volume: VolumeRecord, manifest: Oid) -> Files:
    return dict(iter_files(store, volume, manifest))


def iter_files(store: Store, volume: VolumeRecord, manifest: Oid) -> Iterator[tuple[str, bytes]]:
    """The files of a version, one after the other."""
    objects = store.objects_of(volume.id)
    reader = Reader(objects.load_object)
    waiting = [((), load_manifest(objects, manifest).snapshot.root)]
    for path, directory in waiting:
        for entry in iter_entries(reader.get_tree, directory.tree):
            here = (*path, entry.name)
            if entry.is_directory:
                waiting.append((here, entry))
            else:
                pieces = iter_content_bytes(reader, objects, entry)
                yield join_path(here).decode(), b"".join(map(bytes, pieces))


def iter_held(store: Store, volume: VolumeRecord, version: int) -> Iterator[tuple[str, bytes]]:
    with held_version(store, volume, lambda: get_head(store, volume, version)) as head:
        yield from iter_files(store, volume, head.manifest)


class Reading:
    """Somebody who reads a version, file by file, and takes his time."""

    def __init__(self, store: Store, volume: str, version: int, files: Files) -> None:
        self.volume = volume
        self.version = version
        self._files = files
        self._seen: Files = {}
        # Of no method: dropped with the last reference, it lets go of the version at once.
        self._items = iter_held(store, store.refs.get_volume(volume), version)
        self.has_ended = False
        self.go_on()

    def go_on(self) -> None:
        """Read one more file; at the end it must have seen them all."""
        for path, data in islice(self._items, 1):
            self._seen[path] = data
            return
        assert self._seen == self._files
        self.has_ended = True


# --- operations ------------------------------------------------------------------


class StoreOperation:
    """``act`` on the store and ``expect`` of the model are the same."""

    mends = False
    """Whether the store may be damaged until it is done."""

    def do(self, path: Place) -> None:
        with opened(path) as store:
            self.act(store)

    def act(self, store: Store) -> None:
        """Nothing, unless told otherwise."""

    def expect(self, model: Model) -> None:
        """Nothing else, unless told otherwise."""


@dataclass(frozen=True)
class Publish(StoreOperation):
    volume: str
    files: dict[str, bytes | None]

    def act(self, store: Store) -> None:
        publish_files(store, store.refs.get_volume(self.volume), self.files)

    def expect(self, model: Model) -> None:
        history = model[self.volume]
        history.add(patch(history.versions[history.head], self.files))


@dataclass(frozen=True)
class Restore(StoreOperation):
    volume: str
    version: int
    paths: tuple[str, ...] = ()

    def act(self, store: Store) -> None:
        volume = store.refs.get_volume(self.volume)
        old = get_version(store.refs, volume, str(self.version))
        restore_version(store, volume, old, [parse_path(path) for path in self.paths])

    def expect(self, model: Model) -> None:
        history = model[self.volume]
        old, now = history.versions[self.version], history.versions[history.head]
        if self.paths:
            restored = {path: old[path] for path in self.paths}
            if patch(now, restored) != now:
                history.add(patch(now, restored))
        elif old is not now:
            history.add(old)


@dataclass(frozen=True)
class Fork(StoreOperation):
    volume: str
    version: int
    name: str

    def act(self, store: Store) -> None:
        volume = store.refs.get_volume(self.volume)
        fork_volume(store, volume, self.name, get_version(store.refs, volume, str(self.version)))

    def expect(self, model: Model) -> None:
        model[self.name] = History({0: {}, 1: model[self.volume].versions[self.version]})


@dataclass(frozen=True)
class Delete(StoreOperation):
    volume: str

    def act(self, store: Store) -> None:
        delete_volume(store, self.volume)

    def expect(self, model: Model) -> None:
        del model[self.volume]


@dataclass(frozen=True)
class Tag(StoreOperation):
    volume: str
    version: int
    tag: str

    def act(self, store: Store) -> None:
        volume = store.refs.get_volume(self.volume)
        create_tag(store.refs, volume, self.tag, get_head(store, volume, self.version), move=True)

    def expect(self, model: Model) -> None:
        model[self.volume].tags[self.tag] = self.version


@dataclass(frozen=True)
class Expire(StoreOperation):
    """``mounted``: versions that sessions hold."""

    volume: str
    last: int
    mounted: Collection[int] = ()

    def act(self, store: Store) -> None:
        expire_versions(store, store.refs.get_volume(self.volume), KeepRules(last=self.last))

    def expect(self, model: Model) -> None:
        history = model[self.volume]
        kept = {0, *sorted(history.versions)[-self.last :], *history.tags.values(), *self.mounted}
        history.versions = {v: files for v, files in history.versions.items() if v in kept}


@dataclass(frozen=True)
class Collect(StoreOperation):
    """``grace`` in seconds."""

    grace: float

    def act(self, store: Store) -> None:
        collect_garbage(store, grace=self.grace)


@dataclass(frozen=True)
class Undelete(StoreOperation):
    def act(self, store: Store) -> None:
        store.care.undelete()


@dataclass(frozen=True)
class Repair(StoreOperation):
    mends = True

    def act(self, store: Store) -> None:
        repair_store(store)


@dataclass(frozen=True)
class Rebuild(StoreOperation):
    mends = True

    def do(self, path: Place) -> None:
        rebuild_store(str(path))


@dataclass(frozen=True)
class DamageAndRepair(StoreOperation):
    """Damage the store so that nothing is lost for good (``store_damage.py``), and repair it."""

    damage: str
    seed: int
    mends = True

    def do(self, path: Place) -> None:
        damage_store(path, self.damage, self.seed)
        Repair().do(path)


@dataclass(frozen=True)
class LoseIndexAndRebuild(StoreOperation):
    """Lose the index's entries, and make them again."""

    seed: int
    mends = True

    def do(self, path: Place) -> None:
        damage_store(path, "entries", self.seed)
        Rebuild().do(path)


def patch(files: Files, changes: dict[str, bytes | None]) -> Files:
    return {p: data for p, data in (files | changes).items() if data is not None}


def get_head(store: Store, volume: VolumeRecord, version: int) -> Head:
    return get_version(store.refs, volume, str(version))


# --- choosing ---------------------------------------------------------------


def choose_files(rng: random.Random, files: Files) -> dict[str, bytes | None]:
    """Some files written anew, and maybe one removed."""
    chosen: dict[str, bytes | None] = {
        name: rng.randbytes(rng.choice(SIZES)) for name in rng.sample(NAMES, rng.randrange(1, 4))
    }
    gone = [name for name in NAMES if name in files and name not in chosen]
    if gone and rng.random() < 0.3:
        chosen[rng.choice(gone)] = None
    return chosen


def choose_change(rng: random.Random, model: Model) -> StoreOperation:
    """One that makes a version, a volume or a tag."""
    name = rng.choice(sorted(model))
    history = model[name]
    version = rng.choice([v for v in history.versions if v])
    match rng.choice(["publish", "publish", "restore", "restore paths", "fork", "tag"]):
        case "restore" if _tells_what_changes(history, version):
            return Restore(name, version)
        case "restore paths":
            paths = sorted(history.versions[version])
            return Restore(name, version, tuple(rng.sample(paths, min(2, len(paths)))))
        case "fork":
            return choose_fork(rng, model, name, version)
        case "tag":
            return Tag(name, version, rng.choice(["one", "two"]))
    return Publish(name, choose_files(rng, history.versions[history.head]))


def _tells_what_changes(history: History, version: int) -> bool:
    """Whether the files of a version tell if its restoration changes anything. The model has no
    times, and two versions with equal files may differ in these."""
    old, now = history.versions[version], history.versions[history.head]
    return old is now or old != now


def choose_fork(rng: random.Random, model: Model, name: str, version: int) -> StoreOperation:
    """A few volumes at a time; names are never used again."""
    if len(model) < 3:
        return Fork(name, version, f"v{rng.getrandbits(40) + 1}")
    return Delete(rng.choice(sorted(model.keys() - {FIRST})))
