"""Repair converges, new data heals old damage, and a lost index is made again."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.damage import spoil_rows
from tests.volume.shortcuts import (
    head_snapshot,
    list_paths,
    noise,
    publish_files,
    put_bytes,
    read_file,
)
from tests.volume.test_gc import find_chunk, flip, forget, rows
from volfs.errors import DamagedObjectError, DataError, StoreUnavailableError
from volfs.model.objects import Kind, Oid, compute_oid
from volfs.model.progress import Progress
from volfs.model.references import Reference
from volfs.model.retention import KeepRules
from volfs.store.contract.care import RepairReport
from volfs.store.contract.refs import Head, VolumeRecord
from volfs.store.contract.store import Store
from volfs.store.registry import open_store, rebuild_index
from volfs.volume.check import check_store
from volfs.volume.commit import CommitNote
from volfs.volume.edit import Edit
from volfs.volume.expire import expire_versions
from volfs.volume.gc import Mark, collect_garbage
from volfs.volume.history import create_tag, get_version
from volfs.volume.recovery import rebuild_store, repair_store
from volfs.volume.volumes import create_volume, delete_volume, rename_volume

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


@pytest.fixture
def whole(tmp_path: Path) -> Iterator[Whole]:
    store, volume = make_whole(tmp_path / "whole")
    yield store, volume
    store.close()


def make_whole(path: Path) -> Whole:
    """A store with a few versions, which the test may close and open again."""
    store = open_store(str(path), create=True)
    volume = create_volume(store, "data", chunk_bits=16)
    publish_files(store, volume, {"d/f": noise(CHUNK), "g": noise(CHUNK, 1)})
    publish_files(store, volume, {"d/h": noise(CHUNK, 2)})
    return store, volume


# --- what is stored is indexed ----------------------------------------------


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


def spoil_counters(store: Store) -> None:
    environment, _ = rows(store)
    counters = environment.open_table(b"counters")  # type: ignore[attr-defined]
    with environment.write() as txn:  # type: ignore[attr-defined]
        txn.raw.put(b"next-pack", b"no row", db=counters.raw)


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


# --- damage -----------------------------------------------------------------


def test_a_damaged_chunk_is_lost_and_new_data_heals_it(whole: Whole) -> None:
    """S3QL: a dedup hit on a lost block; here a new copy heals whatever has it."""
    store, volume = whole
    store = reopened(store)
    oid = find_chunk(store, volume, b"g")
    flip(store, oid)
    report = repair(store)
    assert (report.lost_objects, report.rewritten_packs) == (1, 1)
    assert store.care.is_lost(oid)
    problems = check_store(store).problems
    assert [(p.path, p.versions) for p in problems] == [("g", (1, 2))]
    assert read_file(store, volume, "d/f") == noise(CHUNK)
    other = create_volume(store, "other", chunk_bits=16)
    publish_files(store, other, {"copy": noise(CHUNK, 1)})
    assert check_store(store).is_clean
    assert read_file(store, volume, "g") == noise(CHUNK, 1)
    store.close()


def test_a_damaged_pack_stays_in_quarantine(whole: Whole) -> None:
    """What gc put there comes back."""
    store, volume = whole
    publish_files(store, volume, {"garbage": noise(200_000, 7)})
    publish_files(store, volume, {"garbage": None})
    store.refs.remove_versions(volume.id, [3])
    assert collect_garbage(store).waiting_packs
    waiting = collect_garbage(store, dry_run=True).waiting_packs
    store = reopened(store)
    flip(store, find_chunk(store, volume, b"g"))
    assert repair(store).rewritten_packs == 1
    result = store.care.undelete()
    assert (result.packs, result.damaged_packs) == (waiting, 1)
    assert not list(store.care.iter_damage())
    assert (store.care.undelete().packs, store.care.undelete().damaged_packs) == (0, 1)
    assert collect_garbage(store, grace=0).deleted_packs > 0
    assert store.care.undelete().damaged_packs == 0
    store.close()


def test_a_dedup_hit_on_a_damaged_record_uploads_the_chunk_again(whole: Whole) -> None:
    """S3QL durability.rst: new data never inherits old damage, without any repair."""
    store, volume = whole
    store = reopened(store)
    flip(store, find_chunk(store, volume, b"g"))
    other = create_volume(store, "other", chunk_bits=16)
    publish_files(store, other, {"copy": noise(CHUNK, 1)})
    assert read_file(store, other, "copy") == noise(CHUNK, 1)
    assert read_file(store, volume, "g") == noise(CHUNK, 1)
    report = repair(store)
    assert (report.lost_objects, report.rewritten_packs) == (0, 1)
    assert check_store(store).is_clean
    store.close()


def test_what_is_known_to_be_lost_does_not_end_gc(whole: Whole) -> None:
    """doltlite #1547: a child that is gone must not make the mark fail for ever."""
    store, volume = whole
    store = reopened(store)
    flip(store, find_chunk(store, volume, b"g"))
    repair(store)
    collect_garbage(store, grace=0)
    assert read_file(store, volume, "d/f") == noise(CHUNK)
    store.close()


