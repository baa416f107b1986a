"""``.aio``: the same calls under asyncio and trio, and what becomes of cancelled ones."""

from __future__ import annotations

import asyncio
import io
import os
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio

import volfs as modal
from volfs.api.twins import blocking, blocking_iterator
from volfs.services import signal_wait
from volfs.services.signal_wait import CancelledWaitError, wait_for

Run = Callable[[Callable[[], Awaitable[Any]]], Any]


def in_asyncio(call: Callable[[], Awaitable[Any]]) -> Any:
    async def main() -> Any:
        return await call()

    return asyncio.run(main())


@pytest.fixture(params=[in_asyncio, trio.run], ids=["asyncio", "trio"])
def run(request: pytest.FixtureRequest) -> Run:
    found: Run = request.param
    return found


class Thing:
    @blocking
    def add(self, a: int, *, b: int = 1) -> tuple[int, str]:
        """Adds."""
        return a + b, threading.current_thread().name

    @blocking
    def fail(self) -> None:
        raise KeyError("k")

    @blocking_iterator
    def count(self, n: int) -> Any:
        yield from range(n)
        if n > 5:
            raise KeyError("n")


def test_both_ways(run: Run) -> None:
    thing = Thing()
    assert thing.add(1, b=2) == (3, "MainThread")
    number, thread = run(lambda: thing.add.aio(1))
    assert number == 2
    assert thread != "MainThread"
    assert Thing.add(thing, 1)[0] == 2
    assert thing.add.__doc__ == "Adds."
    assert thing.add.__name__ == "add"


def test_errors_come_as_they_are(run: Run) -> None:
    with pytest.raises(KeyError, match="'k'"):
        run(lambda: Thing().fail.aio())


def test_iterators(run: Run) -> None:
    async def collect(n: int) -> list[int]:
        return [item async for item in Thing().count.aio(n)]

    assert list(Thing().count(3)) == run(lambda: collect(3)) == [0, 1, 2]
    with pytest.raises(KeyError, match="n"):
        run(lambda: collect(6))


def test_a_dict(run: Run) -> None:
    async def use() -> None:
        async with modal.Dict.ephemeral() as d:
            await d.put.aio("k", 1)
            await d.update.aio({"l": 2})
            assert await d.get.aio("k") == 1
            assert await d.contains.aio("l")
            assert {item async for item in d.items.aio()} == {("k", 1), ("l", 2)}
            assert {key async for key in d.iterate_keys()} == {"k", "l"}
            assert {value async for value in d.iterate_values()} == {1, 2}
            assert {item async for item in d.iterate_items()} == {("k", 1), ("l", 2)}
            with pytest.raises(KeyError):
                await d.pop.aio("m")
        with pytest.raises(modal.exception.NotFoundError):
            await d.get.aio("k")
        named = modal.Dict.from_name("d", create_if_missing=True)
        assert await named.hydrate.aio() is named
        assert [d.name for d in await modal.Dict.objects.list.aio()] == ["d"]

    run(use)


def test_asyncio_after_a_fork() -> None:
    thing = Thing()
    asyncio.run(thing.add.aio(1))
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            status = asyncio.run(asyncio.wait_for(thing.add.aio(-1), 30))[0]
        finally:
            os._exit(status)
    assert os.waitpid(pid, 0)[1] == 0


# --- cancellation -----------------------------------------------------------


class Bell:
    """A signal of one process; counts who waits."""

    def __init__(self) -> None:
        self.condition = threading.Condition()
        self.number = 0
        self.waiting = threading.Event()

    def ticket(self) -> int:
        return self.number

    def wait(self, ticket: int, seconds: float) -> None:
        with self.condition:
            self.waiting.set()
            self.condition.wait_for(lambda: self.number != ticket, seconds)

    def wake(self, waiters: int | None = None) -> None:
        with self.condition:
            self.number += 1
            self.condition.notify_all()


