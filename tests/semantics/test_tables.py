"""What is promised of Dicts and Queues on a server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import volfs as modal
from tests.harness.redis_server import RedisServer
from volfs.api import client
from volfs.store import clock


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RedisServer]:
    running = RedisServer(tmp_path / "server", "--appendonly", "yes", "--appendfsync", "always")
    store = str(tmp_path / "store")
    monkeypatch.setenv("VOLFS_STORE", store)
    monkeypatch.setenv("VOLFS_TABLES", running.url)
    yield running
    client._clients.pop(store).close()
    running.close()


def test_they_expire_by_the_clock_of_the_server(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    d = modal.Dict.from_name("d", create_if_missing=True)
    q = modal.Queue.from_name("q", create_if_missing=True)
    d.put("long", 1, ttl=3600)
    q.put(1, partition_ttl=3600)
    for now in (lambda: 0, lambda: 1 << 62):
        monkeypatch.setattr(clock, "now_ns", now)
        monkeypatch.setattr(clock, "uptime_ns", now)
        assert d["long"] == 1
        assert q.len() == 1
    d.put("short", 1, ttl=0.2)
    began = server.client.time()
    while "short" in d:
        pass
    now = server.client.time()
    assert (now[0] - began[0]) * 10**6 + now[1] - began[1] > 150_000


def test_what_was_written_is_kept_as_the_server_is_told_to(server: RedisServer) -> None:
    d = modal.Dict.from_name("d", create_if_missing=True)
    q = modal.Queue.from_name("q", create_if_missing=True)
    d["k"] = "v"
    q.put_many([1, 2, 3])
    assert q.get() == 1
    server.kill()
    server.start()
    assert d["k"] == "v"
    assert q.get_many(9) == [2, 3]