def test_what_was_lost_and_is_put_again_is_marked_with_all_below(whole: Whole) -> None:
    store, volume = whole
    tree = head_snapshot(store, volume).root.tree
    store = reopened(store)
    flip(store, tree)
    repair(store)
    mark = Mark(store)
    roots = [
        Reference(Kind.MANIFEST, head.manifest) for head in store.refs.iter_versions(volume.id)
    ]
    mark.keep(volume.id, roots)
    assert tree not in mark
    other = create_volume(store, "other", chunk_bits=16)
    files = {"d/f": noise(CHUNK), "g": noise(CHUNK, 1), "d/h": noise(CHUNK, 2)}
    publish_files(store, other, files)
    mark.keep(other.id, [Reference(Kind.TREE, head_snapshot(store, other).root.tree)])
    assert all(find_chunk_of(store, other, path) in mark for path in ("d/f", "g"))
    store.close()


def test_a_record_of_which_only_the_header_is_damaged_is_saved(whole: Whole) -> None:
    store, volume = whole
    store = reopened(store)
    entry = store._engine.index.find_entry(find_chunk(store, volume, b"g"))  # type: ignore[attr-defined]
    with data_pack(store).open("r+b") as file:
        file.seek(entry.offset - 30)
        file.write(b"?")
    report = repair(store)
    assert (report.lost_objects, report.rewritten_packs) == (0, 1)
    assert check_store(store).is_clean
    store.close()


def test_a_torn_tail_is_no_damage(whole: Whole) -> None:
    """Dolt #11181: what a crash tore off is cut by the next writer, and never fatal."""
    store, volume = whole
    store = reopened(store)
    with data_pack(store).open("ab") as file:
        file.write(b"vrec and then the power failed")
    assert not repair(store).has_changed
    publish_files(store, volume, {"more": noise(CHUNK, 5)})
    assert check_store(store).is_clean
    store.close()


def test_damage_is_never_taken_for_the_end(whole: Whole) -> None:
    """doltlite #1573: valid records after damage stay valid."""
    store, volume = whole
    store = reopened(store)
    flip(store, find_chunk(store, volume, b"g"))
    repair(store)
    store = reopened(store)
    assert read_file(store, volume, "d/h") == noise(CHUNK, 2)
    store.close()


@pytest.mark.parametrize("keep", [0, 16, 40_000])
def test_a_pack_that_was_cut_short(whole: Whole, keep: int) -> None:
    store, volume = whole
    store = reopened(store)
    os.truncate(data_pack(store) if keep else packs(store)[1], keep)
    report = repair(store)
    assert report.lost_objects == (2 if keep == 40_000 else 3)
    assert report.rewritten_packs == 1
    store = reopened(store)
    publish_files(store, volume, {"1": noise(CHUNK), "2": noise(CHUNK, 1), "3": noise(CHUNK, 2)})
    assert check_store(store).is_clean
    store.close()


