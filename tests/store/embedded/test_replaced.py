"""Stores that are replaced while they are open: every change is refused, and reading goes on."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.fault.replacing import hash_tree
from tests.volume.shortcuts import noise, publish_files, read_file
from volfs.errors import StoreReplacedError, fault_points
from volfs.model.pack import PackKind
from volfs.model.retention import KeepRules
from volfs.store.checked_lmdb.environment import LmdbEnvironment
from volfs.store.contract.lease import Lease
from volfs.store.contract.refs import VolumeRecord
from volfs.store.contract.store import Store
from volfs.store.registry import open_store, open_tables
from volfs.store.tables import TableNames
from volfs.volume.expire import expire_versions
from volfs.volume.gc import collect_garbage
from volfs.volume.history import get_version
from volfs.volume.recovery import repair_store
from volfs.volume.restore import restore_version
from volfs.volume.volumes import (
    create_volume,
    delete_volume,
    fork_volume,
    rename_volume,
)

Change = Callable[[Store], object]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    store = open_store(str(tmp_path / "store"), create=True)
    volume = create_volume(store, "data", chunk_bits=16)
    for number in range(3):
        publish_files(store, volume, {f"f{number}": noise(200_000, number)})
    store.refs.put_tag(volume.id, "first", 1)
    create_volume(store, "spare")
    store.close()
    return tmp_path / "store"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    store = open_store(str(path))
    yield store
    store.close()


def data(store: Store) -> VolumeRecord:
    return store.refs.get_volume("data")


def volume_id(store: Store) -> str:
    return data(store).id


CHANGES: dict[str, Change] = {
    "publish": lambda s: publish_files(s, s.refs.get_volume("data"), {"new": noise(90_000, 9)}),
    "known": lambda s: publish_files(s, s.refs.get_volume("data"), {"same": noise(200_000, 1)}),
    "create": lambda s: create_volume(s, "another"),
    "fork": lambda s: fork_volume(s, data(s), "fork", s.refs.get_head(data(s).id)),
    "rename": lambda s: rename_volume(s, "data", "renamed"),
    "delete": lambda s: delete_volume(s, "spare"),
    "expire": lambda s: s.refs.remove_versions(volume_id(s), [2]),
    "restore": lambda s: restore_version(s, data(s), get_version(s.refs, data(s), "2")),
    "tag": lambda s: s.refs.put_tag(volume_id(s), "second", 2),
    "untag": lambda s: s.refs.delete_tag(volume_id(s), "first"),
    "lease": lambda s: s.leases.put(Lease("session", volume_id(s), (1,))),
    "drop": lambda s: s.leases.drop("session"),
    "upload": lambda s: s.open_upload(volume_id(s)),
    "gc": lambda s: collect_garbage(s, grace=0),
    "undelete": lambda s: s.care.undelete(),
    "repair": lambda s: repair_store(s),
    "recovered": lambda s: s.care.end_recovery(),
}


def swap_all(path: Path) -> Path:
    path.rename(path.with_name("bad"))
    shutil.copytree(path.with_name("bad"), path)
    return path


def swap_part(name: str) -> Callable[[Path], Path]:
    def swap(path: Path) -> Path:
        place, aside = path / name, path.with_name("aside") / Path(name).name
        aside.parent.mkdir()
        place.rename(aside)
        (shutil.copytree if aside.is_dir() else shutil.copy2)(aside, place)
        return place

    return swap


SWAPS = {
    "all": swap_all,
    **{
        name: swap_part(name)
        for name in ("index", "packs", "format", "index/data.mdb", "index/lock.mdb")
    },
}


@pytest.mark.parametrize("swap", SWAPS)
@pytest.mark.parametrize("change", CHANGES)
def test_every_change_is_refused(store: Store, path: Path, change: str, swap: str) -> None:
    SWAPS[swap](path)
    before = hash_tree(path.parent)
    with pytest.raises(StoreReplacedError, match="was replaced, moved or unmounted"):
        CHANGES[change](store)
    assert hash_tree(path.parent) == before
    assert read_file(store, store.refs.get_volume("data"), "f1") == noise(200_000, 1)


@pytest.mark.parametrize("swap", SWAPS)
def test_who_opens_it_then_has_the_one_that_is_there(store: Store, path: Path, swap: str) -> None:
    SWAPS[swap](path)
    if swap not in ("all", "index"):
        # LMDB opens no file twice in a process, and one of these is as it was.
        with pytest.raises(StoreReplacedError, match="close it first"):
            open_store(str(path))
        store.close()
    again = open_store(str(path))
    CHANGES["publish"](again)
    assert again.refs.get_head(volume_id(again)).version == 4
    again.close()
    if swap in ("all", "index"):
        with pytest.raises(StoreReplacedError):
            CHANGES["publish"](store)


def test_put_back_it_is_as_before(store: Store, path: Path) -> None:
    path.rename(path.with_name("away"))
    with pytest.raises(StoreReplacedError, match=f"is gone: .*is at {path.with_name('away')}"):
        store.care.prove()
    path.with_name("away").rename(path)
    store.care.prove()
    CHANGES["publish"](store)


def test_two_addresses_both_have_to_lead_there(path: Path) -> None:
    link = path.with_name("link")
    link.symlink_to(path)
    stores = [open_store(str(path)), open_store(str(link))]
    link.unlink()
    link.symlink_to(path.with_name("nowhere"))
    for store in stores:
        with pytest.raises(StoreReplacedError, match=f"at {link} is gone"):
            store.care.prove()
    stores[1].close()
    stores[0].care.prove()
    stores[0].close()


# --- packs ------------------------------------------------------------------


def list_packs(path: Path) -> list[Path]:
    return sorted((path / "packs").iterdir())


def copy_packs(path: Path) -> None:
    for pack in list_packs(path):
        shutil.copy2(pack, path.with_name("new"))
        path.with_name("new").rename(pack)


def test_a_kept_pack_that_was_replaced_is_not_gone_on_with(store: Store, path: Path) -> None:
    CHANGES["publish"](store)  # from now on its packs are kept
    copy_packs(path)
    files = {"more": noise(70_000, 5)}
    with suppress(StoreReplacedError):  # for what it relies on has not been looked at yet
        publish_files(store, data(store), files)
    publish_files(store, data(store), files)
    with open_fresh(path) as fresh:
        assert read_file(fresh, data(fresh), "more") == noise(70_000, 5)


class Cut:
    """Cuts every pack short by a byte when a point is reached, once."""

    def __init__(self, path: Path, point: str) -> None:
        self.path, self.point = path, point

    def pass_by(self, point: str) -> None:
        if point == self.point:
            self.point = ""
            for pack in list_packs(self.path):
                os.truncate(pack, pack.stat().st_size - 1)


@pytest.mark.damaged
@pytest.mark.parametrize("point", ["publish.appended", "publish.durable", "publish.unmoved"])
def test_what_was_written_is_not_cut_short_before_it_is_published(
    store: Store, path: Path, point: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {"more": noise(70_000, 5)}
    monkeypatch.setattr(fault_points, "_armed", cut := Cut(path, point))
    with pytest.raises(StoreReplacedError, match="cut short"):
        publish_files(store, data(store), files)
    assert cut.point == ""
    assert store.refs.get_head(data(store).id).version == 3


@contextmanager
def open_fresh(path: Path) -> Iterator[Store]:
    """As another process has it."""
    copy = path.with_name(f"fresh-{len(list(path.parent.iterdir()))}")
    shutil.copytree(path, copy)
    store = open_store(str(copy))
    yield store
    store.close()


@pytest.mark.parametrize("damage", ["replaced", "damaged", "gone"])
def test_what_is_relied_on_is_in_the_store(store: Store, path: Path, damage: str) -> None:
    """Content that is there need not be written; but only if it still is."""
    volume = store.refs.get_volume("data")
    assert read_file(store, volume, "f1") == noise(200_000, 1)  # known to be whole from now on
    CHANGES["known"](store)
    copy_packs(path)
    for pack in list_packs(path) if damage != "replaced" else []:
        if damage == "gone":
            pack.unlink()
        elif pack.read_bytes()[8] == PackKind.DATA:
            pack.write_bytes(bytes(pack.stat().st_size))
    files = {"again": noise(200_000, 1)}
    with pytest.raises(StoreReplacedError, match="try again"):
        publish_files(store, volume, files)
    publish_files(store, volume, files)
    with open_fresh(path) as fresh:
        assert read_file(fresh, data(fresh), "again") == noise(200_000, 1)


def test_a_copy_by_links_is_not_written_to(path: Path) -> None:
    links = path.with_name("links")
    shutil.copytree(path, links, copy_function=os.link)
    packs = {name: data for name, data in hash_tree(links).items() if "index" not in name}
    store = open_store(str(path))
    CHANGES["publish"](store)
    CHANGES["tag"](store)
    delete_volume(store, "data")
    collect_garbage(store, grace=0)
    store.close()
    now = hash_tree(links)
    assert {name: now[name] for name in packs} == packs


# --- tables -----------------------------------------------------------------


@pytest.mark.parametrize("kind", ["durable", "volatile"])
def test_tables_are_proved_as_well(path: Path, kind: str) -> None:
    names = TableNames(("a",), ("b",))
    tables = open_tables(str(path), names)
    one = getattr(tables, kind)
    table = {"durable": "a", "volatile": "b"}[kind]
    one.change(lambda rows: rows.put(table, b"k", b"v"))
    swap_part(f"tables/{kind}")(path)
    before = hash_tree(path)
    with pytest.raises(StoreReplacedError):
        one.change(lambda rows: rows.put(table, b"k", b"w"))
    assert hash_tree(path) == before
    tables.close()
    again = open_tables(str(path), names)
    assert getattr(again, kind).read(lambda rows: rows.find(table, b"k")) == b"v"
    again.close()


def test_expiry_is_refused_whole(store: Store, path: Path) -> None:
    swap_all(path)
    with pytest.raises(StoreReplacedError):
        expire_versions(store, data(store), KeepRules(last=1))


def test_opening_an_index_twice_leaves_the_locks_on_it(tmp_path: Path) -> None:
    """They tell other processes that its reader is alive."""
    place = tmp_path / "index"
    place.mkdir()
    environment = LmdbEnvironment(place)
    with environment.read():
        before = list_locks()
        with pytest.raises(StoreReplacedError):
            LmdbEnvironment(place)
        assert before
        assert list_locks() == before
    environment.close()


def list_locks() -> list[str]:
    """The locks of this process, but for their numbers."""
    lines = Path("/proc/locks").read_text().splitlines()
    return sorted(line.partition(":")[2] for line in lines if f" {os.getpid()} " in line)
