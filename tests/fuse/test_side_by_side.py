"""Requests of one directory side by side, in every order in which what they wait for may come.

With PARALLEL_DIROPS the kernel looks names up and lists a directory while others do. The
handlers run here without a kernel, over a store that has nothing at hand; the test says
which of those that wait goes on. Each operation must have the result that it has in the
order in which they end, one after the other, and afterwards the books must be right.
"""

from __future__ import annotations

import errno
import itertools
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyfuse3
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import wait_all_tasks_blocked

from tests.harness.rig import Rig, check_books, list_tree, list_version
from volfs.errors import StoreError
from volfs.fuse.ops import Operations
from volfs.model.entry import FileKind
from volfs.store.contract.store import Store
from volfs.store.registry import open_store
from volfs.vfs.aio import Bridge
from volfs.volume.commit import CommitNote
from volfs.volume.volumes import create_volume

MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
DIRECTORY = b"d"
BASE: dict[bytes, str] = {b"a": "file", b"b": "full", b"c": "empty", b"e": "link", b"l": "linked"}
NAMES = [*BASE, b"n", b"o"]
OTHERS = [b"other%02d" % number for number in range(20)]
"""Names that no operation means: so that the directory has pages."""
CONTEXT: Any = SimpleNamespace(uid=0, gid=0, pid=os.getpid(), umask=0)
REPLY_SIZE = 4
CLEARINGS = 6

WITH_A_NAME = ["lookup", "create", "mkdir", "symlink", "unlink", "rmdir", "link"]
name = st.sampled_from(NAMES)
operation = st.one_of(
    st.tuples(st.sampled_from(WITH_A_NAME), name),
    st.tuples(st.just("rename"), name, name),
    st.sampled_from([("list",), ("list",), ("forget",), ("commit",), ("flush",), ("getattr",)]),
)  # fmt: skip
programs = st.lists(st.lists(operation, min_size=1, max_size=5), min_size=2, max_size=4)


class Node:
    """What a name means. ``kind`` as in BASE."""

    def __init__(self, kind: str, links: int = 1) -> None:
        self.kind = kind
        self.links = links

    @property
    def is_directory(self) -> bool:
        return self.kind in ("full", "empty")


class Model:
    """The directory as it is when one operation after the other is done."""

    def __init__(self) -> None:
        self.target = Node("linked", 2)
        self.names = {one: Node(kind) for one, kind in BASE.items()}
        self.names[b"l"] = self.target
        self.names |= {one: Node("file") for one in OTHERS}
        self.watches: list[tuple[set[bytes], set[bytes]]] = []
        """Of listings that go on: what was there all the time, and what was there at all."""

    def do(self, what: str, *names: bytes) -> int:
        """The errno, or 0."""
        result = int(getattr(self, what)(*names) or 0)
        for always, ever in self.watches:
            always.intersection_update(self.names)
            ever.update(self.names)
        return result

    def _make(self, one: bytes, node: Node) -> int:
        if one in self.names:
            return errno.EEXIST
        self.names[one] = node
        return 0

    def create(self, one: bytes) -> int:
        return self._make(one, Node("file"))

    def mkdir(self, one: bytes) -> int:
        return self._make(one, Node("empty"))

    def symlink(self, one: bytes) -> int:
        return self._make(one, Node("link"))

    def link(self, one: bytes) -> int:
        failed = self._make(one, self.target)
        self.target.links += not failed
        return failed

    def lookup(self, one: bytes) -> int:
        return 0 if one in self.names else errno.ENOENT

    def unlink(self, one: bytes) -> int:
        node = self.names.get(one)
        if node is None or node.is_directory:
            return errno.EISDIR if node else errno.ENOENT
        self._remove(one)
        return 0

    def rmdir(self, one: bytes) -> int:
        node = self.names.get(one)
        if node is None or not node.is_directory:
            return errno.ENOTDIR if node else errno.ENOENT
        if node.kind == "full":
            return errno.ENOTEMPTY
        self._remove(one)
        return 0

    def _remove(self, one: bytes) -> None:
        self.names.pop(one).links -= 1

    def rename(self, one: bytes, other: bytes) -> int:
        node, over = self.names.get(one), self.names.get(other)
        if node is None:
            return errno.ENOENT
        if over is node:
            return 0
        if over is not None:
            failed = self._replace(node, over)
            if failed:
                return failed
            self._remove(other)
        self.names[other] = self.names.pop(one)
        return 0

    def _replace(self, node: Node, over: Node) -> int:
        if over.is_directory and not node.is_directory:
            return errno.EISDIR
        if over.kind == "full":
            return errno.ENOTEMPTY
        return errno.ENOTDIR if node.is_directory and not over.is_directory else 0


class TurnBridge(Bridge):
    """What blocks is waited for until the test says whose turn it is."""

    def __init__(self, rig: Rig) -> None:
        super().__init__(rig.state.view)
        self.waiting: list[trio.Event] = []

    async def run(self, call: Callable[..., Any], *arguments: object) -> Any:
        turn = trio.Event()
        self.waiting.append(turn)
        await turn.wait()
        return call(*arguments)


