"""Two mounts of one network file system, without a kernel, against a model of close-to-open.

Files in one directory: what meets in trees is merged as commits are, and that
has its tests elsewhere. What a shrunk failure found becomes a case below.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import pytest
import trio
import trio.testing
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from tests.harness.leased import check_leased
from tests.harness.rig import Rig, check_books
from tests.vfs.test_machine import MEMORY, PHASES, Clock
from volfs.errors import OutOfSpaceError
from volfs.store.registry import open_store
from volfs.vfs.inode import File
from volfs.vfs.sharing import Sharing
from volfs.volume.check import check_store
from volfs.volume.volumes import create_volume

NAMES = [b"a", b"b", b"c"]
names = st.sampled_from(NAMES)
sides = st.integers(0, 1)
TICK = 1_000_000_007


class SharedRig(Rig):
    """What ``fuse/network_ops.py`` makes of the kernel's requests."""

    def begin(self) -> SharedRig:
        self.state.follows = True
        self.sharing = Sharing(self.committer, self.files, self.names)
        return self

    def revalidate(self) -> None:
        trio.run(self.sharing.revalidate)

    def open_file(self, name: bytes, flags: int) -> int:
        self.revalidate()
        if self.find((name,)) is None:
            made = self.make((name,))
            assert isinstance(made, File)
            return self.files.add_handle(made)
        return self.open((name,), flags)

    def close_file(self, handle: int) -> None:
        trio.run(self.sharing.close, handle)
        trio.run(self.sharing.release, handle)

    def unlink_file(self, name: bytes) -> None:
        self.revalidate()
        self.unlink((name,))
        trio.run(self.sharing.commit)

    def rename_file(self, name: bytes, new: bytes) -> None:
        self.revalidate()
        moved = self.get((name,))
        assert isinstance(moved, File)
        self.rename((name,), (new,))
        trio.run(self.sharing.commit_file, moved)
        trio.run(self.sharing.commit)

    def look(self) -> dict[bytes, bytes]:
        self.revalidate()
        return {name: self.read((name,)) for name in self.list()}

    def settle_down(self) -> None:
        trio.run(self.committer.settle)


# --- the model --------------------------------------------------------------


@dataclass(eq=False)
class Node:
    """A file as one mount has it. ``base`` is what it was before it was written to."""

    data: bytes = field(repr=False)
    base: bytes = field(repr=False)
    name: bytes | None
    left: bytes | None = None
    """The name that others gave to another file meanwhile."""
    written: bool = False
    bound: bool = False
    """Whether the name is this mount's own, and not published."""
    handles: int = 0
    writers: int = 0

    def leave(self) -> None:
        self.name, self.left, self.bound = None, self.name, False


@dataclass
class Side:
    """One mount: the version that it shows, and its own files on top."""

    view: dict[bytes, bytes]
    nodes: dict[bytes, Node] = field(default_factory=dict)

    def find(self, name: bytes) -> Node | None:
        if name not in self.nodes and name in self.view:
            data = self.view[name]
            self.nodes[name] = Node(data, data, name)
        return self.nodes.get(name)

    def look(self) -> dict[bytes, bytes]:
        return self.view | {name: node.data for name, node in self.nodes.items()}


