"""Repair of damaged packs converges, and new data heals old damage."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.volume.index_rows import find_chunk, flip, forget
from tests.volume.repairing import CHUNK, Whole, data_pack, find_chunk_of, packs, reopened, repair
from tests.volume.shortcuts import (
    head_snapshot,
    noise,
    publish_files,
    read_file,
)
from volfs.model.objects import Kind
from volfs.model.references import Reference
from volfs.store.registry import open_store
from volfs.volume.check import check_store
from volfs.volume.gc import Mark, collect_garbage
from volfs.volume.recovery import repair_store
from volfs.volume.volumes import create_volume


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