class Kernel:
    """Asks as the kernel does, and knows what it was told."""

    def __init__(self, rig: Rig, draw: Callable[[Any], Any]) -> None:
        self.rig, self.draw = rig, draw
        self.bridge = TurnBridge(rig)
        self.operations = Operations(
            rig.state, self.bridge, rig.committer, self.nothing, rig.store.care.find_space
        )
        self.model = Model()
        self.known = rig.known
        self.directory = rig.get((DIRECTORY,)).ino
        self.target = rig.get((b"target",)).ino

    async def nothing(self) -> None: ...

    def note(self, ino: int) -> None:
        self.known[ino] += 1

    # --- asking ------------------------------------------------------------

    async def run(self, programs: list[list[tuple[Any, ...]]]) -> None:
        async with trio.open_nursery() as nursery:
            for program in programs:
                nursery.start_soon(self.run_one, program)
            await self.give_turns()

    async def give_turns(self) -> None:
        clearings = CLEARINGS
        while True:
            await wait_all_tasks_blocked()
            waiting = self.bridge.waiting
            if not waiting:
                return
            waiting.pop(self.draw(st.integers(0, len(waiting) - 1))).set()
            if clearings and self.draw(st.booleans()):
                clearings -= 1
                self.forget_trees()

    def forget_trees(self) -> None:
        reader = self.rig.state.view.reader
        reader.trees = type(reader.trees)(reader.load, reader.trees._decode, 16 << 20)

    async def run_one(self, program: list[tuple[Any, ...]]) -> None:
        for what, *names in program:
            match what:
                case "list":
                    await self.list()
                case "forget":
                    self.forget()
                case "commit":
                    await self.rig.committer.commit(CommitNote("", "tester"))
                case "flush":
                    await self.rig.committer.flusher.flush()
                case "getattr":
                    facts = await self.operations.getattr(self.directory, CONTEXT)
                    self.check_directory(facts)
                case _:
                    await self.ask(what, *names)

    async def ask(self, what: str, *names: bytes) -> None:
        """From the answer to the model's nothing is awaited: it is that moment's."""
        failed, answer = 0, None
        try:
            answer = await getattr(self, what)(*names)
        except pyfuse3.FUSEError as error:
            failed = error.errno
        expected = self.model.do(what, *names)
        if what == "lookup" and answer is not None and not answer.st_ino:
            failed, answer = errno.ENOENT, None
        assert failed == expected, (what, names, failed, expected)
        if answer is not None:
            self.note(answer.st_ino)
            self.check_entry(self.model.names[names[0]], answer)

    def check_entry(self, node: Node, facts: Any) -> None:
        kinds = {"file": 0o10, "linked": 0o10, "link": 0o12, "full": 0o04, "empty": 0o04}
        assert facts.st_mode >> 12 == kinds[node.kind]
        if not node.is_directory:
            assert facts.st_nlink == node.links
        if node is self.model.target:
            assert facts.st_ino == self.target

    def check_directory(self, facts: Any) -> None:
        assert facts.st_nlink == 2 + sum(n.is_directory for n in self.model.names.values())

    def lookup(self, one: bytes) -> Any:
        return self.operations.lookup(self.directory, one, CONTEXT)

    async def create(self, one: bytes) -> Any:
        opened, facts = await self.operations.create(self.directory, one, 0o644, os.O_RDWR, CONTEXT)
        await self.operations.release(opened.fh)
        return facts

    def mkdir(self, one: bytes) -> Any:
        return self.operations.mkdir(self.directory, one, 0o755, CONTEXT)

    def symlink(self, one: bytes) -> Any:
        return self.operations.symlink(self.directory, one, b"somewhere", CONTEXT)

    def link(self, one: bytes) -> Any:
        return self.operations.link(self.target, self.directory, one, CONTEXT)

    def unlink(self, one: bytes) -> Any:
        return self.operations.unlink(self.directory, one, CONTEXT)

    def rmdir(self, one: bytes) -> Any:
        return self.operations.rmdir(self.directory, one, CONTEXT)

    def rename(self, one: bytes, other: bytes) -> Any:
        return self.operations.rename(self.directory, one, self.directory, other, 0, CONTEXT)

    async def list(self) -> None:
        """All names that are there from beginning to end, and none that never was, once each."""
        always, ever = watch = set(self.model.names), set(self.model.names)
        self.model.watches.append(watch)
        handle = await self.operations.opendir(self.directory, CONTEXT)
        found: list[bytes] = []
        while True:
            token: list[tuple[bytes, int, int]] = []
            await self.operations.readdir(handle, len(found), token)
            if not token:
                break
            for one, ino, next_id in token:
                found.append(one)
                assert next_id == len(found)
                if one not in (b".", b".."):
                    self.note(ino)
        await self.operations.releasedir(handle)
        self.model.watches = [one for one in self.model.watches if one is not watch]
        assert found[:2] == [b".", b".."]
        names = set(found[2:])
        assert len(names) == len(found) - 2
        assert always <= names <= ever

    def forget(self) -> None:
        """All that nobody is about to name by its number."""
        kept = (self.directory, self.target)
        gone = [(ino, count) for ino, count in self.known.items() if ino not in kept]
        for ino, _ in gone:
            del self.known[ino]
        for ino, count in gone:
            self.rig.state.forget(ino, count)

    # --- looking -----------------------------------------------------------

    def check(self) -> None:
        """The books are right, and a commit publishes what is shown."""
        for inode in self.rig.state.inodes:
            assert inode.lookups == self.known[inode.ino], inode.path
            assert not inode.opens
        here = self.rig.state.inodes.find(self.directory)
        assert here is not None
        assert self.rig.settle(self.rig.names.list_names, here.ino) == sorted(self.model.names)
        check_books(self.rig)
        shown = list_tree(self.rig)
        self.rig.commit()
        assert list_version(self.rig.store, self.rig.committer.volume) == shown


