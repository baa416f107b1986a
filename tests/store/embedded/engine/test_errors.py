"""Rows of the index that are damaged, errors of the system, and a disk that is full."""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path

import lmdb
import pytest

from tests.store.embedded.published import VOLUME, add, list_damage, noise, run_python
from volfs.errors import (
    DamagedObjectError,
    OutOfSpaceError,
    StoreDeniedError,
    StoreUnavailableError,
)
from volfs.model.objects import Kind, compute_oid
from volfs.model.pack import Codec
from volfs.store.checked_lmdb.environment import LmdbEnvironment, store_errors
from volfs.store.embedded.engine import EmbeddedStore, open_embedded
from volfs.store.packs.rows import IndexEntry, decode_entry, encode_entry
from volfs.store.registry import open_store


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
