"""How uploads share packs, adopt them, and rely on objects that are known."""

from __future__ import annotations

import random
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.harness.uploads import die_with
from tests.store.embedded.published import (
    PUBLISH,
    VOLUME,
    add,
    data_pack,
    forget,
    list_damage,
    noise,
    packs,
    run_python,
)
from volfs.errors import (
    MissingObjectError,
)
from volfs.model.objects import Kind, compute_oid
from volfs.model.pack import RECORD_HEADER_SIZE
from volfs.store.checked_lmdb.environment import LmdbEnvironment
from volfs.store.contract.refs import Head
from volfs.store.embedded.engine import EmbeddedStore, open_embedded

# --- packs -------------------------------------------------------------------


def test_chunks_and_the_rest_are_apart(store: EmbeddedStore, path: Path) -> None:
    add(store, b"a chunk of content")
    add(store, b"a tree", kind=Kind.TREE)
    add(store, b"a chunk list", kind=Kind.CHUNK_LIST)
    meta, data = (pack.read_bytes() for pack in packs(path))
    assert (meta[8], data[8]) == (2, 1)
    assert b"content" in data
    assert b"content" not in meta
    assert all(part in meta and part not in data for part in (b"a tree", b"a chunk list"))


def test_small_commits_share_packs(store: EmbeddedStore, path: Path) -> None:
    for number in range(20):
        add(store, noise(100, number))
    store.close()
    again = open_embedded(str(path), create=False)
    add(again, noise(100, 99))
    assert len(packs(path)) == 2
    assert list_damage(again) == []
    again.close()


def test_adoption_cuts_the_tail_of_a_dead_upload(store: EmbeddedStore, path: Path) -> None:
    (published,) = add(store, noise(1000))
    whole = data_pack(path).stat().st_size
    with store.open_upload(VOLUME.id) as upload:
        upload.put_object(Kind.CHUNK, noise(5000, 1))
        die_with(upload)
    assert data_pack(path).stat().st_size == whole + RECORD_HEADER_SIZE + 5000
    assert list_damage(store) == []
    add(store, noise(10))
    assert data_pack(path).stat().st_size == whole + RECORD_HEADER_SIZE + 10
    assert store.objects_of(VOLUME.id).load_object(published) == noise(1000)


def test_a_torn_tail_is_no_damage_and_is_cut(store: EmbeddedStore, path: Path) -> None:
    add(store, noise(1000))
    store.close()
    with data_pack(path).open("ab") as file:
        file.write(b"vrec and then the power failed")
    again = open_embedded(str(path), create=False)
    assert list_damage(again) == []
    (oid,) = add(again, noise(50))
    assert again.objects_of(VOLUME.id).load_object(oid) == noise(50)
    assert list_damage(again) == []
    assert len(packs(path)) == 2
    again.close()


def test_a_short_or_missing_pack_is_never_adopted(store: EmbeddedStore, path: Path) -> None:
    add(store, noise(1000))
    store.close()
    meta, data = packs(path)
    data.write_bytes(data.read_bytes()[:500])
    meta.unlink()
    again = open_embedded(str(path), create=False)
    (oid,) = add(again, noise(50))
    assert again.objects_of(VOLUME.id).load_object(oid) == noise(50)
    assert data.stat().st_size == 500
    assert not meta.exists()
    assert len(packs(path)) == 3
    again.close()


def test_an_allocated_pack_without_a_file_is_used(store: EmbeddedStore, path: Path) -> None:
    store.close()
    environment = LmdbEnvironment(path / "index")
    rows, counters = environment.open_table(b"packs"), environment.open_table(b"counters")
    with environment.write() as txn:
        txn.put((2).to_bytes(4, "big"), b"\1" + bytes(8), db=rows)
        txn.put(b"next-pack", (3).to_bytes(4, "little"), db=counters)
    environment.close()
    again = open_embedded(str(path), create=False)
    (oid,) = add(again, noise(50))
    assert again.objects_of(VOLUME.id).load_object(oid) == noise(50)
    assert [pack.name for pack in packs(path)] == ["00000001.pack", "00000002.pack"]
    again.close()