def test_a_pack_whose_file_is_gone(whole: Whole) -> None:
    store, _ = whole
    store = reopened(store)
    data_pack(store).unlink()
    report = repair(store)
    assert (report.lost_objects, report.forgotten_packs) == (3, 1)
    store.close()


def test_damage_in_a_pack_that_somebody_writes_to_is_left_for_later(whole: Whole) -> None:
    store, volume = whole
    store = reopened(store)
    with store.open_upload(volume.id) as upload:
        upload.put_object(Kind.CHUNK, noise(10, 77))
        flip(store, find_chunk(store, volume, b"g"))
        report = repair_store(store)
        assert (report.busy_packs, report.rewritten_packs) == (1, 0)
    assert repair(store).rewritten_packs == 1
    store.close()


REPAIR_AND_DIE = """
    import os, sys
    from volfs.store.embedded.care import repair as room
    from volfs.store.registry import open_store
    name, count = sys.argv[2], 0
    store = open_store(sys.argv[1])
    write = store._engine.environment.write
    def dying(*arguments, **options):
        global count
        count += 1
        if count > int(name):
            os._exit(9)
        return write(*arguments, **options)
    store._engine.environment.write = dying
    store.care.repair()
    os._exit(0)
"""


def test_repair_may_die_at_any_step(whole: Whole, tmp_path: Path) -> None:
    """S3QL #329: an interrupted fsck corrupted the metadata."""
    store, volume = whole
    store = reopened(store)
    forget(store, store.refs.get_head(volume.id).manifest)
    flip(store, find_chunk_of(store, volume, "g"))
    store.close()
    code, steps, status = textwrap.dedent(REPAIR_AND_DIE), 0, 9
    while status == 9:
        path = shutil.copytree(store.url, tmp_path / f"{steps}")
        command = [sys.executable, "-c", code, str(path), str(steps)]
        status = subprocess.run(command, check=False).returncode
        again = open_store(str(path))
        repair(again)
        assert [p.path for p in check_store(again).problems] == ["g"]
        assert read_file(again, volume, "d/f") == noise(CHUNK)
        again.close()
        steps += 1
    assert (status, steps > 5) == (0, True)


def find_chunk_of(store: Store, volume: VolumeRecord, path: str) -> Oid:
    """Also where the head's manifest is gone: by content."""
    return compute_oid(Kind.CHUNK, noise(CHUNK, 1 if path == "g" else 0))


# --- the index is lost ------------------------------------------------------


def lose_index(store: Store) -> str:
    store.close()
    shutil.rmtree(Path(store.url) / "index")
    return store.url


def test_a_store_without_its_index_is_refused_and_no_pack_is_touched(whole: Whole) -> None:
    """Dolt #11070: an empty index is not an empty store, and must never cut a pack."""
    store, _ = whole
    sizes = [path.stat().st_size for path in packs(store)]
    url = lose_index(store)
    for create in (False, True):
        with pytest.raises(DamagedObjectError, match="volfs rebuild-index"):
            open_store(url, create=create)
    assert [path.stat().st_size for path in packs(store)] == sizes