class Model:
    """``server`` is the newest version."""

    def __init__(self) -> None:
        self.server: dict[bytes, bytes] = {}
        self.sides = [Side({}), Side({})]

    def revalidate(self, side: Side) -> None:
        for name, node in list(side.nodes.items()):
            if node.written or node.bound:
                node.bound |= name not in self.server
            elif self.server.get(name) != node.data:
                del side.nodes[name]
                node.leave()
        side.view = dict(self.server)

    def open(self, side: Side, name: bytes, *, writes: bool, cut: bool) -> Node:
        self.revalidate(side)
        node = side.find(name)
        if node is None:
            node = side.nodes[name] = Node(b"", b"", name, bound=True)
        elif cut:
            node.data, node.written = b"", True
        node.handles += 1
        node.writers += writes
        return node

    def write(self, node: Node, offset: int, data: bytes) -> None:
        node.written = True
        node.data = node.data[:offset].ljust(offset, b"\0") + data + node.data[offset + len(data) :]

    def close(self, side: Side, node: Node, *, writes: bool) -> None:
        if writes:
            self.put_back(side, node)
            if node.name is not None and (node.written or node.bound):
                self.publish(side, node)
        node.handles -= 1
        node.writers -= writes

    def put_back(self, side: Side, node: Node) -> None:
        if not (node.left and node.written):
            return
        there = side.find(node.left)
        if there is not None:
            node.name, node.left, node.bound = node.left, None, there.bound
            side.nodes[node.name] = node
            there.leave()

    def publish(self, side: Side, *closing: Node, held: bool = True) -> None:
        for name, node in side.nodes.items():
            if node.written and (node in closing or not (held and node.writers)):
                node.base, node.written = node.data, False
            elif not node.bound:
                continue
            self.server[name] = side.view[name] = node.base
            node.bound = False

    def remove(self, side: Side, name: bytes) -> None:
        """The name, from this mount; its file can only be used through handles."""
        node = side.nodes.pop(name, None)
        if node is not None:
            node.name = None
        self.server.pop(name, None)
        side.view.pop(name, None)

    def unlink(self, side: Side, name: bytes) -> None:
        self.remove(side, name)
        self.publish(side)

    def rename(self, side: Side, name: bytes, new: bytes) -> None:
        node = side.find(name)
        assert node is not None
        self.remove(side, name)
        self.remove(side, new)
        node.name, node.bound = new, True
        side.nodes[new] = node
        self.publish(side, node)


# --- both -------------------------------------------------------------------


@dataclass
class Open:
    side: int
    number: int
    node: Node
    writes: bool


class SharingMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp(prefix="volfs-sharing-", dir=MEMORY))
        self.store = open_store(str(self.directory / "store"), create=True)
        self.volume = create_volume(self.store, "net", chunk_bits=12, network=True)
        self.clock = Clock()
        self.model = Model()
        self.rigs: list[SharedRig] = []
        self.open_files: list[Open] = []
        self.count = 0

    @initialize(cold=st.booleans())
    def begin(self, cold: bool) -> None:
        for number in range(2):
            directory = self.directory / f"session-{number}"
            rig = SharedRig(self.store, self.volume, directory, lambda: self.clock.now, cold=cold)
            self.rigs.append(rig.begin())

    def teardown(self) -> None:
        try:
            for opened in list(self.open_files):
                self.close_one(opened)
            for number, rig in enumerate(self.rigs):
                self.look(number)
                rig.commit()
                rig.forget()
                assert not rig.state.overlay.orphans
                assert rig.state.overlay.is_clean
                assert [path.name for path in rig.scratch.directory.iterdir()] == []
            assert check_store(self.store).is_clean
        finally:
            for rig in self.rigs:
                rig.close()
            self.store.close()
            shutil.rmtree(self.directory)

    def both(self, side: int) -> tuple[SharedRig, Side]:
        self.clock.now += TICK
        return self.rigs[side], self.model.sides[side]

    def revalidated(self, side: int) -> tuple[SharedRig, Side]:
        rig, mine = self.both(side)
        rig.revalidate()
        self.model.revalidate(mine)
        return rig, mine

    @rule(side=sides, name=names, flags=st.sampled_from([os.O_RDONLY, os.O_RDWR, os.O_TRUNC]))
    def open(self, side: int, name: bytes, flags: int) -> None:
        rig, mine = self.revalidated(side)
        node = mine.find(name)
        if flags == os.O_TRUNC and not (node and node.base):
            flags = os.O_RDWR  # to write what is there is a change of times, and loses to a removal
        writes = flags != os.O_RDONLY or node is None
        node = self.model.open(mine, name, writes=writes, cut=flags == os.O_TRUNC)
        number = rig.open_file(name, flags | (os.O_RDWR if flags else 0))
        self.open_files.append(Open(side, number, node, writes))

    @rule(data=st.data(), offset=st.sampled_from([0, 3, 2000, 5000]), big=st.booleans())
    def write(self, data: st.DataObject, offset: int, big: bool) -> None:
        found = [opened for opened in self.open_files if opened.writes]
        if found:
            self.write_one(data.draw(st.sampled_from(found)), offset, big=big)

    def write_one(self, opened: Open, offset: int, *, big: bool) -> None:
        rig, _ = self.both(opened.side)
        self.count += 1
        text = b"%06d" % self.count * (1000 if big else 1)
        rig.write_handle(opened.number, offset, text)
        self.model.write(opened.node, offset, text)

    @rule(data=st.data())
    def read(self, data: st.DataObject) -> None:
        if self.open_files:
            opened = data.draw(st.sampled_from(self.open_files))
            assert self.rigs[opened.side].read_handle(opened.number) == opened.node.data

    @rule(data=st.data())
    def close(self, data: st.DataObject) -> None:
        if self.open_files:
            self.close_one(data.draw(st.sampled_from(self.open_files)))

    def close_one(self, opened: Open) -> None:
        rig, side = self.both(opened.side)
        assert rig.read_handle(opened.number) == opened.node.data
        rig.close_file(opened.number)
        self.model.close(side, opened.node, writes=opened.writes)
        self.open_files.remove(opened)

    @rule(side=sides, name=names)
    def unlink(self, side: int, name: bytes) -> None:
        rig, mine = self.revalidated(side)
        if name in mine.look():
            rig.unlink_file(name)
            self.model.unlink(mine, name)

    @rule(side=sides, name=names, new=names)
    def rename(self, side: int, name: bytes, new: bytes) -> None:
        rig, mine = self.revalidated(side)
        if name in mine.look() and name != new:
            rig.rename_file(name, new)
            self.model.rename(mine, name, new)

    @rule(side=sides)
    def look(self, side: int) -> None:
        rig, mine = self.revalidated(side)
        assert rig.look() == mine.look()
        rig.forget()
        check_books(rig)

    @rule(data=st.data(), clean=st.booleans())
    def replace_and_write(self, data: st.DataObject, clean: bool) -> None:
        """The other mount replaces an open file, which is then written to here."""
        found = [opened for opened in self.open_files if opened.writes and opened.node.name]
        if found:
            opened = data.draw(st.sampled_from(found))
            assert opened.node.name is not None
            if clean:
                self.commit(opened.side)
            self.open(1 - opened.side, opened.node.name, os.O_RDWR)
            self.write_one(self.open_files[-1], 3, big=True)
            self.close_one(self.open_files[-1])
            self.look(opened.side)
            self.write_one(opened, 0, big=False)

    @rule(side=sides)
    def publish_now_and_then(self, side: int) -> None:
        rig, mine = self.both(side)
        trio.run(rig.sharing.commit)
        self.model.publish(mine)
        rig.settle_down()

    @rule(side=sides)
    def commit(self, side: int) -> None:
        rig, mine = self.both(side)
        rig.commit()
        self.model.publish(mine, held=False)

    @rule(side=sides)
    def check_lease(self, side: int) -> None:
        mine = [opened.number for opened in self.open_files if opened.side == side]
        check_leased(self.rigs[side], mine)


TestSharing = SharingMachine.TestCase
TestSharing.settings = settings(
    max_examples=int(os.environ.get("VOLFS_MACHINE_EXAMPLES", "25")),
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    phases=PHASES,
    suppress_health_check=list(HealthCheck),
)


# --- cases ------------------------------------------------------------------


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
        async with trio.open_nursery() as nursery, one.committer._flush_lock:
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