class Waiter:
    """Waits for an item, for ever; ``took`` what it got."""

    def __init__(self) -> None:
        self.bell = Bell()
        self.items: list[int] = []
        self.ended: list[type[BaseException] | None] = []

    @blocking
    def take(self) -> int | None:
        try:
            found = wait_for(lambda: self.items.pop() if self.items else None, self.bell, None)
        except BaseException as error:
            self.ended.append(type(error))
            raise
        self.ended.append(None)
        return found


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody looks again by himself: only a signal can end a wait."""
    monkeypatch.setattr(signal_wait, "LOOK_AGAIN", 3600.0)


@pytest.mark.usefixtures("patient")
def test_a_cancelled_wait_ends_in_asyncio() -> None:
    waiter = Waiter()

    async def use() -> None:
        task = asyncio.create_task(waiter.take.aio())
        await asyncio.to_thread(waiter.bell.waiting.wait)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(use())
    assert waiter.ended == [CancelledWaitError]


@pytest.mark.usefixtures("patient")
def test_a_cancelled_wait_ends_in_trio() -> None:
    waiter = Waiter()

    async def use() -> None:
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(waiter.take.aio)
                await trio.to_thread.run_sync(waiter.bell.waiting.wait)
                scope.cancel()
        assert scope.cancelled_caught

    trio.run(use)
    assert waiter.ended == [CancelledWaitError]


@pytest.mark.usefixtures("patient")
def test_timeouts_of_asyncio() -> None:
    waiter = Waiter()

    async def use() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await waiter.take.aio()
        waiter.items.append(1)
        assert await waiter.take.aio() == 1

    asyncio.run(use())
    assert waiter.ended == [CancelledWaitError, None]


class Taker:
    """Takes something, and lets the test cancel it when that cannot be undone any more."""

    def __init__(self) -> None:
        self.taken = threading.Event()
        self.go_on = threading.Event()

    @blocking
    def take(self) -> str:
        self.taken.set()
        self.go_on.wait()
        return "item"


def test_what_was_taken_is_not_lost_in_asyncio() -> None:
    taker = Taker()

    async def work(got: list[str]) -> None:
        got.append(await taker.take.aio())
        got.append(await taker.take.aio())

    async def use() -> list[str]:
        got: list[str] = []
        task = asyncio.create_task(work(got))
        await asyncio.to_thread(taker.taken.wait)
        task.cancel()
        await asyncio.wait([task], timeout=0.01)
        taker.go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        return got

    assert asyncio.run(use()) == ["item"], "the second call is where the task stops"


def test_what_was_taken_is_not_lost_in_trio() -> None:
    taker = Taker()
    got: list[str] = []

    async def work() -> None:
        got.append(await taker.take.aio())
        got.append(await taker.take.aio())

    async def use() -> None:
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(work)
                await trio.to_thread.run_sync(taker.taken.wait)
                scope.cancel()
                taker.go_on.set()

    trio.run(use)
    assert got in (["item"], ["item", "item"])


BLOCKING = {
    modal.Volume: "ephemeral info commit reload iterdir listdir read_file read_file_into_fileobj "
    "remove_file copy_files batch_upload rename hydrate get_dashboard_url",
    modal.Dict: "ephemeral info clear get contains len __getitem__ update put __setitem__ pop "
    "__delitem__ __contains__ keys values items hydrate get_dashboard_url",
    modal.Queue: "ephemeral info clear get get_many put put_many len iterate hydrate "
    "get_dashboard_url",
    modal.Secret: "info update hydrate get_dashboard_url",
    modal.NetworkFileSystem: "ephemeral create_deployed delete write_file read_file iterdir "
    "add_local_file add_local_dir listdir remove_file hydrate get_dashboard_url",
    modal.App: "run lookup get_dashboard_url",
    modal.FunctionCall: "get get_gen cancel from_id gather get_dashboard_url",
}
"""What has an ``aio`` in Modal 1.6.4, of what is here."""


@pytest.mark.parametrize("cls", BLOCKING)
def test_whatever_has_a_twin_on_modal_has_one(cls: type) -> None:
    for name in BLOCKING[cls].split():
        assert callable(getattr(cls, name).aio), name
    for name in ("create", "list", "delete") if hasattr(cls, "objects") else ():
        assert callable(getattr(cls.objects, name).aio)  # type: ignore[attr-defined]


def test_blocks(run: Run) -> None:
    async def use() -> None:
        async with modal.Volume.ephemeral.aio() as volume:
            async with volume.batch_upload.aio(force=True) as batch:
                batch.put_file(io.BytesIO(b"x"), "f")
            assert [block async for block in volume.read_file.aio("f")] == [b"x"]
            assert await volume.get_dashboard_url.aio() is None
        async with modal.Dict.ephemeral.aio() as d:
            await d.__setitem__.aio("k", 1)
            assert await d.__contains__.aio("k")
            assert await d.__getitem__.aio("k") == 1
            await d.__delitem__.aio("k")
            with pytest.raises(KeyError):
                await d.__getitem__.aio("k")
        async with modal.Queue.ephemeral.aio() as q, modal.NetworkFileSystem.ephemeral.aio() as nfs:
            await q.put.aio(1)
            assert await nfs.listdir.aio("/") == []

    run(use)
    with modal.Dict.ephemeral() as d:
        d["k"] = 2
        assert "k" in d
        assert d["k"] == 2
        del d["k"]
        assert "k" not in d
    assert modal.Volume.ephemeral.__name__ == "ephemeral"
