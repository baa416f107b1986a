"""Rows of the index that were lost, changed or damaged are made again."""

from __future__ import annotations

import pytest

from tests.harness.damage import spoil_rows
from tests.volume.index_rows import find_chunk, flip, forget, rows, spoil_counters
from tests.volume.repairing import CHUNK, Whole, find_damage, name_log, reopened, repair
from tests.volume.shortcuts import (
    noise,
    publish_files,
    read_file,
)
from volfs.errors import DamagedObjectError, DataError
from volfs.model.objects import Kind, compute_oid
from volfs.model.retention import KeepRules
from volfs.store.registry import open_store
from volfs.volume.check import check_store
from volfs.volume.expire import expire_versions
from volfs.volume.gc import collect_garbage
from volfs.volume.recovery import rebuild_store, repair_store
from volfs.volume.volumes import create_volume, delete_volume

# --- what is stored is indexed -----------------------------------------------


def test_index_entries_that_were_lost_are_made_again(whole: Whole) -> None:
    store, volume = whole
    head = store.refs.get_head(volume.id)
    for oid in (find_chunk(store, volume, b"g"), head.manifest):
        forget(store, oid)
    assert not check_store(store).is_clean
    assert repair(store).indexed_objects == 2
    assert check_store(store).is_clean


def test_entries_that_cannot_be_read_are_made_again(whole: Whole) -> None:
    store, volume = whole
    oid = find_chunk(store, volume, b"g")
    environment, tables = rows(store)
    with environment.write() as txn:  # type: ignore[attr-defined]
        txn.put(oid, b"no entry", db=tables["objects"])
    report = repair(store)
    assert (report.indexed_objects, report.lost_objects) == (1, 0)
    assert check_store(store).is_clean


def test_entries_of_nothing_are_dropped(whole: Whole) -> None:
    """JuiceFS #3821: what dangles is not only reported."""
    store, volume = whole
    index = store._engine.index  # type: ignore[attr-defined]
    entry = index.find_entry(find_chunk(store, volume, b"g"))
    stray = compute_oid(Kind.CHUNK, b"never stored")
    environment, _ = rows(store)
    with environment.write() as txn:  # type: ignore[attr-defined]
        index.replace_entry(txn, stray, None, entry._replace(pack=99))
    assert repair(store).lost_objects == 1
    assert store.care.is_lost(stray)
    assert check_store(store).is_clean


def test_entries_that_were_swapped_are_put_right(whole: Whole) -> None:
    store, volume = whole
    index = store._engine.index  # type: ignore[attr-defined]
    oids = (find_chunk(store, volume, b"g"), store.refs.get_head(volume.id).manifest)
    environment, _ = rows(store)
    with environment.write() as txn:  # type: ignore[attr-defined]
        old = [index.find_row(txn, oid) for oid in oids]
    found = [index.find_entry(oid) for oid in oids]
    with environment.write() as txn:  # type: ignore[attr-defined]
        for oid, row, entry in zip(oids, old, reversed(found), strict=True):
            assert index.replace_entry(txn, oid, row, entry)
    store = reopened(store)
    assert repair(store).indexed_objects == 2
    assert check_store(store).is_clean
    store.close()


def test_packs_that_the_index_forgot_are_found(whole: Whole) -> None:
    store, _ = whole
    store = reopened(store)
    environment, tables = rows(store)
    with environment.write() as txn:  # type: ignore[attr-defined]
        txn.delete((2).to_bytes(4, "big"), db=tables["packs"])
    assert any("does not know" in item.problem for item in check_store(store).damage)
    assert repair(store).found_packs == 1
    assert check_store(store).is_clean
    store.close()


def test_rows_that_were_changed_are_made_again(whole: Whole) -> None:
    store, volume = whole
    store = reopened(store)
    head = store.refs.get_head(volume.id)
    environment, tables = rows(store)
    with environment.write() as txn:  # type: ignore[attr-defined]
        for key, table in ((volume.id.encode(), "heads"), ((2).to_bytes(4, "big"), "packs")):
            raw = tables[table].raw  # type: ignore[attr-defined]
            row = bytearray(txn.raw.get(key, db=raw))
            row[5] ^= 1
            txn.raw.put(key, bytes(row), db=raw)
    report = repair(store)
    assert (report.found_packs, report.mended_heads) == (1, 1)
    assert store.refs.get_head(volume.id) == head
    assert check_store(store).is_clean
    store.close()


def test_a_head_that_was_lost_is_set_to_the_newest_version(whole: Whole) -> None:
    store, volume = whole
    head = store.refs.get_head(volume.id)
    environment, tables = rows(store)
    with environment.write() as txn:  # type: ignore[attr-defined]
        txn.delete(volume.id.encode(), db=tables["heads"])
    assert [item.problem for item in check_store(store).damage] == [
        "its head is not the newest version"
    ]
    assert repair(store).mended_heads == 1
    assert store.refs.get_head(volume.id) == head
    assert check_store(store).is_clean


def test_counters_that_were_damaged_are_made_anew(whole: Whole) -> None:
    store, volume = whole
    spoil_counters(store)
    store = reopened(store)
    assert not check_store(store).is_clean
    assert repair(store).mended_counters == 1
    assert check_store(store).is_clean
    with store.open_upload(volume.id) as one, store.open_upload(volume.id) as two:
        for upload, seed in ((one, 11), (two, 12)):
            upload.put_object(Kind.CHUNK, noise(CHUNK, seed))
    assert read_file(store, volume, "g") == noise(CHUNK, 1)
    store.close()


