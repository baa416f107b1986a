"""What a user is told when the server cannot be used. No error has the password in it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.harness.redis_server import RedisServer
from volfs.errors import (
    ConflictError,
    DamagedObjectError,
    InvalidError,
    OutOfSpaceError,
    StoreDeniedError,
    StoreError,
    StoreTimeoutError,
    StoreUnavailableError,
    StoreUncertainError,
    UnsupportedFormatError,
    VolfsError,
)
from volfs.services.opening import RedisServices, TableServices, open_services, open_shared
from volfs.services.resources import DICT, QUEUE, Resources
from volfs.store.redis import table_server
from volfs.store.redis.address import parse_address
from volfs.store.redis.care import find_risks

CANARY = "s3cret+canary"
Start = Callable[..., RedisServer]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    running: list[RedisServer] = []

    def begin(*options: str) -> RedisServer:
        running.append(RedisServer(tmp_path / f"server{len(running)}", *options))
        return running[-1]

    yield begin
    for server in running:
        server.close()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[TableServices]:
    opened = open_services(str(tmp_path / "store"), create=True)
    yield opened
    opened.close()


def open_at(url: str, store: TableServices) -> RedisServices:
    return open_shared(parse_address(url), store)


def refuse(url: str, store: TableServices, kind: type[VolfsError], match: str) -> None:
    with pytest.raises(kind, match=match) as caught:
        open_at(url, store).close()
    said = "".join(traceback.format_exception(caught.value))
    assert CANARY not in said
    assert "s3cret" not in said


# --- addresses --------------------------------------------------------------


def test_addresses(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = parse_address("redis://user:p%40ss@[::1]:7000/3?space=team")
    assert (found.user, found.password, found.host, found.port) == ("user", "p@ss", "::1", 7000)
    assert (found.db, found.space) == (3, "team")
    assert found.text_with_space == "redis://[::1]:7000/3?space=team"
    assert "p@ss" not in repr(found)
    found = parse_address("unix:///run/a b/redis.sock?db=2")
    assert (found.path, found.db, found.text) == (
        "/run/a b/redis.sock",
        2,
        "unix:///run/a b/redis.sock?db=2",
    )
    (tmp_path / "password").write_text("from a file\n")
    monkeypatch.setenv("VOLFS_TABLES_PASSWORD_FILE", str(tmp_path / "password"))
    assert parse_address("rediss://host").password == "from a file"
    monkeypatch.setenv("VOLFS_TABLES_PASSWORD", "from a variable")
    assert parse_address("redis://host").password == "from a variable"
    assert parse_address("redis://:own@host").password == "own"
    monkeypatch.delenv("VOLFS_TABLES_PASSWORD")
    monkeypatch.setenv("VOLFS_TABLES_PASSWORD_FILE", str(tmp_path / "none"))
    with pytest.raises(InvalidError, match=r"VOLFS_TABLES_PASSWORD_FILE: .*none: No such file"):
        parse_address("redis://host")


@pytest.mark.parametrize(
    "text",
    [
        CANARY,
        f"http://:{CANARY}@host",
        f"redis:{CANARY}",
        f"redis://:{CANARY}/x@host",
        f"redis://:{CANARY}#x@host/0",
        f"redis://user:12#{CANARY}@host/0",
        f"redis://:{CANARY}?x@host/0",
        f"redis://:{CANARY}@host:port/0",
        f"redis://:{CANARY}@host:99999/0",
        f"redis://:{CANARY}@host:0/0",
        f"redis://:{CANARY}@/0",
        f"redis://:{CANARY}@ho st/0",
        f"redis://:{CANARY}@[host/0",
        f"redis://:{CANARY}@host/db",
        f"redis://:{CANARY}@host/-1",
        f"redis://:{CANARY}@host/0?space=a b",
        f"redis://:{CANARY}@host/0?{CANARY}",
        f"redis://:{CANARY}@host/0?password={CANARY}",
        f"unix://:{CANARY}@host/path",
        "unix://",
        "redis://",
    ],
)
def test_what_is_no_address_is_not_repeated(text: str) -> None:
    with pytest.raises(InvalidError, match=r"VOLFS_TABLES: .*redis://") as caught:
        parse_address(text)
    said = "".join(traceback.format_exception(caught.value))
    assert CANARY not in said
    assert "s3cret" not in said


# --- servers that cannot be used --------------------------------------------


def test_no_server(store: TableServices, tmp_path: Path) -> None:
    with socket.socket() as bound:  # nobody listens
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        refuse(f"redis://:{CANARY}@127.0.0.1:{port}/0", store, StoreUnavailableError, "refused")
    refuse("redis://nobody.invalid/0", store, StoreUnavailableError, "no connection")
    refuse(f"unix://{tmp_path}/none", store, StoreUnavailableError, "no connection")


def test_what_answers_is_no_redis(store: TableServices) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer() -> None:
            for _ in range(2):
                taken, _ = listening.accept()
                with taken:
                    taken.recv(1000)
                    taken.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        url = f"127.0.0.1:{listening.getsockname()[1]}"
        refuse(f"redis://{url}/0", store, StoreUnavailableError, f"tables redis://{url}/0: ")
        refuse(f"redis://:{CANARY}@{url}/0", store, StoreUnavailableError, "no connection")
        thread.join()


def test_passwords(start: Start, store: TableServices, monkeypatch: pytest.MonkeyPatch) -> None:
    server = start("--requirepass", "right")
    refuse(server.url, store, StoreDeniedError, "wants a password")
    for user in ("", "nobody", "default"):
        url = f"redis://{user}:{CANARY}@127.0.0.1:{server.port}/0"
        refuse(url, store, StoreDeniedError, "refuses user and password")
    monkeypatch.setenv("VOLFS_TABLES_PASSWORD", "right")
    open_at(server.url, store).close()
    open_server = start()
    refuse(open_server.url, store, StoreDeniedError, "no password, and one was given")


def test_a_replica_a_cluster_and_a_database_too_many(start: Start, store: TableServices) -> None:
    primary = start()
    refuse(primary.url[:-1] + "99", store, InvalidError, "no database of this number")
    replica = start("--replicaof", "127.0.0.1", str(primary.port))
    refuse(replica.url, store, StoreDeniedError, "replica")
    cluster = start("--cluster-enabled", "yes")
    refuse(cluster.url, store, StoreError, "a cluster")
    # A server may become a replica while it is in use.
    kept = open_at(primary.url, store)
    made = Resources(kept, DICT).create("d", "main")
    kept.dicts().put(made.id, b"k", b"v", ttl=None, only_new=False)
    primary.client.replicaof("127.0.0.1", replica.port)
    with pytest.raises(StoreDeniedError, match="replica"):
        kept.dicts().put(made.id, b"k", b"w", ttl=None, only_new=False)
    kept.close()


def test_a_full_server_takes_nothing_and_lets_go_of_everything(
    start: Start, store: TableServices
) -> None:
    server = start()
    kept = open_at(server.url, store)
    of, q = (Resources(kept, kind).create("n", "main").id for kind in (DICT, QUEUE))
    dicts, queues = kept.dicts(), kept.queues()
    dicts.put(of, b"k", b"v", ttl=None, only_new=False)
    queues.put(q, b"", [b"1"], 60, "put")
    server.client.config_set("maxmemory", "1mb")
    changes: list[Callable[[], object]] = [
        lambda: dicts.put(of, b"l", b"v", ttl=None, only_new=False),
        lambda: dicts.swap(of, b"k", b"v", b"w"),
        lambda: dicts.update(of, [(b"m", b"v")]),
        lambda: queues.put(q, b"", [b"2"], 60, "put"),
        lambda: Resources(kept, DICT).create("other", "main"),
    ]
    for change in changes:
        with pytest.raises(OutOfSpaceError, match="memory is full"):
            change()
    assert dicts.find(of, b"k") == b"v"
    assert list(dicts.iter_items(of)) == [(b"k", b"v")]
    assert queues.peek(q, b"", 0, 9)[0] == [b"1"]
    assert queues.take(q, b"", 9) == [b"1"]
    assert dicts.pop(of, b"k") == b"v"
    dicts.clear(of)
    Resources(kept, DICT).delete("n", "main")
    kept.close()


def test_values_of_other_programs(start: Start, store: TableServices) -> None:
    server = start()
    kept = open_at(server.url, store)
    of, q = (Resources(kept, kind).create("n", "main").id for kind in (DICT, QUEUE))
    server.client.set(f"{{{of}}}:values", "x")
    server.client.set(f"{{{q}}}:items:p", "x")
    kept.queues().put(q, b"b", [b"1"], 60, "put")
    server.client.delete(f"{{{q}}}:bell:b")
    server.client.set(f"{{{q}}}:bell:b", "x")
    for call in (
        lambda: kept.queues().put(q, b"b", [b"2"], 60, "put"),
        lambda: kept.queues().take(q, b"b", 1),
    ):
        with pytest.raises(DamagedObjectError, match="value of another type"):
            call()
    assert server.client.lrange(f"{{{q}}}:items:b", 0, -1) == [b"1"], "nothing is half done"
    with pytest.raises(DamagedObjectError, match="value of another type"):
        kept.dicts().put(of, b"k", b"v", ttl=None, only_new=False)
    with pytest.raises(DamagedObjectError, match="value of another type"):
        kept.queues().put(q, b"p", [b"1"], 60, "put")
    assert kept.queues().put(q, b"", [b"1"], 60, "put")
    kept.close()
    for value in ("x", "[]", '{"format": 1}'):
        server.client.set("{volfs}:store", value)
        refuse(server.url, store, DamagedObjectError, "another program's value")
    server.client.set("{volfs}:store", '{"format": 2, "new": 1}')
    refuse(server.url, store, UnsupportedFormatError, "update volfs")
    server.client.delete("{volfs}:store")
    server.client.rpush("{volfs}:store", "x")
    refuse(server.url, store, DamagedObjectError, "value of another type")


def test_a_database_belongs_to_one_store_or_to_a_space(
    start: Start, store: TableServices, tmp_path: Path
) -> None:
    server = start()
    other = open_services(str(tmp_path / "other"), create=True)
    first = open_at(server.url, store)
    made = Resources(first, DICT).create("d", "main")
    refuse(server.url, other, ConflictError, f"another store, {store.url} of .*space=NAME")
    open_at(server.url[:-1] + "1", other).close()
    again = open_at(server.url, store)
    assert Resources(again, DICT).get("d", "main") == made
    spaces = [open_at(server.url + "?space=team", one) for one in (store, other)]
    shared = Resources(spaces[0], DICT).create("d", "main")
    assert Resources(spaces[1], DICT).get("d", "main") == shared != made
    for one in (first, again, *spaces):
        one.close()
    other.close()


# --- servers that go away ---------------------------------------------------


def test_a_server_that_hangs_or_dies_ends_a_call(
    start: Start, store: TableServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table_server, "ANSWER_SECONDS", 0.3)
    server = start("--appendonly", "yes", "--appendfsync", "always")
    kept = open_at(server.url, store)
    of, q = (Resources(kept, kind).create("n", "main").id for kind in (DICT, QUEUE))
    dicts, queues = kept.dicts(), kept.queues()
    dicts.put(of, b"k", b"v", ttl=None, only_new=False)
    os.kill(server.pid, signal.SIGSTOP)
    with pytest.raises(StoreTimeoutError, match="no answer"):
        dicts.find(of, b"k")
    with pytest.raises(StoreUnavailableError, match=r"no connection|no answer"):
        queues.take(q, b"", 1)
    os.kill(server.pid, signal.SIGCONT)
    assert dicts.find(of, b"k") == b"v"
    server.kill()
    with pytest.raises(StoreUnavailableError, match="refused"):
        dicts.put(of, b"k", b"w", ttl=None, only_new=False)
    with pytest.raises(StoreUnavailableError, match="refused"):
        queues.take_waiting(q, b"", 1, None)
    server.start()
    assert dicts.find(of, b"k") == b"v", "a new connection, and the script anew"
    kept.close()


def test_a_change_without_an_answer_is_uncertain(
    start: Start, store: TableServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table_server, "ANSWER_SECONDS", 0.3)
    server = start()
    kept = open_at(server.url, store)
    of = Resources(kept, DICT).create("n", "main").id
    dicts = kept.dicts()
    dicts.put(of, b"k", b"v", ttl=None, only_new=False)
    os.kill(server.pid, signal.SIGSTOP)
    with pytest.raises(StoreUncertainError, match="may have been made or not"):
        dicts.put(of, b"k", b"w", ttl=None, only_new=False)
    os.kill(server.pid, signal.SIGCONT)
    assert dicts.find(of, b"k") == b"w", "what it was sent, it does"
    kept.close()


def test_scripts_that_the_server_has_forgotten(start: Start, store: TableServices) -> None:
    server = start()
    kept = open_at(server.url, store)
    of = Resources(kept, DICT).create("n", "main").id
    for _ in range(2):
        assert kept.dicts().put(of, b"k", b"v", ttl=None, only_new=False)
        server.client.script_flush()
    kept.close()


# --- care -------------------------------------------------------------------


def test_settings_that_lose_data(start: Start) -> None:
    address = parse_address(start("--maxmemory-policy", "allkeys-lru").url)
    policy, file = find_risks(address)
    assert "allkeys-lru" in policy
    assert "appendonly is no" in file
    always = start("--appendonly", "yes", "--appendfsync", "always")
    assert find_risks(parse_address(always.url)) == []
    always.client.config_set("appendfsync", "no")
    (sync,) = find_risks(parse_address(always.url))
    assert "appendfsync is no" in sync


def test_without_the_library(tmp_path: Path) -> None:
    code = """
import sys
sys.modules["redis"] = None
import volfs
from volfs.errors import InvalidError
try:
    volfs.Dict.from_name("d", create_if_missing=True).hydrate()
except InvalidError as error:
    print(error)
"""
    environment = {
        **os.environ,
        "VOLFS_STORE": str(tmp_path / "store"),
        "VOLFS_TABLES": f"redis://:{CANARY}@127.0.0.1:1/0",
    }
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == "VOLFS_TABLES: redis is not installed: pip install 'volfs[redis]'\n"
