"""Dicts and Queues on a server, from the command line: what ``check`` says, and a socket."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Command
from tests.harness.redis_server import RedisServer

CANARY = "s3cret-canary"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    socket = tmp_path / "a b.sock"
    running = RedisServer(tmp_path / "server", "--appendonly", "yes", "--unixsocket", str(socket))
    yield running
    running.close()


def test_check_looks_at_the_server(volfs: Command, server: RedisServer) -> None:
    name = server.url.partition("//")[2]
    url = server.url
    volfs("create", "data")
    clean = volfs("check", VOLFS_TABLES=url)
    (line,) = clean.lines
    assert line.endswith("no problems.")
    found = volfs("check", "--json", VOLFS_TABLES=url).json["tables"]
    assert found == {"address": url, "warnings": [], "error": None}
    assert "tables" not in volfs("check", "--json", VOLFS_TABLES="").json
    server.client.config_set("maxmemory-policy", "volatile-ttl")
    server.client.config_set("appendfsync", "no")
    policy, sync = volfs("check", VOLFS_TABLES=url).lines[1:]
    assert policy.startswith(f"tables {url}: warning: maxmemory-policy is volatile-ttl: ")
    assert sync.startswith(f"tables {url}: warning: appendfsync is no: ")
    assert len(volfs("check", "--json", VOLFS_TABLES=url).json["tables"]["warnings"]) == 2
    server.client.config_set("requirepass", CANARY)
    wrong = f"redis://:{CANARY}x@{name}"
    refused = volfs("check", status=1, VOLFS_TABLES=wrong)
    assert refused.lines[0].endswith("no problems."), "the store itself is clean"
    assert refused.lines[1].startswith(f"tables {url}: the server refuses user and password")
    assert CANARY not in refused.out.decode() + refused.err
    assert volfs("check", VOLFS_TABLES=f"redis://:{CANARY}@{name}").lines[1:] == [policy, sync]
    server.kill()
    gone = volfs("check", "--json", status=1, VOLFS_TABLES=wrong).json
    assert gone["clean"] is True
    assert "refused" in gone["tables"]["error"]
    bad = volfs("check", status=2, VOLFS_TABLES=f"redis://:{CANARY}@{name}x")
    assert "VOLFS_TABLES: " in bad.out.decode() + bad.err
    assert CANARY not in bad.out.decode() + bad.err


def test_a_socket(volfs: Command, server: RedisServer, tmp_path: Path) -> None:
    url = f"unix://{tmp_path}/a b.sock"
    volfs("dict", "create", "one", VOLFS_TABLES=url)
    volfs("dict", "create", "two", VOLFS_TABLES=f"{url}?db=2")
    assert b"one" in volfs("dict", "list", VOLFS_TABLES=url).out
    assert b"two" not in volfs("dict", "list", VOLFS_TABLES=server.url).out
    assert b"one" in volfs("dict", "list", VOLFS_TABLES=server.url).out
    assert b"two" in volfs("dict", "list", VOLFS_TABLES=f"{server.url[:-1]}2").out
    volfs("check", VOLFS_TABLES=url)
    server.client.shutdown(nosave=True)
    gone = volfs("dict", "list", status=1, VOLFS_TABLES=url).err
    assert gone.startswith(f"volfs: dict list: tables {url}?db=0: no connection")
    assert gone.count("\n") == 1
