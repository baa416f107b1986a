"""Limits on what comes from outside: connections, and who plants links while ``get`` runs."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
import trio.testing

from tests.fault.sample import build_sample
from tests.harness.damage import find_tree
from tests.volume.shortcuts import head_snapshot, publish_files
from volfs.control.protocol import Request, encode
from volfs.daemon import server
from volfs.daemon.server import listen, serve
from volfs.errors import LocalFileError
from volfs.model.names import parse_path
from volfs.model.objects import Oid
from volfs.store.contract.refs import VolumeRecord
from volfs.store.contract.store import Store
from volfs.volume.get import get_to_local

# --- the control socket -----------------------------------------------------


class Empty(msgspec.Struct):
    pass


class Handler:
    """Holds each request until it is told to go on; knows how many there are at once."""

    def __init__(self, wanted: int) -> None:
        self.wanted = wanted
        self.now = self.most = 0
        self.full, self.go = trio.Event(), trio.Event()

    async def __call__(self, request: Request) -> msgspec.Struct:
        self.now += 1
        self.most = max(self.most, self.now)
        if self.now == self.wanted:
            self.full.set()
        await self.go.wait()
        self.now -= 1
        return Empty()


def connect(path: Path, data: bytes) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(os.fspath(path))
    connection.sendall(data)
    return connection


async def receive(connection: socket.socket) -> bytes:
    connection.setblocking(False)
    return await trio.socket.from_stdlib_socket(connection).recv(100)


async def test_more_connections_than_there_is_room_for_wait(tmp_path: Path) -> None:
    listener, handler = listen(tmp_path / "socket"), Handler(2)
    connections = [connect(tmp_path / "socket", encode(Request("status"))) for _ in range(5)]
    finished = trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve, listener, handler, finished, 2)
        await handler.full.wait()
        await trio.testing.wait_all_tasks_blocked(0.05)
        assert handler.most == 2
        handler.go.set()
        for connection in connections:
            assert await receive(connection)
            connection.close()
        finished.set()


async def test_half_requests_keep_nobody_waiting(tmp_path: Path) -> None:
    listener, handler = listen(tmp_path / "socket"), Handler(1)
    handler.go.set()
    whole = encode(Request("status"))
    half = [connect(tmp_path / "socket", whole[:-1]) for _ in range(5)]
    asking = connect(tmp_path / "socket", whole)
    finished = trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve, listener, handler, finished, 2)
        assert b"result" in await receive(asking)
        # Four had to go for it, those first that had waited longest.
        for connection in half[:4]:
            assert b"for too long" in await receive(connection)
        half[4].sendall(whole[-1:])
        assert b"result" in await receive(half[4])
        for connection in (*half, asking):
            connection.close()
        finished.set()


async def test_a_client_that_does_not_read_its_answer_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Long(msgspec.Struct):
        text: str = "x" * (8 << 20)

    async def handle(request: Request) -> msgspec.Struct:
        return Long()

    monkeypatch.setattr(server, "ANSWER_TIMEOUT", 0.01)
    listener = listen(tmp_path / "socket")
    deaf = [connect(tmp_path / "socket", encode(Request("status"))) for _ in range(3)]
    finished = trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve, listener, handle, finished, 1)
        assert await receive(deaf[2])  # it is answered after the others were left
        for connection in deaf:
            connection.close()
        finished.set()


# --- get --------------------------------------------------------------------


class Watched:
    """A store that tells when an object is about to be read."""

    def __init__(self, store: Store, oid: Oid, act: Callable[[], None]) -> None:
        self._store, self._oid, self._act = store, oid, act

    def __getattr__(self, name: str) -> Any:
        objects = self._store.objects_of("")
        return getattr(objects if hasattr(objects, name) else self._store, name)

    def objects_of(self, volume_id: str) -> Watched:
        return self

    def load_object(self, oid: Oid) -> bytes:
        if oid == self._oid:
            self._act()
        return self._store.objects_of("").load_object(oid)


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    path = tmp_path / "outside"
    path.mkdir()
    return path


def get_while(
    store: Store, volume: VolumeRecord, out: Path, tree: str, act: Callable[[], None]
) -> None:
    """Get the whole volume; ``act`` when a directory of it is there and still empty."""
    oid = find_tree(store, volume, *parse_path(tree))
    watched: Any = Watched(store, oid, act)
    get_to_local(watched, volume, head_snapshot(store, volume), (), out)


def test_a_directory_swapped_for_a_symlink_leads_nowhere(
    store: Store, volume: VolumeRecord, tmp_path: Path, outside: Path
) -> None:
    publish_files(store, volume, {"d/e/f": b"1", "d/g": b"2", "d/e/h/i": b"3"})
    out = tmp_path / "out"

    def swap() -> None:
        (out / "d/e").rename(tmp_path / "moved")
        (out / "d/e").symlink_to(outside)

    get_while(store, volume, out, "d/e", swap)
    assert os.listdir(outside) == []
    assert (tmp_path / "moved/f").read_bytes() == b"1"
    assert (tmp_path / "moved/h/i").read_bytes() == b"3"


def test_a_symlink_planted_where_a_directory_is_to_be_is_refused(
    store: Store, volume: VolumeRecord, tmp_path: Path, outside: Path
) -> None:
    publish_files(store, volume, {"d/e/f": b"1"})
    out = tmp_path / "out"
    with pytest.raises(LocalFileError, match="d/e"):
        get_while(store, volume, out, "d", lambda: (out / "d/e").symlink_to(outside))
    assert os.listdir(outside) == []


# --- the store's directory --------------------------------------------------


def test_nothing_in_a_store_is_for_others(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        build_sample(tmp_path / "store")
    finally:
        os.umask(before)
    store = tmp_path / "store"
    assert stat.S_IMODE(store.stat().st_mode) == 0o700
    open_to_others = [
        str(path.relative_to(store))
        for path in store.rglob("*")
        if path.stat().st_mode & 0o077 and "mounts" not in path.parts
    ]
    assert open_to_others == []
