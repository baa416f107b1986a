"""A store in a bucket that is damaged on purpose, and what becomes of it.

The rules: whoever reads gets what was written, or an error, and never anything else. A check finds
all damage that takes something away. A repair mends what can be mended and makes nothing worse,
and a second repair changes nothing.
"""

from __future__ import annotations

import itertools
import random
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, TypeVar

import msgspec
import pytest

from tests.crash.store_operations import (
    FIRST,
    Collect,
    Delete,
    Expire,
    Fork,
    History,
    Model,
    Publish,
    Restore,
    StoreOperation,
    Tag,
    begin_model,
    look_at,
    read_files,
)
from tests.store.contract import make_lease
from tests.store.distributed.plain_machine import PlainMachine
from tests.volume.shortcuts import publish_files
from volfs.buckets.access import Bucket, iter_objects
from volfs.buckets.doors.memory import MemoryDoor
from volfs.errors import DataError, NotFoundError, StoreError, VolfsError
from volfs.store.distributed.creation import create_store
from volfs.system.world import RealWorld
from volfs.volume.check import CheckReport, check_store

DAY = 86_400.0
T = TypeVar("T")
Objects = dict[str, bytes]


class Scene(NamedTuple):
    """A store as it was made, and what is in it."""

    objects: Objects
    model: Model
    ever: Model
    """With the versions that have expired: without the line that says so, they are there."""


def make_scene(
    patch: pytest.MonkeyPatch, seed: int = 1, line_bytes: int = 3000, *, is_cared_for: bool = False
) -> Scene:
    """A store that has at least one of each kind of object. Lines have so many bytes of
    records. A store that is cared for has checkpoints, a table, and packs that gc condemned."""
    patch.setattr("volfs.store.distributed.data.bucket_sink.LINE_BYTES", line_bytes)
    patch.setattr("volfs.store.distributed.data.spool.FULL", 12_000)
    patch.setattr("volfs.store.distributed.data.bucket_upload.MANY", 2)
    rng = random.Random(seed)
    leave_nothing_to_chance(patch, seed)
    world = SceneWorld(seed)
    bucket = Bucket(MemoryDoor(), world=world)
    create_store(bucket, "memory://damaged")
    with on_machine(bucket) as store:
        model, ever = begin_model(store), Model()
        for operation in list_operations(rng):
            operation.act(store)
            world.finish()
            operation.expect(model)
            for name, history in model.items():
                ever.setdefault(name, History({})).versions.update(history.versions)
        first = store.refs.get_volume(FIRST)
        lease = make_lease(first.id, store.refs.get_head(first.id).version)
        store.leases.put(msgspec.structs.replace(lease, needs=()))
        if is_cared_for:
            take_care(store, world)
    return Scene(read_objects(bucket), model, ever)


def take_care(store: PlainMachine, world: SceneWorld) -> None:
    store.engine.tables.change(lambda txn: txn.put("settings", b"one", b"1"))
    for volume in store.refs.list_volumes():
        store.engine.keeper.keep(volume.id)
    Collect(DAY).act(store)
    world.finish()


