"""A bucket as a file system against a model of it: the same operations on both, step by step.

Another client writes to the bucket meanwhile, nothing is believed for longer than a step, and
after each step the bucket has just what the model says, and the mount shows it.
"""

from __future__ import annotations

import os
import random
from collections.abc import Awaitable, Callable

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.bucketfs.rig import BucketRig
from volfs.bucketfs import paging
from volfs.bucketfs.nodes import DirectoryNode, FileNode
from volfs.buckets.access import iter_objects
from volfs.errors import (
    DirectoryNotEmptyError,
    EntryExistsError,
    FileSystemError,
    InvalidOperationError,
    IsADirectoryInVolumeError,
    NoEntryError,
    NotADirectoryInVolumeError,
)

NAMES = ["a", "b", "a.x"]
STEPS = 30


class Model:
    """Directories with names in dicts, files as bytes."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.directories: set[str] = {""}

    def is_directory(self, path: str) -> bool:
        return path in self.directories

    def check_parent(self, path: str) -> None:
        parent = path.rpartition("/")[0]
        if parent in self.files or any(parent.startswith(f"{file}/") for file in self.files):
            raise NotADirectoryInVolumeError(path)
        if parent not in self.directories:
            raise NoEntryError(path)

    def list_below(self, path: str) -> list[str]:
        return [one for one in (*self.files, *self.directories) if one.startswith(f"{path}/")]

    def write(self, path: str, data: bytes) -> None:
        self.check_parent(path)
        if path in self.directories:
            raise IsADirectoryInVolumeError(path)
        self.files[path] = data

    def mkdir(self, path: str) -> None:
        self.check_parent(path)
        if path in self.directories or path in self.files:
            raise EntryExistsError(path)
        self.directories.add(path)

    def unlink(self, path: str) -> None:
        self.check_parent(path)
        if path in self.directories:
            raise IsADirectoryInVolumeError(path)
        if path not in self.files:
            raise NoEntryError(path)
        del self.files[path]

    def rmdir(self, path: str) -> None:
        self.check_parent(path)
        if path in self.files:
            raise NotADirectoryInVolumeError(path)
        if path not in self.directories:
            raise NoEntryError(path)
        if self.list_below(path):
            raise DirectoryNotEmptyError(path)
        self.directories.remove(path)

    def rename(self, old: str, new: str) -> None:
        self.check_parent(old)
        self.check_parent(new)
        if old not in self.files and old not in self.directories:
            raise NoEntryError(old)
        if old == new:
            return
        if old in self.files:
            if new in self.directories:
                raise IsADirectoryInVolumeError(new)
            self.files[new] = self.files.pop(old)
            return
        if f"{new}/".startswith(f"{old}/"):
            raise InvalidOperationError(new)
        if new in self.files:
            raise NotADirectoryInVolumeError(new)
        if new in self.directories and self.list_below(new):
            raise DirectoryNotEmptyError(new)
        moved = [old, *self.list_below(old)]
        self.files |= {new + p[len(old) :]: self.files.pop(p) for p in moved if p in self.files}
        self.directories = {new + p[len(old) :] if p in moved else p for p in self.directories}


class Walk:
    """One run of random steps."""

    def __init__(self, rig: BucketRig, chance: random.Random) -> None:
        self.rig = rig
        self.chance = chance
        self.model = Model()

    def choose(self) -> str:
        return "/".join(self.chance.choice(NAMES) for _ in range(self.chance.randint(1, 3)))

    async def place(self, path: str) -> tuple[int, bytes]:
        parent, _, name = path.rpartition("/")
        node = await self.rig.get(parent) if parent else self.rig.state.nodes.root
        if isinstance(node, FileNode):
            raise NotADirectoryInVolumeError(path)
        return node.ino, name.encode()

    async def write(self, path: str, data: bytes) -> None:
        parent, name = await self.place(path)
        files = self.rig.files
        node, _ = await files.lookup(parent, name)
        if node is None:
            flags = os.O_CREAT | os.O_RDWR | os.O_EXCL * self.chance.randint(0, 1)
            number, *_ = await files.create(parent, name, flags)
        else:
            number, _ = await files.open(node.ino, os.O_RDWR | os.O_TRUNC)
        for at in range(0, len(data), 7):
            files.writing.write(number, at, data[at : at + 7])
        await files.flush(number)
        await files.release(number)

    async def step(self) -> None:
        path, other = self.choose(), self.choose()
        data = self.chance.randbytes(self.chance.randint(0, 30))
        naming, renaming = self.rig.files.naming, self.rig.files.renaming

        async def rename() -> None:
            (parent, name), (new, new_name) = await self.place(path), await self.place(other)
            is_inner = other.startswith(f"{path}/")
            if is_inner and isinstance(await self.rig.get(path), DirectoryNode):
                raise InvalidOperationError("the kernel refuses that")
            await renaming.rename(parent, name, new, new_name, replaces=True)

        async def at_place(change: Callable[[int, bytes], Awaitable[object]]) -> None:
            await change(*await self.place(path))

        does: Callable[[], Awaitable[None]]
        models: Callable[[], None]
        does, models = self.chance.choice(
            [
                (lambda: self.write(path, data), lambda: self.model.write(path, data)),
                (lambda: self.write(path, data), lambda: self.model.write(path, data)),
                (lambda: at_place(naming.make_directory), lambda: self.model.mkdir(path)),
                (lambda: at_place(naming.unlink), lambda: self.model.unlink(path)),
                (lambda: at_place(naming.remove_directory), lambda: self.model.rmdir(path)),
                (rename, lambda: self.model.rename(path, other)),
            ]
        )
        before = None
        try:
            models()
        except FileSystemError as error:
            before = type(error)
        try:
            await does()
            found = None
        except FileSystemError as error:
            found = type(error)
        assert found == before, (path, other)
        await self.check()

    async def check(self) -> None:
        bucket = self.rig.others
        objects = {info.key: bytes(bucket.get(info.key)[1]) for info in iter_objects(bucket)}
        assert {k: v for k, v in objects.items() if not k.endswith("/")} == self.model.files
        seen: dict[str, bytes | None] = {}
        await self.walk("", seen)
        assert seen == self.model.files | dict.fromkeys(self.model.directories - {""})

    async def walk(self, path: str, seen: dict[str, bytes | None]) -> None:
        for name in await self.rig.list(path):
            inner = f"{path}/{name}".strip("/")
            if name.endswith("/"):
                seen[inner] = None
                await self.walk(inner, seen)
            else:
                seen[inner] = await self.rig.read(inner)


@settings(max_examples=25)
@given(st.integers(0, 1 << 32), st.sampled_from([0.0, 1.0]), st.sampled_from([1, 3, 1000]))
def test_the_bucket_and_the_mount_are_as_the_model(
    tmp_path_factory: pytest.TempPathFactory, seed: int, ttl: float, page: int
) -> None:
    place = tmp_path_factory.mktemp("rig")

    async def run() -> None:
        chance = random.Random(seed)
        rig = BucketRig(place, metadata_ttl=ttl)
        walk = Walk(rig, chance)
        for _ in range(STEPS):
            rig.now += chance.choice([0.0, 0.5, 2.0])
            if chance.random() < 0.3:
                forget_all(rig)
            await walk.step()
        rig.files.end(discards=False)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(paging, "PAGE", page)
        trio.run(run)
    assert not list(place.glob("**/*.data"))


def forget_all(rig: BucketRig) -> None:
    """As the kernel does when it needs the memory."""
    for node in sorted(rig.state.nodes, key=lambda node: -len(node.path)):
        rig.state.forget(node.ino, node.lookups)
    assert len(rig.state.nodes) == 1