# --- the index is lost -------------------------------------------------------


def test_damaged_names_are_made_again(whole: Whole) -> None:
    store, volume = whole
    create_volume(store, "other")
    assert spoil_rows(store, b"names") == 2
    with pytest.raises(DamagedObjectError):
        store.refs.get_volume("data")
    (damage, _) = find_damage(store)
    assert damage.startswith("table names: row b'data'")
    assert damage.endswith("`volfs check --repair` mends it")
    assert repair(store).mended_rows == 2
    assert store.refs.get_volume("data") == volume
    assert check_store(store).is_clean


def test_damaged_rows_of_what_is_lost_are_made_again(whole: Whole) -> None:
    store, volume = whole
    oid = find_chunk(store, volume, b"g")
    flip(store, oid)
    store = reopened(store)
    assert repair(store).lost_objects == 1
    assert spoil_rows(store, b"lost") == 1
    with pytest.raises(DataError):
        collect_garbage(store)
    assert repair(store).mended_rows == 1
    assert store.care.is_lost(oid)
    collect_garbage(store)
    store.close()


def test_damaged_rows_of_condemned_objects_are_dropped(whole: Whole) -> None:
    """Their pack has them still: where it comes back, the next repair indexes them."""
    store, _ = whole
    publish_files(store, create_volume(store, "gone"), {"f": noise(900_000, 5)})
    delete_volume(store, "gone")
    assert collect_garbage(store).waiting_packs
    count = spoil_rows(store, b"condemned")
    assert [damage[:15] for damage in find_damage(store)] == ["table condemned"] * count
    assert repair(store).mended_rows == count
    assert store.care.undelete().objects == 0
    assert repair_store(store).indexed_objects == count
    assert check_store(store).is_clean
    collect_garbage(store, grace=0)


def test_a_damaged_tag_is_named_and_put_again(whole: Whole) -> None:
    """Where the name log does not know it, nothing is expired until somebody says it."""
    store, volume = whole
    for tag in ("release", "other"):
        store.refs.put_tag(volume.id, tag, 1)
    spoil_rows(store, b"tags")
    name_log(store).unlink()
    assert not repair_store(store).has_changed
    with pytest.raises(DamagedObjectError):
        expire_versions(store, volume, KeepRules(last=1))
    other, release = find_damage(store)
    assert f"{volume.id}/other" in other
    assert f"{volume.id}/release" in release
    assert "`volfs tag --force`" in release
    store.refs.put_tag(volume.id, "release", 1, move=True)
    store.refs.delete_tag(volume.id, "other")
    assert check_store(store).is_clean
    assert expire_versions(store, volume, KeepRules(last=1))[1] == []


def test_a_damaged_tag_is_mended_from_the_name_log(whole: Whole) -> None:
    store, volume = whole
    for tag, version in (("release", 1), ("other", 2), ("release", 2)):
        store.refs.put_tag(volume.id, tag, version, move=True)
    spoil_rows(store, b"tags")
    collect_garbage(store)
    assert repair(store).mended_rows == 2
    assert store.refs.list_tags(volume.id) == [("other", 2), ("release", 2)]
    assert check_store(store).is_clean


@pytest.mark.parametrize("way", ["repair", "rebuild"])
def test_a_damaged_row_of_the_quarantine(whole: Whole, way: str) -> None:
    """Its pack is found as one that the index forgot."""
    store, volume = whole
    publish_files(store, create_volume(store, "gone"), {"f": noise(900_000, 5)})
    delete_volume(store, "gone")
    waiting = collect_garbage(store).waiting_packs
    environment, tables = rows(store)
    with environment.write() as txn:  # type: ignore[attr-defined]
        raw = tables["quarantine"].raw  # type: ignore[attr-defined]
        for key, _ in list(txn.raw.cursor(raw)):
            txn.raw.put(key, b"no row", db=raw)
    store = reopened(store)
    with pytest.raises(DataError):
        collect_garbage(store)
    if way == "repair":
        assert repair(store).found_packs == waiting
    else:
        store.close()
        assert not rebuild_store(store.url)[0].refs_lost
        store = open_store(store.url)
    assert check_store(store).is_clean
    assert collect_garbage(store, grace=0).deleted_bytes > 900_000
    assert read_file(store, volume, "g") == noise(CHUNK, 1)
    assert check_store(store).is_clean
    store.close()


@pytest.mark.parametrize("table", [b"volumes", b"names", b"heads", b"versions"])
def test_damaged_refs_are_made_again_and_tags_stay(whole: Whole, table: bytes) -> None:
    store, volume = whole
    store.refs.put_tag(volume.id, "release", 1)
    heads = list(store.refs.iter_versions(volume.id))
    environment, _ = rows(store)
    raw = environment.open_table(table).raw  # type: ignore[attr-defined]
    with environment.write() as txn:  # type: ignore[attr-defined]
        key, row = next(iter(txn.raw.cursor(raw)))
        txn.raw.put(key, row[:-1] + bytes((row[-1] ^ 1,)), db=raw)
    store.close()
    assert rebuild_store(store.url)[0].refs_lost
    store = open_store(store.url)
    assert list(store.refs.iter_versions(volume.id)) == heads
    assert store.refs.get_volume("data") == volume
    assert dict(store.refs.list_tags(volume.id)).get("release") == 1
    assert check_store(store).is_clean
    store.close()