class SceneWorld(RealWorld):
    """A world in which a seed says all that is random, and one thing is done after the other."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(f"world {seed}")
        self._begun: list[Callable[[], None]] = []

    def gather(self, calls: Sequence[Callable[[], T]]) -> list[T]:
        return [call() for call in calls]

    def start(self, work: Callable[[], None]) -> None:
        self._begun.append(work)

    def wall_ns(self) -> int:
        return 10**18

    def finish(self) -> None:
        """Do what was begun beside the caller."""
        while self._begun:
            self._begun.pop(0)()

    def random_bytes(self, size: int) -> bytes:
        return self._chance.randbytes(size)


def leave_nothing_to_chance(patch: pytest.MonkeyPatch, seed: int) -> None:
    """Let the ids, times and authors of a scene be the same each time."""
    chance, clock = random.Random(f"ids {seed}"), itertools.count(10**18)
    patch.setattr("secrets.token_bytes", chance.randbytes)
    patch.setattr("secrets.choice", chance.choice)
    for module in ("commit", "edit", "volumes"):
        patch.setattr(f"volfs.volume.{module}.now_ns", lambda: next(clock))
    for module in ("commit", "volumes"):
        patch.setattr(f"volfs.volume.{module}.default_author", lambda: "tester@host")


def list_operations(rng: random.Random) -> Iterator[StoreOperation]:
    yield Publish(FIRST, {"a": rng.randbytes(900), "b": rng.randbytes(500)})
    yield Tag(FIRST, 2, "two")
    yield Publish(FIRST, {"big": rng.randbytes(30_000), "d/a": rng.randbytes(5000)})
    yield Fork(FIRST, 3, "fork")
    yield Publish(FIRST, {"c": rng.randbytes(7000)})
    yield Publish("fork", {"a": rng.randbytes(6000), "e": b"small"})
    yield Restore(FIRST, 2, ("a",))
    yield Publish(FIRST, {"b": rng.randbytes(300), "n": rng.randbytes(2000)})
    yield Publish("fork", {"e": b"smaller"})
    yield Fork("fork", 2, "gone")
    yield Publish("gone", {"g": rng.randbytes(4000)})
    yield Delete("gone")
    yield Expire("fork", 2)
    yield Publish(FIRST, {"b": None})
    yield Tag("fork", 3, "three")


def read_objects(bucket: Bucket) -> Objects:
    return {info.key: bytes(bucket.get(info.key)[1]) for info in iter_objects(bucket)}


def fill(objects: Objects) -> Bucket:
    bucket = Bucket(MemoryDoor())
    for key, data in objects.items():
        bucket.put(key, data)
    return bucket


@contextmanager
def on_machine(bucket: Bucket) -> Iterator[PlainMachine]:
    """A machine that knows nothing yet of the store."""
    local = Path(tempfile.mkdtemp(prefix="volfs-bucket-", dir="/dev/shm"))
    machine = PlainMachine(bucket, local)
    try:
        yield machine
    finally:
        machine.close()
        shutil.rmtree(local)


# --- damages ----------------------------------------------------------------


@dataclass(frozen=True)
class BucketDamage:
    """Objects with other content; None for an object that is gone."""

    what: str
    changes: dict[str, bytes | None] = field(repr=False)

    def apply(self, objects: Objects) -> Objects:
        changed = {**objects, **self.changes}
        return {key: data for key, data in changed.items() if data is not None}


def kind_of(key: str) -> str:
    """What an object is, by its key: a line, a checkpoint, a pack …"""
    parts = key.split("/")
    return f"v/{parts[2]}" if parts[0] == "v" else parts[0]


def choose_damage(rng: random.Random, objects: Objects, only: Collection[str] = ()) -> BucketDamage:
    """One damage. Each kind of object is as likely, whatever its number."""
    kinds: dict[str, list[str]] = {}
    for key in sorted(objects):
        if key != "volfs.json" and (not only or kind_of(key) in only):
            kinds.setdefault(kind_of(key), []).append(key)
    keys = kinds[rng.choice(sorted(kinds))]
    way = rng.choice([flip, flip, cut, delete, swap, take_older])
    return way(rng, objects, keys)


def flip(rng: random.Random, objects: Objects, keys: list[str]) -> BucketDamage:
    key = rng.choice(keys)
    data = bytearray(objects[key])
    at = rng.randrange(len(data))
    length = min(rng.choice((1, 1, 8, 200)), len(data) - at)
    changed = rng.randbytes(length) if length > 1 else bytes([data[at] ^ 1 << rng.randrange(8)])
    data[at : at + length] = changed
    return BucketDamage(f"flip of {length} at {at} of {len(data)} in {key}", {key: bytes(data)})


def cut(rng: random.Random, objects: Objects, keys: list[str]) -> BucketDamage:
    key = rng.choice(keys)
    at = rng.randrange(len(objects[key]))
    return BucketDamage(f"cut at {at} of {key}", {key: objects[key][:at]})


def delete(rng: random.Random, objects: Objects, keys: list[str]) -> BucketDamage:
    key = rng.choice(keys)
    return BucketDamage(f"delete of {key}", {key: None})


def swap(rng: random.Random, objects: Objects, keys: list[str]) -> BucketDamage:
    a, b = rng.choice(keys), rng.choice(keys)
    return BucketDamage(f"swap of {a} and {b}", {a: objects[b], b: objects[a]})


def take_older(rng: random.Random, objects: Objects, keys: list[str]) -> BucketDamage:
    """In the place of one object the content of another one of its kind."""
    a, b = rng.choice(keys), rng.choice(keys)
    return BucketDamage(f"{a} as {b}", {b: objects[a]})


# --- what becomes of it -----------------------------------------------------


@dataclass
class Seen:
    """What a reader got: for each version its files, or an error."""

    versions: dict[tuple[str, int], dict[str, bytes] | VolfsError] = field(default_factory=dict)
    tags: dict[str, dict[str, int]] = field(default_factory=dict)
    errors: list[VolfsError] = field(default_factory=list)


def look_carefully(store: PlainMachine) -> Seen:
    """Read everything; errors of one version leave the others."""
    seen = Seen()
    try:
        volumes = store.refs.list_volumes()
    except (DataError, StoreError) as error:
        seen.errors.append(error)
        return seen
    for volume in volumes:
        try:
            heads = list(store.refs.iter_versions(volume.id))
            seen.tags[volume.name] = dict(store.refs.list_tags(volume.id))
        except (DataError, StoreError, NotFoundError) as error:
            seen.errors.append(error)
            continue
        for head in heads:
            try:
                found = read_files(store, volume, head.manifest)
                seen.versions[volume.name, head.version] = found
            except (DataError, StoreError) as error:
                seen.versions[volume.name, head.version] = error
    return seen


def find_wrong(seen: Seen, model: Model) -> list[str]:
    """What was read and never written."""
    wrong = []
    for (name, version), files in seen.versions.items():
        history = model.get(name, History({}))
        if isinstance(files, dict) and files != history.versions.get(version):
            wrong.append(f"version {version} of {name}")
    return wrong


def is_whole(seen: Seen, model: Model) -> bool:
    """Whether everything was read."""
    wanted = {(n, v): files for n, h in model.items() for v, files in h.versions.items()}
    return seen.versions == wanted and not seen.errors


@dataclass
class Outcome:
    damage: BucketDamage
    before: Seen
    check: CheckReport
    after: Seen
    check_after: CheckReport
    is_stable: bool
    """Whether a second repair changed nothing."""
    repair: object


def play(scene: Scene, damage: BucketDamage) -> Outcome:
    """Damage, read, check, repair, read, check, repair again, and write."""
    bucket = fill(damage.apply(scene.objects))
    with on_machine(bucket) as store:
        before = look_carefully(store)
    with on_machine(bucket) as store:
        check = check_store(store)
    with on_machine(bucket) as store:
        repair = store.care.repair()
    repaired = read_objects(bucket)
    with on_machine(bucket) as store:
        after = look_carefully(store)
        check_after = check_store(store)
        again = store.care.repair()
    is_stable = not again.has_changed and read_objects(bucket) == repaired
    return Outcome(damage, before, check, after, check_after, is_stable, repair)


def write_everywhere(bucket: Bucket, seen: Seen) -> None:
    """Publish in every volume that can be read, and read it on another machine."""
    with on_machine(bucket) as store:
        for volume in store.refs.list_volumes():
            publish_files(store, volume, {"after": b"after"})
    with on_machine(bucket) as store:
        for volume in store.refs.list_volumes():
            assert look_at(store, volume).versions


Check = Callable[[Outcome], None]