@pytest.mark.noisy("older than what was acknowledged")
def test_an_older_index_never_gives_out_the_id_of_a_pack_that_is_there(
    whole: Whole, tmp_path: Path
) -> None:
    store, volume = whole
    store.close()
    shutil.copytree(Path(store.url) / "index", tmp_path / "backup")
    store = open_store(store.url)
    with store.open_upload(volume.id) as one, store.open_upload(volume.id) as two:
        for upload, seed in ((one, 11), (two, 12)):
            upload.put_object(Kind.CHUNK, noise(CHUNK, seed))
        head = store.refs.get_head(volume.id)
        manifest = two.put_object(Kind.MANIFEST, b"a version that the backup has not")
        store.refs.publish(two, volume.id, head, Head(head.version + 1, manifest))
    files = {path.name: path.read_bytes() for path in packs(store)[2:]}
    assert files
    store.close()
    shutil.rmtree(Path(store.url) / "index")
    shutil.copytree(tmp_path / "backup", Path(store.url) / "index")
    store = open_store(store.url)
    with store.open_upload(volume.id) as one, store.open_upload(volume.id) as two:
        for upload, seed in ((one, 13), (two, 14)):
            upload.put_object(Kind.CHUNK, noise(CHUNK, seed))
        assert {
            path.name: path.read_bytes() for path in packs(store) if path.name in files
        } == files
    assert repair_store(store).found_packs == len(files)
    store.close()


def test_heads_and_histories_are_made_from_manifests(whole: Whole) -> None:
    """JuiceFS #714: losing the database loses nothing."""
    store, volume = whole
    rename_volume(store, "data", "renamed")
    create_tag(store, volume, "release", get_version(store, volume, "1"))
    volume = store.refs.get_volume("renamed")
    v1 = create_volume(store, "other", profile=1, auto_commit=2.5, chunk_bits=13)
    publish_files(store, v1, {"x": noise(CHUNK)})
    histories = {v.id: list(store.refs.iter_versions(v.id)) for v in (volume, v1)}
    url = lose_index(store)
    report, recovered = rebuild_store(url)
    assert report.refs_lost
    assert {(item.volume.name, item.versions[0]) for item in recovered} == {
        ("renamed", 2),
        ("other", 1),
    }
    assert not any(item.lost_tags for item in recovered)
    store = open_store(url)
    assert {
        volume_id: list(store.refs.iter_versions(volume_id)) for volume_id in histories
    } == histories
    assert store.refs.get_volume("other") == v1
    assert store.refs.get_volume("renamed") == volume
    assert store.refs.list_tags(volume.id) == [("release", 1)]
    assert read_file(store, volume, "d/h") == noise(CHUNK, 2)
    publish_files(store, volume, {"more": noise(CHUNK, 9)})
    assert check_store(store).is_clean
    store.close()


def test_what_was_deleted_takes_no_name_from_others(whole: Whole) -> None:
    """Its manifests are there until gc takes them, so it comes back: as nothing is ever lost."""
    store, volume = whole
    rename_volume(store, "data", "used")
    delete_volume(store, "used")
    other = create_volume(store, "data")
    rename_volume(store, "data", "used")
    url = lose_index(store)
    _, recovered = rebuild_store(url)
    names = {item.volume.id: item.volume.name for item in recovered}
    assert names == {other.id: "used", volume.id: f"recovered-{volume.id[3:11]}"}


def test_nor_what_gc_has_forgotten_to_be_deleted(whole: Whole) -> None:
    """Its manifests are in a pack that gc leaves; often enough for any order of ids."""
    store, _ = whole
    names = [f"name-{number}" for number in range(8)]
    for name in names:
        create_volume(store, name)
        delete_volume(store, name)
    living = {create_volume(store, name).id: name for name in names[:6]}
    collect_garbage(store)
    living |= {create_volume(store, name).id: name for name in names[6:]}
    rebuild_store(lose_index(store))
    store = open_store(store.url)
    found = {volume.id: volume.name for volume in store.refs.list_volumes()}
    store.close()
    assert len(found) > len(living) + 1, "the deleted ones came back, too"
    assert {volume_id: found[volume_id] for volume_id in living} == living


