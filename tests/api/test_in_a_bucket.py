"""The Python API on a store in a bucket: the same programs, another address."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import volfs as modal
from tests.api.conftest import finish, start
from tests.harness.bucket_servers import create_s3_bucket, seaweed, secret_of
from tests.harness.redis_server import RedisServer
from tests.harness.servers import SeaweedServer
from volfs.api import client
from volfs.exception import InvalidError, NotFoundError

__all__ = ["seaweed"]
DATA = os.urandom(1 << 20)


@pytest.fixture(autouse=True)
def store(seaweed: SeaweedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    for name, value in secret_of(seaweed).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("VOLFS_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("VOLFS_SECRET_KEY_FILE", str(tmp_path / "key"))
    monkeypatch.delenv("VOLFS_ENVIRONMENT", raising=False)
    bucket = create_s3_bucket(seaweed)
    url = f"s3://{bucket}/?endpoint={seaweed.endpoint}&region=us-east-1"
    monkeypatch.setenv("VOLFS_STORE", url)
    yield url
    opened = client._clients.pop(url, None)
    if opened is not None:
        opened.close()


def test_a_volume(store: str) -> None:
    """Written, read, copied, listed, by this process and by another one."""
    volume = modal.Volume.from_name("data", create_if_missing=True)
    with volume.batch_upload() as batch:
        batch.put_file(io.BytesIO(DATA), "/d/long")
        batch.put_file(io.BytesIO(b"small"), "/d/small")
    volume.copy_files(["d/small"], "d/copy")
    volume.remove_file("d/small")
    other = start(
        """
        volume = modal.Volume.from_name("data")
        print(sorted(entry.path for entry in volume.iterdir("/d")))
        print(sum(map(len, volume.read_file("d/long"))))
        """
    )
    assert finish(other).splitlines() == ["['d/copy', 'd/long']", str(len(DATA))]
    assert b"".join(volume.read_file("d/long")) == DATA
    assert [found.version for found in volume.log()] == [3, 2, 1]
    twin = volume.fork("twin", environment_name="dev")
    assert b"".join(twin.read_file("d/copy")) == b"small"
    modal.Volume.objects.delete("data")
    with pytest.raises(NotFoundError):
        modal.Volume.from_name("data").hydrate()


def test_environments_and_secrets(store: str) -> None:
    modal.Environment.objects.create("dev")
    with modal.Volume.ephemeral() as volume:
        with volume.batch_upload() as batch:
            batch.put_file(io.BytesIO(b"1"), "/one")
        assert [entry.path for entry in volume.listdir("/")] == ["one"]
    modal.Secret.objects.create("keys", {"TOKEN": "a token"}, environment_name="dev")
    said = start("print([one.name for one in modal.Secret.objects.list(environment_name='dev')])")
    assert finish(said) == "['keys']\n"
    assert "dev" in [each.name for each in modal.Environment.objects.list()]
    modal.Environment.objects.delete("dev")
    assert [each.name for each in modal.Environment.objects.list()] == ["main"]


def test_dicts_and_queues_need_a_server(
    store: str, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for kind in (modal.Dict, modal.Queue):
        with pytest.raises(InvalidError, match="VOLFS_TABLES=redis://HOST"):
            kind.from_name("x", create_if_missing=True).hydrate()
    redis_server.client.flushall()
    monkeypatch.setenv("VOLFS_TABLES", redis_server.url)
    known = modal.Dict.from_name("x", create_if_missing=True)
    known["a"] = 1
    queue = modal.Queue.from_name("q", create_if_missing=True)
    queue.put(2)
    other = start(
        """
        print(modal.Dict.from_name("x")["a"], modal.Queue.from_name("q").get())
        """
    )
    assert finish(other) == "1 2\n"


def test_a_child_opens_its_own(store: str) -> None:
    """While the parent reads, and again when it has read."""
    volume = modal.Volume.from_name("data", create_if_missing=True)
    with volume.batch_upload() as batch:
        batch.put_file(io.BytesIO(DATA), "/long")
    blocks = volume.read_file("long")
    first = next(blocks)
    opened = client.find_client()._store
    for _ in range(2):
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                with volume.batch_upload(force=True) as batch:
                    batch.put_file(io.BytesIO(b"by a child"), "/child")
                status = int(b"".join(volume.read_file("child")) != b"by a child")
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert first + b"".join(blocks) == DATA
    assert client.find_client()._store is opened
    assert client.find_client()._borrowers == 0
    assert b"".join(volume.read_file("child")) == b"by a child"
