"""Two mounts of one network file system: what went wrong once, or nearly; each case small."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
import trio
import trio.testing

from tests.harness.leased import check_leased
from tests.vfs.shared_rig import SharedRig
from tests.vfs.sharing_model import NAMES, TICK
from volfs.errors import OutOfSpaceError
from volfs.store.registry import open_store
from volfs.volume.check import check_store
from volfs.volume.volumes import create_volume

# --- cases -------------------------------------------------------------------


@pytest.fixture
def rigs(tmp_path: Path) -> Iterator[list[SharedRig]]:
    store = open_store(str(tmp_path / "store"), create=True)
    volume = create_volume(store, "net", chunk_bits=12, network=True)
    clock = count(TICK, TICK)
    made = [
        SharedRig(store, volume, tmp_path / f"{number}", lambda: next(clock)).begin()
        for number in range(2)
    ]
    yield made
    for rig in made:
        rig.close()
    report = check_store(store)
    store.close()
    assert report.is_clean, report


def put(rig: SharedRig, name: bytes, data: bytes) -> None:
    number = rig.open_file(name, os.O_RDWR | os.O_TRUNC)
    rig.write_handle(number, 0, data)
    rig.close_file(number)


def version(rig: SharedRig) -> int:
    return trio.run(rig.committer.find_head).version


def test_those_who_close_meanwhile_share_a_commit(rigs: list[SharedRig]) -> None:
    one, two = rigs
    numbers = [one.open_file(b"f%d" % number, os.O_RDWR) for number in range(20)]
    for number in numbers:
        one.write_handle(number, 0, b"%d" % number)
    before = version(one)

    async def close_all() -> None:
        async with trio.open_nursery() as nursery:
            for number in numbers:
                nursery.start_soon(one.sharing.close, number)

    trio.run(close_all)
    assert version(one) - before <= 2
    assert two.look() == {b"f%d" % at: b"%d" % number for at, number in enumerate(numbers)}
    for number in numbers:
        one.files.release(number)


def test_a_failed_commit_fails_all_who_wait_for_it(rigs: list[SharedRig]) -> None:
    one, two = rigs
    numbers = [one.open_file(name, os.O_RDWR) for name in NAMES]
    for number in numbers:
        one.write_handle(number, 0, b"x")

    def fail() -> None:
        raise OutOfSpaceError("the store is full")

    async def close_all() -> None:
        async with trio.open_nursery() as nursery:
            for number in numbers:
                nursery.start_soon(expect_failure, number)

    async def expect_failure(number: int) -> None:
        with pytest.raises(OutOfSpaceError):
            await one.sharing.close(number)

    one.store.on_upload = fail
    trio.run(close_all)
    assert two.look() == {}
    one.store.on_upload = lambda: None
    for number in numbers:
        one.close_file(number)
    assert two.look() == dict.fromkeys(NAMES, b"x")


def test_a_held_file_survives_a_crash_with_all_that_was_recorded(
    rigs: list[SharedRig], tmp_path: Path
) -> None:
    one, two = rigs
    held = one.open_file(b"held", os.O_RDWR)
    one.write_handle(held, 0, b"h" * 10_000)
    put(one, b"a", b"a")
    one.write_handle(held, 10_000, b"i" * 10_000)
    put(one, b"b", b"b")
    one.settle_down()
    (tmp_path / "0" / "session.json").touch()
    one.close()
    assert two.look() == {b"a": b"a", b"b": b"b", b"held": b""}
    again = SharedRig(one.store._store, one.committer.volume, tmp_path / "0", one.state.clock)
    rigs[0] = again.begin()
    assert again.look()[b"held"] == b"h" * 10_000 + b"i" * 10_000
    trio.run(again.sharing.commit)
    assert two.look()[b"held"] == b"h" * 10_000 + b"i" * 10_000


def test_an_open_file_that_was_replaced_is_leased(rigs: list[SharedRig]) -> None:
    one, two = rigs
    put(one, b"a", b"x" * 50_000)
    number = one.open_file(b"a", os.O_RDONLY)
    put(two, b"a", b"y" * 50_000)
    assert one.look() == {b"a": b"y" * 50_000}
    check_leased(one, [number])
    one.settle_down()
    assert version(one) in one.committer.lease.versions
    check_leased(one, [number])
    one.close_file(number)
    one.forget()
    one.settle_down()
    assert len(one.committer.lease.needs) == 1, "the root of the view, and nothing else"


def test_who_opens_right_before_a_seal_is_held_as_well(rigs: list[SharedRig]) -> None:
    one, two = rigs
    put(one, b"a", b"whole")
    first = one.open_file(b"b", os.O_RDWR)
    one.write_handle(first, 0, b"b")

    async def write_while_it_waits() -> int:
        async with trio.open_nursery() as nursery, one.committer.flusher.lock:
            nursery.start_soon(one.sharing.close, first)
            await trio.testing.wait_all_tasks_blocked()
            number = one.open((b"a",))
            one.write_handle(number, 0, b"half")
        return number

    number = trio.run(write_while_it_waits)
    assert two.look() == {b"a": b"whole", b"b": b"b"}
    one.close_file(number)
    one.files.release(first)
    assert two.look()[b"a"] == b"halfe"


def test_bytes_of_a_file_that_came_back_outlive_the_commits_before(rigs: list[SharedRig]) -> None:
    one, two = rigs
    put(one, b"a", b"old" * 1000)
    number = one.open_file(b"a", os.O_RDWR)
    put(two, b"a", b"new")
    assert one.look() == {b"a": b"new"}
    one.write_handle(number, 0, b"mine")
    put(one, b"b", b"b")  # is a commit, which leaves the arena with these bytes behind
    file = one.files.handle(number).file
    one.settle(one.names.put_back, file)
    one.settle_down()
    assert one.read_handle(number)[:4] == b"mine"
    one.close_file(number)
    assert two.look()[b"a"] == b"mine" + (b"old" * 1000)[4:]


def test_a_file_that_was_looked_up_is_there_although_others_replaced_it(
    rigs: list[SharedRig],
) -> None:
    one, two = rigs
    put(one, b"a", b"old")
    ino = one.get((b"a",)).ino
    put(two, b"a", b"theirs")
    assert one.look() == {b"a": b"theirs"}
    assert one.state.get(ino).entry.size == 3
    number = one.settle(one.files.open, ino, os.O_RDWR)
    assert one.read_handle(number) == b"old"
    one.write_handle(number, 0, b"mine")
    one.close_file(number)
    assert one.look() == two.look() == {b"a": b"mine"}
