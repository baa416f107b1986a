"""A store that tests damage, repair and open again."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.volume.shortcuts import (
    noise,
    publish_files,
)
from volfs.model.objects import Kind, Oid, compute_oid
from volfs.store.contract.care import RepairReport
from volfs.store.contract.refs import VolumeRecord
from volfs.store.contract.store import Store
from volfs.store.registry import open_store
from volfs.volume.check import check_store
from volfs.volume.recovery import repair_store
from volfs.volume.volumes import create_volume

CHUNK = 30_000


def packs(store: Store) -> list[Path]:
    return sorted((Path(store.url) / "packs").iterdir())


def data_pack(store: Store) -> Path:
    return next(path for path in packs(store) if path.read_bytes()[8:9] == b"\1")


def reopened(store: Store) -> Store:
    """The store as another process meets it: nothing is remembered of its places."""
    store.close()
    return open_store(store.url)


def repair(store: Store) -> RepairReport:
    """Repair, and prove that this was all: a second one changes nothing."""
    report = repair_store(store)
    assert not list(store.care.iter_damage())
    assert not repair_store(store).has_changed
    return report


Whole = tuple[Store, VolumeRecord]


def make_whole(path: Path) -> Whole:
    """A store with a few versions, which the test may close and open again."""
    store = open_store(str(path), create=True)
    volume = create_volume(store, "data", chunk_bits=16)
    publish_files(store, volume, {"d/f": noise(CHUNK), "g": noise(CHUNK, 1)})
    publish_files(store, volume, {"d/h": noise(CHUNK, 2)})
    return store, volume


def find_chunk_of(store: Store, volume: VolumeRecord, path: str) -> Oid:
    """Also where the head's manifest is gone: by content."""
    return compute_oid(Kind.CHUNK, noise(CHUNK, 1 if path == "g" else 0))


def lose_index(store: Store) -> str:
    store.close()
    shutil.rmtree(Path(store.url) / "index")
    return store.url


def name_log(store: Store) -> Path:
    return Path(store.url) / "names.log"


def spoil_line(store: Store, text: str) -> None:
    """Damage each line of the name log with this in it."""
    lines = name_log(store).read_text().split("\n")
    spoiled = [line.replace("vo-", "vx-") if text in line else line for line in lines]
    assert spoiled != lines
    name_log(store).write_text("\n".join(spoiled))


def find_damage(store: Store) -> list[str]:
    return [f"{item.where}: {item.problem}" for item in check_store(store).damage]


def reopen_later(store: Store) -> str:
    store.close()
    return store.url


def names_of(store: Store) -> object:
    """What only the index and the name log tell."""
    return [(v.id, v.name, store.refs.list_tags(v.id)) for v in store.refs.list_volumes()]