@pytest.fixture(scope="module")
def place() -> Iterator[tuple[Store, Path]]:
    """A store in memory: commits are many, and each is synced."""
    with tempfile.TemporaryDirectory(prefix="volfs-side-", dir=MEMORY) as directory:
        store = open_store(f"{directory}/store", create=True)
        yield store, Path(directory)
        store.close()


@pytest.fixture(autouse=True)
def small_pages_and_replies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Directories of a few names have pages, and a listing takes several requests."""

    def reply(token: Any, one: bytes, facts: Any, next_id: int) -> bool:
        if len(token) == REPLY_SIZE:
            return False
        token.append((one, facts.st_ino, next_id))
        return True

    monkeypatch.setattr("volfs.model.tree.PAGE_MASK", 3)
    monkeypatch.setattr(pyfuse3, "readdir_reply", reply)


_numbers = itertools.count(1)


def begin(store: Store, directory: Path) -> Rig:
    """A cold mount of a new volume with BASE and OTHERS in a directory."""
    number = next(_numbers)
    clock = itertools.count(1_000_000_000)
    volume = create_volume(store, f"v{number}", chunk_bits=16)
    warm = Rig(store, volume, directory / f"{number}-warm", lambda: next(clock))
    warm.mkdir((DIRECTORY,))
    warm.make((b"target",))
    for one in OTHERS:
        warm.make((DIRECTORY, one))
    warm.make((DIRECTORY, b"a"))
    warm.mkdir((DIRECTORY, b"b"))
    warm.make((DIRECTORY, b"b", b"in"))
    warm.mkdir((DIRECTORY, b"c"))
    warm.make((DIRECTORY, b"e"), FileKind.SYMLINK, target=b"somewhere")
    warm.link((b"target",), (DIRECTORY, b"l"))
    warm.commit()
    warm.close()
    return Rig(store, volume, directory / f"{number}", lambda: next(clock), cold=True)


@settings(max_examples=40, deadline=None)
@given(programs, st.data())
def test_two_in_one_directory_are_as_one_after_the_other(
    place: tuple[Store, Path], programs: list[list[tuple[Any, ...]]], data: Any
) -> None:
    rig = begin(*place)
    try:
        kernel = Kernel(rig, data.draw)
        trio.run(kernel.run, programs)
        kernel.check()
    finally:
        rig.close()


@pytest.mark.noisy("cannot be read")
def test_a_listing_that_fails_half_way_has_told_of_nothing_that_is_not_counted(
    place: tuple[Store, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it told of is answered; the next request of the listing meets the error."""
    rig = begin(*place)
    kernel = Kernel(rig, lambda _: 0)
    operations, lookup = kernel.operations, kernel.operations.names.lookup

    def fail_at_e(ino: int, one: bytes) -> Any:
        if one == b"e":
            raise StoreError("cannot be read")
        return lookup(ino, one)

    async def run() -> tuple[list[Any], int]:
        handle = await operations.opendir(kernel.directory, CONTEXT)
        token: list[Any] = []
        for _ in range(2):
            told = len(token)
            part: list[Any] = []
            await operations.readdir(handle, told, part)
            token += part
        try:
            await operations.readdir(handle, len(token), [])
        except pyfuse3.FUSEError as error:
            return token, error.errno
        return token, 0

    async def drive() -> tuple[list[Any], int]:
        answer: list[tuple[list[Any], int]] = []

        async def keep() -> None:
            answer.append(await run())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(keep)
            await kernel.give_turns()
        return answer[0]

    monkeypatch.setattr(operations.names, "lookup", fail_at_e)
    token, failed = trio.run(drive)
    assert [one for one, _, _ in token] == [b".", b"..", b"a", b"b", b"c"]
    assert failed == errno.EIO
    rig.forget()
    rig.close()
