"""Who waits for what became of data is told, however long the end of a mount takes."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import msgspec
import pytest
import trio
import trio.testing

from tests.harness.mounted import Mounts
from volfs.control.protocol import Request, UnmountResult, encode
from volfs.daemon import server
from volfs.daemon.server import listen, serve

SLOW = """
import select, trio
from volfs.daemon import server
from volfs.daemon.mount_control import MountControl
from volfs.daemon.whereabouts import Whereabouts
server.LAST_ANSWERS = 0.0
services = []
def remember(self, *arguments, **options):
    services.append(self)
    begin(self, *arguments, **options)
begin, MountControl.__init__ = MountControl.__init__, remember
def unmount(self, **options):
    done = take_away(self, **options)
    while done and not trio.from_thread.run_sync(services[0].finished.is_set):
        select.select([], [], [], 0.01)
    for _ in range(10):
        trio.from_thread.run_sync(lambda: None)
    return done
take_away, Whereabouts.unmount = Whereabouts.unmount, unmount
"""
"""As where the kernel has a million inodes to forget: umount2(2) returns when all else is done."""


@pytest.mark.fuse
@pytest.mark.parametrize("discard", [False, True])
def test_an_unmount_that_returns_last_is_answered(mounts: Mounts, discard: bool) -> None:
    mounted = mounts.mount(prelude=SLOW)
    (mounted.path / "f").touch()
    mounted.unmount(discard=discard)
    assert mounts.version == (0 if discard else 1)
    assert mounts.sessions == []


async def test_only_what_has_to_be_told_holds_up_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "LAST_ANSWERS", 0.0)
    go = trio.Event()

    async def handle(request: Request) -> msgspec.Struct:
        await go.wait()
        return UnmountResult(request.verb)

    listener, finished = listen(tmp_path / "socket"), trio.Event()
    verbs = ("status", "reload", "commit", "unmount")
    asking = [connect(tmp_path / "socket", encode(Request(verb))) for verb in verbs]
    asking.append(connect(tmp_path / "socket", encode(Request("unmount"))[:-1]))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve, listener, handle, finished)
        await trio.testing.wait_all_tasks_blocked(0.05)
        finished.set()
        assert [await receive(asking[at]) for at in (0, 1, 4)] == [b""] * 3
        await trio.testing.wait_all_tasks_blocked(0.05)
        go.set()
        assert b'"commit"' in await receive(asking[2])
        assert b'"unmount"' in await receive(asking[3])
    for connection in asking:
        connection.close()


def connect(path: Path, data: bytes) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(os.fspath(path))
    connection.sendall(data)
    return connection


async def receive(connection: socket.socket) -> bytes:
    connection.setblocking(False)
    return await trio.socket.from_stdlib_socket(connection).recv(100)
