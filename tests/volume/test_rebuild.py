"""A lost index is made again, with heads, histories and names."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.volume.index_rows import flip, rows, spoil_counters
from tests.volume.repairing import (
    CHUNK,
    Whole,
    lose_index,
    name_log,
    packs,
    reopen_later,
    reopened,
    repair,
    spoil_line,
)
from tests.volume.shortcuts import (
    head_snapshot,
    list_paths,
    noise,
    publish_files,
    put_bytes,
    read_file,
)
from volfs.errors import DamagedObjectError, DataError, StoreUnavailableError
from volfs.model.objects import Kind
from volfs.model.progress import Progress
from volfs.store.contract.refs import Head
from volfs.store.registry import open_store, rebuild_index
from volfs.volume.check import check_store
from volfs.volume.commit import CommitNote
from volfs.volume.edit import Edit
from volfs.volume.gc import collect_garbage
from volfs.volume.history import create_tag, get_version
from volfs.volume.recovery import rebuild_store, repair_store
from volfs.volume.volumes import create_volume, delete_volume, rename_volume


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
    create_tag(store.refs, volume, "release", get_version(store.refs, volume, "1"))
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
