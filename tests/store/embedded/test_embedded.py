"""What is particular to the embedded engine: its directory, packs, locks and processes."""

from __future__ import annotations

import errno
import random
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import lmdb
import pytest

from tests.harness.uploads import die_with
from volfs.errors import (
    DamagedObjectError,
    DataError,
    MissingObjectError,
    NotAStoreError,
    OutOfSpaceError,
    StoreDeniedError,
    StoreError,
    StoreReplacedError,
    StoreUnavailableError,
    UnsupportedFormatError,
)
from volfs.model.objects import Buffer, Kind, Oid, compute_oid
from volfs.model.pack import PACK_HEADER_SIZE, RECORD_HEADER_SIZE, Codec
from volfs.store.checked_lmdb.environment import LmdbEnvironment, store_errors
from volfs.store.contract.care import Damage
from volfs.store.contract.refs import Head, VolumeRecord
from volfs.store.embedded.engine import EmbeddedStore, open_embedded
from volfs.store.packs.rows import IndexEntry, decode_entry, encode_entry
from volfs.store.registry import open_store

VOLUME = VolumeRecord("vo-" + "0" * 22, "data", 2, 20, 1, "me")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def store(path: Path) -> Iterator[EmbeddedStore]:
    store = open_embedded(str(path), create=True)
    store.refs.create_volume(VOLUME, b"manifest 0")
    yield store
    store.close()


def add(store: EmbeddedStore, *chunks: bytes, kind: Kind = Kind.CHUNK) -> list[Oid]:
    head = store.refs.get_head(VOLUME.id)
    with store.open_upload(VOLUME.id) as upload:
        oids = [upload.put_object(kind, chunk) for chunk in chunks]
        manifest = upload.put_object(Kind.MANIFEST, f"manifest {head.version + 1}".encode())
        store.refs.publish(upload, VOLUME.id, head, Head(head.version + 1, manifest))
    return oids


def noise(size: int, seed: int = 0) -> bytes:
    return random.Random(f"{seed} {size}").randbytes(size)


def packs(path: Path) -> list[Path]:
    return sorted((path / "packs").iterdir())


def data_pack(path: Path) -> Path:
    return next(pack for pack in packs(path) if pack.read_bytes()[8] == 1)


def list_damage(store: EmbeddedStore) -> list[Damage]:
    return list(store.care.iter_damage())


def run_python(code: str, *arguments: str) -> str:
    command = [sys.executable, "-c", textwrap.dedent(code), *arguments]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


# --- the directory ----------------------------------------------------------


def test_layout_and_modes(store: EmbeddedStore, path: Path) -> None:
    add(store, b"chunk")
    assert sorted(item.name for item in path.iterdir()) == ["format", "index", "packs"]
    assert (path / "format").read_text() == '{"format":"volfs","version":2}'
    assert [pack.name for pack in packs(path)] == ["00000001.pack", "00000002.pack"]
    assert {item.stat().st_mode & 0o777 for item in (path, path / "packs", path / "index")} == {
        0o700
    }
    assert {item.stat().st_mode & 0o777 for item in packs(path)} == {0o600}