def test_another_process_does_not_cut_a_live_upload(store: EmbeddedStore, path: Path) -> None:
    add(store, noise(10))
    head = store.refs.get_head(VOLUME.id)
    with store.open_upload(VOLUME.id) as upload:
        oid = upload.put_object(Kind.CHUNK, noise(5000))
        run_python(PUBLISH, str(path), VOLUME.id, "1", "0")
        manifest = upload.put_object(Kind.MANIFEST, b"after them")
        store.refs.publish(
            upload, VOLUME.id, Head(*store.refs.get_head(VOLUME.id)), Head(3, manifest)
        )
    assert head.version == 1
    assert store.objects_of(VOLUME.id).load_object(oid) == noise(5000)
    assert len(packs(path)) == 4
    assert list_damage(store) == []


def test_four_processes_publish_a_linear_history(store: EmbeddedStore, path: Path) -> None:
    code = textwrap.dedent(PUBLISH)
    commands = [
        [sys.executable, "-c", code, str(path), VOLUME.id, "25", str(seed)] for seed in range(4)
    ]
    running = [subprocess.Popen(command) for command in commands]
    assert [process.wait() for process in running] == [0] * 4
    heads = list(store.refs.iter_versions(VOLUME.id))
    assert [head.version for head in heads] == list(range(100, -1, -1))
    notes = [
        store.objects_of(VOLUME.id).load_object(head.manifest).decode().split()
        for head in heads[:-1]
    ]
    assert [int(words[-1]) for words in notes] == list(range(99, -1, -1))
    assert len({(words[0], words[1]) for words in notes}) == 100
    for seed, number in ((0, 0), (3, 24)):
        data = random.Random(f"{seed} {number}").randbytes(3000)
        assert store.objects_of(VOLUME.id).load_object(compute_oid(Kind.CHUNK, data)) == data
    assert list_damage(store) == []


# --- known objects that go away ----------------------------------------------


def test_a_known_object_that_vanished_fails_the_publish(store: EmbeddedStore) -> None:
    (oid,) = add(store, noise(1000))
    head = store.refs.get_head(VOLUME.id)
    with store.open_upload(VOLUME.id) as upload:
        upload.put_object(Kind.CHUNK, noise(1000))
        manifest = upload.put_object(Kind.MANIFEST, b"relies on it")
        forget(store, oid)
        with pytest.raises(MissingObjectError, match="try again"):
            store.refs.publish(upload, VOLUME.id, head, Head(2, manifest))
        assert store.refs.get_head(VOLUME.id) == head
        upload.put_object(Kind.CHUNK, noise(1000))
        store.refs.publish(upload, VOLUME.id, head, Head(2, manifest))
        assert upload.load_object(oid) == noise(1000)
    assert store.objects_of(VOLUME.id).load_object(oid) == noise(1000)
    assert list_damage(store) == []


def test_an_upload_of_another_store_is_refused(store: EmbeddedStore, tmp_path: Path) -> None:
    other = open_embedded(str(tmp_path / "other"), create=True)
    head = store.refs.get_head(VOLUME.id)
    with other.open_upload(VOLUME.id) as upload:
        oid = upload.put_object(Kind.MANIFEST, b"m")
        with pytest.raises(ValueError, match="another store"):
            store.refs.publish(upload, VOLUME.id, head, Head(1, oid))
    other.close()


def test_putting_an_object_again_repairs_it(store: EmbeddedStore, path: Path) -> None:
    (oid,) = add(store, noise(1000))
    store.close()
    data_pack(path).unlink()
    again = open_embedded(str(path), create=False)
    with pytest.raises(MissingObjectError):
        again.objects_of(VOLUME.id).load_object(oid)
    add(again, noise(1000))
    assert again.objects_of(VOLUME.id).load_object(oid) == noise(1000)
    again.close()