@pytest.mark.parametrize("damage", ["torn", "flipped", "gone"])
def test_a_name_log_that_is_damaged(whole: Whole, damage: str) -> None:
    """Each line is for itself; what it does not say is as if it had not been given later."""
    store, volume = whole
    log = name_log(store)
    for tag in ("one", "two", "three"):
        store.refs.put_tag(volume.id, tag, 1)
        if (damage, tag) == ("torn", "two"):
            log.write_bytes(log.read_bytes()[:-10])
        if (damage, tag) == ("gone", "two"):
            log.unlink()
    if damage == "flipped":
        spoil_line(store, '"two"')
    report, _ = rebuild_store(lose_index(store))
    assert report.damaged_names == (damage == "flipped")
    store = open_store(store.url)
    left = ["one", "three", "two"] if damage == "gone" else ["one", "three"]
    assert [tag.name for tag in store.refs.list_tags(volume.id)] == left
    assert repair(store).mended_names == (damage == "flipped")
    assert check_store(store).is_clean
    store.close()


def name_log(store: Store) -> Path:
    return Path(store.url) / "names.log"


def spoil_line(store: Store, text: str) -> None:
    """Damage each line of the name log with this in it."""
    lines = name_log(store).read_text().split("\n")
    spoiled = [line.replace("vo-", "vx-") if text in line else line for line in lines]
    assert spoiled != lines
    name_log(store).write_text("\n".join(spoiled))


def test_a_tag_of_a_version_that_is_lost(whole: Whole) -> None:
    store, volume = whole
    store.refs.put_tag(volume.id, "one", 1)
    store.refs.put_tag(volume.id, "two", 2)
    store = reopened(store)
    flip(store, head_snapshot(store, volume).root.tree)
    _, (recovered,) = rebuild_store(lose_index(store))
    assert (recovered.versions, recovered.lost_tags) == ([1, 0], {"two": 2})


def test_a_publish_that_lost_its_race_is_no_version(whole: Whole) -> None:
    store, volume = whole
    with Edit(store, volume) as edit:
        put_bytes(edit, "mine", noise(CHUNK, 3))
        publish_files(store, volume, {"theirs": noise(CHUNK, 4)})
        edit.commit(CommitNote())
    heads = list(store.refs.iter_versions(volume.id))
    url = lose_index(store)
    rebuild_store(url)
    store = open_store(url)
    assert list(store.refs.iter_versions(volume.id)) == heads
    store.close()


def test_a_head_whose_trees_are_gone_is_left_out(whole: Whole) -> None:
    store, volume = whole
    tree = head_snapshot(store, volume).root.tree
    store = reopened(store)
    flip(store, tree)
    url = lose_index(store)
    report, recovered = rebuild_store(url)
    assert report.damaged_packs == 1
    assert [(item.versions, item.incomplete) for item in recovered] == [([1, 0], [2])]
    store = open_store(url)
    assert set(list_paths(store, volume)) == {"d/", "d/f", "g"}
    store.close()


def test_rebuilding_keeps_refs_and_quarantine(whole: Whole) -> None:
    store, volume = whole
    publish_files(store, create_volume(store, "gone"), {"f": noise(900_000, 5)})
    delete_volume(store, "gone")
    assert collect_garbage(store).waiting_packs
    store.refs.put_tag(volume.id, "release", 1)
    rename_volume(store, "data", "renamed")
    heads = list(store.refs.iter_versions(volume.id))
    environment, tables = rows(store)
    with environment.write() as txn:  # type: ignore[attr-defined]
        txn.raw.drop(tables["objects"].raw, delete=False)  # type: ignore[attr-defined]
    assert not check_store(store).is_clean
    store.close()
    report, recovered = rebuild_store(store.url)
    assert (report.refs_lost, recovered) == (False, [])
    store = open_store(store.url)
    assert list(store.refs.iter_versions(volume.id)) == heads
    assert [v.name for v in store.refs.list_volumes()] == ["renamed"]
    assert dict(store.refs.list_tags(volume.id)).get("release") == 1
    assert check_store(store).is_clean
    assert store.care.undelete().packs
    store.close()