def test_create_in_an_empty_directory_and_below_absent_ones(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir(mode=0o755)
    for place in ("empty", "a/b/c"):
        open_store(f"{tmp_path}/{place}", create=True).close()
        open_store(f"file:{tmp_path}/{place}", create=True).close()
        open_store(f"file://{tmp_path}/{place}").close()
        assert (tmp_path / place).stat().st_mode & 0o777 == 0o700


def test_no_store(path: Path) -> None:
    with pytest.raises(NotAStoreError, match=r"no store at .*; `volfs create NAME` makes one"):
        open_store(str(path))
    assert not path.exists()


@pytest.mark.parametrize("create", [False, True])
def test_a_directory_of_other_files_is_left_alone(path: Path, create: bool) -> None:
    path.mkdir()
    (path / "thesis.tex").write_text("x")
    with pytest.raises(NotAStoreError, match="other files"):
        open_store(str(path), create=create)
    assert [item.name for item in path.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("create", [False, True])
def test_a_file_is_no_store(path: Path, create: bool) -> None:
    path.write_text("x")
    with pytest.raises(NotAStoreError):
        open_store(str(path), create=create)


@pytest.mark.parametrize("create", [False, True])
@pytest.mark.parametrize(
    ("text", "error"),
    [
        ('{"format":"volfs","version":3,"new":[]}', UnsupportedFormatError),
        ('{"format":"volfs","version":0}', NotAStoreError),
        ('{"format":"volfs","version":1,"more":1}', NotAStoreError),
        ('{"format":"other","version":1}', NotAStoreError),
        ("", NotAStoreError),
        ("[]", NotAStoreError),
    ],
)
def test_other_format_files(path: Path, text: str, error: type[Exception], create: bool) -> None:
    path.mkdir()
    (path / "format").write_text(text)
    with pytest.raises(error):
        open_store(str(path), create=create)
    assert [item.name for item in path.iterdir()] == ["format"]


@pytest.mark.parametrize("url", ["s3://bucket/x", "nfs://host/x", "", "file:", "file://"])
def test_other_addresses(url: str) -> None:
    with pytest.raises(NotAStoreError):
        open_store(url)


def test_a_creation_that_died_is_finished(path: Path) -> None:
    open_store(str(path), create=True).close()
    (path / "format").rename(path / "format.123.new")
    with pytest.raises(NotAStoreError):
        open_store(str(path))
    open_store(str(path), create=True).close()
    open_store(str(path)).close()


def test_losing_the_format_file_of_a_used_store_loses_nothing(
    store: EmbeddedStore, path: Path
) -> None:
    add(store, b"chunk")
    store.close()
    (path / "format").unlink()
    with pytest.raises(NotAStoreError):
        open_store(str(path), create=True)
    assert len(packs(path)) == 2


# --- one engine in a process ------------------------------------------------


def test_two_opens_share_one_engine(store: EmbeddedStore, path: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(path)
    other = open_store(str(tmp_path / "link"))
    assert other.objects_of(VOLUME.id) is store.objects_of(VOLUME.id)
    other.close()
    other.close()
    add(store, b"still open")


def test_without_its_packs_directory_nothing_is_written(
    store: EmbeddedStore, path: Path, tmp_path: Path
) -> None:
    (path / "packs").rename(tmp_path / "away")
    with pytest.raises(StoreReplacedError, match="packs is gone"):
        add(store, b"chunk")
    (tmp_path / "away").rename(path / "packs")
    add(store, b"chunk")


def test_closed_store_says_so(store: EmbeddedStore) -> None:
    store.close()
    for call in (
        lambda: store.open_upload(VOLUME.id),
        store.refs.list_volumes,
        lambda: store.refs.get_head(VOLUME.id),
    ):
        with pytest.raises(StoreError, match="closed"):
            call()


def test_a_forked_process_is_refused(store: EmbeddedStore, path: Path) -> None:
    store.close()
    code = """
        import os, sys
        from volfs.errors import StoreError
        from volfs.store.registry import open_store
        store = open_store(sys.argv[1])
        if os.fork() == 0:
            refused = 0
            upload, again = lambda: store.open_upload("vo"), lambda: open_store(sys.argv[1])
            for call in (store.refs.list_volumes, upload, again):
                try:
                    call()
                except StoreError as error:
                    refused += "fork" in str(error)
            os._exit(refused)
        print(os.waitstatus_to_exitcode(os.wait()[1]), len(store.refs.list_volumes()))
    """
    assert run_python(code, str(path)) == "3 1\n"


# --- packs ------------------------------------------------------------------


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


PUBLISH = """
    import random, sys
    from volfs.errors import HeadMovedError
    from volfs.model.objects import Kind
    from volfs.store.contract.refs import Head
    from volfs.store.registry import open_store
    url, volume, count, seed = sys.argv[1:]
    store = open_store(url)
    for number in range(int(count)):
        with store.open_upload(volume) as upload:
            upload.put_object(Kind.CHUNK, random.Random(f"{seed} {number}").randbytes(3000))
            while True:
                head = store.refs.get_head(volume)
                text = f"{seed} {number} after {head.version}".encode()
                new = Head(head.version + 1, upload.put_object(Kind.MANIFEST, text))
                try:
                    store.refs.publish(upload, volume, head, new)
                except HeadMovedError:
                    continue
                break
    store.close()
"""


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


# --- known objects that go away ---------------------------------------------


def forget(store: EmbeddedStore, oid: Oid) -> None:
    """What gc of another process does to the index."""
    engine = store._engine
    with engine.environment.write() as txn:
        assert txn.delete(oid, db=engine.index._objects)


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


# --- damage -----------------------------------------------------------------


@pytest.mark.parametrize("which", [0, 1])
def test_a_changed_byte_is_found_and_never_returned(
    store: EmbeddedStore, path: Path, which: int
) -> None:
    objects = {
        Kind.CHUNK: [noise(900), b"compressible " * 100, b""],
        Kind.TREE: [noise(700, 1), b"a tree " * 80],
    }
    for kind, datas in objects.items():
        add(store, *datas, kind=kind)
    store.close()
    pack = packs(path)[which]
    sound = pack.read_bytes()
    for at in {*range(0, len(sound), 37), 0, 8, 15, 16, 20, len(sound) - 1}:
        pack.write_bytes(sound[:at] + bytes([sound[at] ^ 0x10]) + sound[at + 1 :])
        damaged = open_embedded(str(path), create=False)
        for kind, datas in objects.items():
            for data in datas:
                expect_right_or_error(damaged, compute_oid(kind, data), data)
        found = list_damage(damaged)
        assert found, at
        assert "pack" in found[0].where
        damaged.close()
    pack.write_bytes(sound)


def expect_right_or_error(store: EmbeddedStore, oid: Oid, data: bytes) -> None:
    half = len(data) // 2
    reads: list[tuple[Callable[[], Buffer | None], bytes]] = [
        (
            lambda: store.objects_of(VOLUME.id).read_object_ready(oid, half, half),
            data[half : 2 * half],
        ),
        (lambda: store.objects_of(VOLUME.id).read_object(oid, 0, half), data[:half]),
        (lambda: store.objects_of(VOLUME.id).load_object(oid), data),
    ]
    for read, expected in reads:
        found: Buffer | None
        try:
            found = read()
        except DataError as error:
            found, said = None, str(error)
        else:
            said = f"{oid.hex()} in pack"
        assert found is None or found == expected
        assert f"{oid.hex()} in pack" in said


def test_long_decoding_is_no_ready_answer(store: EmbeddedStore) -> None:
    """It is left to whoever may wait, and is ready once it has been done."""
    short, long = add(store, b"text " * 1000, b"text " * 100_000)
    objects = store.objects_of(VOLUME.id)
    if objects.read_object_ready(short, 0, 5) is None:
        pytest.skip("this file system has no reads that refuse to wait")
    assert objects.read_object_ready(long, 0, 400_000) is None
    assert objects.read_object_ready(long, 0, 5) == b"text "
    assert objects.read_object(long, 5, 400_000) == b"text " * 80_000
    assert objects.read_object_ready(long, 10, 300_000) == b"text " * 60_000


@pytest.mark.parametrize("keep", [0, PACK_HEADER_SIZE, 40, 500])
def test_a_truncated_pack(store: EmbeddedStore, path: Path, keep: int) -> None:
    (oid,) = add(store, noise(1000))
    store.close()
    data_pack(path).write_bytes(data_pack(path).read_bytes()[:keep] if keep else b"VOLFSPK1\1")
    cut = open_embedded(str(path), create=False)
    with pytest.raises(DamagedObjectError, match=rf"{oid.hex()} in pack 2 at 80"):
        cut.objects_of(VOLUME.id).load_object(oid)
    assert {item.oid for item in list_damage(cut)} >= {None, oid}
    cut.close()


def test_a_missing_pack(store: EmbeddedStore, path: Path) -> None:
    (oid,) = add(store, noise(1000))
    store.close()
    data_pack(path).unlink()
    cut = open_embedded(str(path), create=False)
    with pytest.raises(MissingObjectError, match=rf"{oid.hex()} in pack 2 at 80.*missing"):
        cut.objects_of(VOLUME.id).load_object(oid)
    assert {item.oid for item in list_damage(cut)} == {None, oid}
    cut.close()


def test_packs_of_equal_size_that_were_swapped(store: EmbeddedStore, path: Path) -> None:
    """Checksums are right everywhere, and yet nothing is where the index says."""
    engine = store._engine
    one, two = add(store, noise(1000, 1), noise(1000, 2))
    entries = [engine.index.find_entry(oid) for oid in (one, two)]
    assert all(entries)
    with engine.environment.write() as txn:
        for oid, entry in zip((two, one), entries, strict=True):
            txn.put(oid, encode_entry(entry), db=engine.index._objects)  # type: ignore[arg-type]
    for oid in (one, two):
        with pytest.raises(DamagedObjectError, match="another object"):
            store.objects_of(VOLUME.id).load_object(oid)
    assert {item.oid for item in list_damage(store)} == {one, two}


def test_a_lost_manifest_is_damage(store: EmbeddedStore) -> None:
    manifest = store.refs.get_head(VOLUME.id).manifest
    forget(store, manifest)
    lost, unnamed = list_damage(store)
    assert lost.oid == manifest
    assert unnamed.where == "names.log", "it alone tells now what the volume is called"


# --- index rows and errors --------------------------------------------------


def test_golden_index_entry() -> None:
    entry = IndexEntry(7, 80, 5, 9, 0x0102030405060708, Codec.ZSTD, Kind.TREE)
    row = encode_entry(entry)
    golden = "07000000 5000000000000000 05000000 09000000 0807060504030201 01 02 0000"
    assert row == bytes.fromhex(golden)
    assert decode_entry(compute_oid(Kind.TREE, b""), row) == entry


@pytest.mark.parametrize(
    "row", ["", "00" * 32, "070000004f000000000000000500000005000000" + "00" * 9 + "010000"]
)
def test_damaged_index_entries(row: str) -> None:
    with pytest.raises(DamagedObjectError, match="index entry"):
        decode_entry(compute_oid(Kind.CHUNK, b""), bytes.fromhex(row))


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (OSError(errno.ENOSPC, "full"), OutOfSpaceError),
        (OSError(errno.EDQUOT, "quota"), OutOfSpaceError),
        (OSError(errno.EACCES, "no"), StoreDeniedError),
        (OSError(errno.EPERM, "no"), StoreDeniedError),
        (OSError(errno.EROFS, "read-only"), StoreDeniedError),
        (OSError(errno.EIO, "bad"), StoreUnavailableError),
        (lmdb.MapFullError("x"), OutOfSpaceError),
        (lmdb.DiskError("x"), OutOfSpaceError),
        (lmdb.CorruptedError("x"), DamagedObjectError),
        (lmdb.InvalidError("x"), DamagedObjectError),
        (lmdb.ReadonlyError("x"), StoreDeniedError),
        (lmdb.Error("mdb_put: Disk quota exceeded"), OutOfSpaceError),
        (lmdb.Error("mdb_env_open: Input/output error"), StoreUnavailableError),
        (lmdb.ReadersFullError("x"), StoreUnavailableError),
    ],
)
def test_every_system_error_becomes_a_store_error(
    raised: Exception, expected: type[Exception]
) -> None:
    with pytest.raises(expected, match="pack 3"), store_errors("pack 3"):
        raise raised


def test_a_full_disk_is_refused_before_writing(tmp_path: Path) -> None:
    environment = LmdbEnvironment(tmp_path)
    with pytest.raises(OutOfSpaceError, match="free"), environment.write(reserve=1 << 62):
        pytest.fail("the transaction began")
    with environment.write():
        pass
    environment.close()


def test_running_out_of_space_in_a_pack_loses_nothing(store: EmbeddedStore, path: Path) -> None:
    (before,) = add(store, noise(1000))
    store.close()
    code = """
        import os, resource, sys
        from volfs.errors import OutOfSpaceError
        from volfs.model.objects import Kind
        from volfs.store.registry import open_store
        store = open_store(sys.argv[1])
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
        with store.open_upload(sys.argv[2]) as upload:
            try:
                for number in range(100):
                    upload.put_object(Kind.CHUNK, os.urandom(100_000))
            except OutOfSpaceError:
                print("full after", number)
        with store.open_upload(sys.argv[2]) as upload:
            upload.put_object(Kind.CHUNK, b"small things still fit")
    """
    assert run_python(code, str(path), VOLUME.id) == "full after 10\n"
    again = open_embedded(str(path), create=False)
    add(again, noise(2000))
    assert again.objects_of(VOLUME.id).load_object(before) == noise(1000)
    assert list_damage(again) == []
    again.close()


def test_running_out_of_space_in_the_index_moves_nothing(store: EmbeddedStore, path: Path) -> None:
    store.close()
    code = """
        import resource, sys
        from volfs.errors import StoreError
        from volfs.model.objects import Kind
        from volfs.store.contract.refs import Head
        from volfs.store.registry import open_store
        store = open_store(sys.argv[1])
        head = store.refs.get_head(sys.argv[2])
        none = resource.getrlimit(resource.RLIMIT_FSIZE)
        with store.open_upload(sys.argv[2]) as upload:
            for number in range(5000):
                upload.put_object(Kind.CHUNK, b"%d" % number)
            new = Head(1, upload.put_object(Kind.MANIFEST, b"m"))
            resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, none[1]))
            try:
                store.refs.publish(upload, sys.argv[2], head, new)
            except StoreError:
                print("full", store.refs.get_head(sys.argv[2]) == head)
            resource.setrlimit(resource.RLIMIT_FSIZE, none)
            store.refs.publish(upload, sys.argv[2], head, new)
        print(store.refs.get_head(sys.argv[2]) == new)
    """
    assert run_python(code, str(path), VOLUME.id) == "full True\nTrue\n"
    again = open_embedded(str(path), create=False)
    assert list_damage(again) == []
    again.close()


def test_a_process_id_that_another_one_has_is_told_of(tmp_path: Path) -> None:
    """LMDB tells its readers apart by them; in namespaces of its own each process is 1."""
    path = tmp_path / "store"
    open_store(str(path), create=True).close()
    code = f"""if True:
        import sys
        from volfs.errors import StoreUnavailableError
        from volfs.store.registry import open_store
        try:
            store = open_store({str(path)!r})
            print(store.refs.list_volumes(), flush=True)
            sys.stdin.readline()
            store.close()
        except StoreUnavailableError as error:
            print(error)
    """
    command = ["unshare", "--pid", "--fork", sys.executable, "-c", code]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as first:
        assert first.stdout.readline() == "[]\n"
        later = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, check=False
        )
        first.communicate("\n")
    assert "share the machine's process ids" in later.stdout


# --- what other engines need not do ------------------------------------------


def test_all_volumes_share_one_index(store: EmbeddedStore) -> None:
    """And it says at once that an object is missing."""
    (oid,) = add(store, b"chunk")
    for volume_id in (VOLUME.id, "vo-none"):
        objects = store.objects_of(volume_id)
        assert objects.load_object_ready(oid) == b"chunk"
        assert objects.ahead == 8 << 20
        absent = compute_oid(Kind.TREE, b"never put")
        for read in (
            lambda o=objects, a=absent: o.load_object_ready(a),
            lambda o=objects, a=absent: o.read_object_ready(a, 0, 1),
        ):
            with pytest.raises(MissingObjectError):
                read()


def test_its_own_directory_has_its_sessions_and_its_room(store: EmbeddedStore, path: Path) -> None:
    assert store.local == path == Path(store.url)
    space = store.care.find_space()
    assert space is not None
    assert 0 < space.free <= space.total


def test_the_head_is_known_without_asking(store: EmbeddedStore) -> None:
    add(store, b"1")
    assert store.refs.guess_head(VOLUME.id) == store.refs.get_head(VOLUME.id)
