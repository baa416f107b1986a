"""Opening a store in a bucket by its address, on a real server, from several processes."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.bucket_servers import secret_of
from tests.harness.servers import SeaweedServer
from tests.store.contract import add, make_record, noise, run_python
from volfs.errors import AlreadyExistsError, NotAStoreError, StoreError
from volfs.model.objects import Oid
from volfs.store.distributed import machine
from volfs.store.distributed.bucket_engine import BucketStore, open_distributed

VOLUME = make_record().id
PUBLISH = """
    import sys
    from tests.store.contract import add
    from volfs.store.distributed.bucket_engine import open_distributed
    url, volume = sys.argv[1:]
    store = open_distributed(url, False)
    (oid,) = add(store, volume, b"from another process")
    with store.leases.hold(volume, store.refs.get_head(volume)):
        print(store.leases.host, oid.hex(), store.leases.list_held(volume))
    store.close()
"""


@pytest.fixture
def url(
    seaweed: SeaweedServer, bucket_name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> str:
    for name, value in secret_of(seaweed).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("VOLFS_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("VOLFS_CACHE_DIR", str(tmp_path / "cache"))
    place = f"{tmp_path.name}-{os.urandom(4).hex()}"
    return f"s3://{bucket_name}/{place}?endpoint={seaweed.endpoint}&region=us-east-1"


@pytest.fixture
def store(url: str) -> Iterator[BucketStore]:
    store = open_distributed(url, True)
    store.refs.create_volume(make_record(), b"manifest 0")
    yield store
    store.close()


def test_no_store_is_made_unasked(url: str) -> None:
    with pytest.raises(NotAStoreError, match="volfs store create"):
        open_distributed(url, False)


def test_handles_share_an_engine_until_the_last_is_closed(store: BucketStore, url: str) -> None:
    other = open_distributed(url, True)
    assert other.refs is store.refs
    other.close()
    other.close()
    with pytest.raises(StoreError, match="closed"):
        other.open_upload(VOLUME)
    (oid,) = add(store, VOLUME, noise(300_000))
    store.close()
    again = open_distributed(url, False)
    assert again.refs is not store.refs
    assert again.objects_of(VOLUME).load_object(oid) == noise(300_000)
    with pytest.raises(AlreadyExistsError):
        again.refs.create_volume(make_record(2, "volume-1"), b"another")
    again.close()


def test_another_process_of_this_machine(store: BucketStore, url: str) -> None:
    host, oid, held = run_python(PUBLISH, url, VOLUME).split()
    assert host == store.leases.host
    assert held == "[1]"
    assert store.leases.list_held(VOLUME) == []
    assert store.refs.get_head(VOLUME).version == 1
    found = store.objects_of(VOLUME).load_object(Oid(bytes.fromhex(oid)))
    assert found == b"from another process"


def test_a_process_that_was_forked_opens_its_own(store: BucketStore, url: str) -> None:
    child = os.fork()
    if child == 0:
        try:
            store.open_upload(VOLUME)
        except StoreError as error:
            os._exit(0 if "forked" in str(error) else 1)
        os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_the_directory_of_a_machine(
    store: BucketStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has the store's id for a name, is closed to others, and may have lost the cache."""
    assert store.local.parent == tmp_path / "state" / "stores"
    assert store.local.name.startswith("st-")
    assert store.local.stat().st_mode & 0o777 == 0o700
    assert machine.read_machine(store.local) == store.leases.host
    monkeypatch.setenv("VOLFS_STATE_DIR", str(tmp_path / "another"))
    elsewhere = machine.open_local(store.local.name, store.url)
    assert machine.read_machine(elsewhere) != store.leases.host


def test_24_a_cloned_machine_has_another_id(store: BucketStore, tmp_path: Path) -> None:
    """It has the original's directory, and other hardware. What cannot be told keeps its id."""
    local = store.local
    assert machine.read_machine(local) == store.leases.host
    (local / machine.MACHINE).unlink()
    first = machine.read_machine(local, "one")
    clone = tmp_path / "clone"
    shutil.copytree(local, clone)
    assert machine.read_machine(clone, "one") == first
    assert machine.read_machine(clone, "") == first
    second = machine.read_machine(clone, "two")
    assert second != first
    assert machine.read_machine(clone, "two") == second
    assert machine.read_machine(local, "one") == first
    (local / machine.MACHINE).write_text(f"{first}\n")  # as a former volfs wrote it
    assert machine.read_machine(local, "three") == first
    assert machine.read_machine(local, "four") != first