def test_damaged_counters_lose_no_tags(whole: Whole) -> None:
    store, volume = whole
    store.refs.put_tag(volume.id, "release", 1)
    publish_files(store, create_volume(store, "gone"), {"f": noise(900_000, 5)})
    delete_volume(store, "gone")
    assert collect_garbage(store).waiting_packs
    spoil_counters(store)
    store.close()
    assert not rebuild_store(store.url)[0].refs_lost
    store = open_store(store.url)
    assert dict(store.refs.list_tags(volume.id)).get("release") == 1
    assert check_store(store).is_clean
    ids = {int(path.stem) for path in packs(store)}
    with store.open_upload(volume.id) as one, store.open_upload(volume.id) as two:
        for upload, seed in ((one, 11), (two, 12)):
            upload.put_object(Kind.CHUNK, noise(900_000, seed))
    assert min({int(path.stem) for path in packs(store)} - ids) > max(ids)
    store.close()


def find_damage(store: Store) -> list[str]:
    return [f"{item.where}: {item.problem}" for item in check_store(store).damage]


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


def test_rebuilding_leaves_what_was_not_published(whole: Whole) -> None:
    store, volume = whole
    with store.open_upload(volume.id) as upload:
        oid = upload.put_object(Kind.CHUNK, noise(CHUNK, 6))
    store.close()
    rebuild_store(store.url)
    store = open_store(store.url)
    assert not store.objects_of(volume.id).contains(oid)
    publish_files(store, volume, {"n": noise(CHUNK, 7)})
    assert check_store(store).is_clean
    store.close()


def test_a_store_in_use_is_not_rebuilt(whole: Whole) -> None:
    store, _ = whole
    with pytest.raises(StoreUnavailableError, match="in use"):
        rebuild_index(store.url)
    refused: list[Progress] = []

    def open_meanwhile(progress: Progress) -> None:
        with pytest.raises(StoreUnavailableError, match="being rebuilt"):
            open_store(store.url)
        refused.append(progress)

    rebuild_index(reopen_later(store), open_meanwhile)
    assert refused
    open_store(store.url).close()


class DiedError(Exception):
    """In place of a kill."""


def reopen_later(store: Store) -> str:
    store.close()
    return store.url


def test_rebuilding_may_die_before_its_end(whole: Whole) -> None:
    store, volume = whole
    heads = list(store.refs.iter_versions(volume.id))
    store.close()

    def die(progress: Progress) -> None:
        raise DiedError

    with pytest.raises(DiedError):
        rebuild_index(store.url, die)  # As a process that is killed: nothing was put in place.
    store = open_store(store.url)
    assert list(store.refs.iter_versions(volume.id)) == heads
    assert check_store(store).is_clean
    store.close()
    rebuild_store(store.url)
    assert not (Path(store.url) / "index.new").exists()
    store = open_store(store.url)
    assert check_store(store).is_clean
    store.close()


def test_recovery_that_died_is_finished_by_the_next(whole: Whole) -> None:
    store, volume = whole
    url = lose_index(store)
    rebuild_index(url)
    store = open_store(url)
    assert store.refs.list_volumes() == []
    assert store.care.has_lost_refs()
    store.close()
    rebuild_store(url)
    store = open_store(url)
    assert store.refs.get_head(volume.id).version == 2
    assert not store.care.has_lost_refs()
    store.close()


def test_an_index_that_cannot_be_read_is_replaced(whole: Whole) -> None:
    store, volume = whole
    store.close()
    (Path(store.url) / "index" / "data.mdb").write_bytes(b"not LMDB" * 4096)
    with pytest.raises(DataError):
        open_store(store.url)
    _, recovered = rebuild_store(store.url)
    assert [item.volume.id for item in recovered] == [volume.id]
    assert (Path(store.url) / "index" / "data.mdb.old").read_bytes().startswith(b"not LMDB")
    store = open_store(store.url)
    assert check_store(store).is_clean
    store.close()
