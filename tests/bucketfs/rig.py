"""A bucket in memory as a file system: what the kernel would ask, by paths."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from volfs.bucketfs.mount import BucketFiles
from volfs.bucketfs.nodes import ROOT_INO, AnyNode, DirectoryNode
from volfs.bucketfs.staging import Staging, StagingFacts
from volfs.bucketfs.state import BucketState, Rules
from volfs.buckets.access import Bucket
from volfs.buckets.doors.memory import MemoryDoor
from volfs.buckets.objects import Door, ObjectInfo
from volfs.errors import NoEntryError, NotADirectoryInVolumeError
from volfs.model.objects import Buffer


class Counting(Bucket):
    """Counts what is asked of it, and fails where it is told to."""

    def __init__(self, bucket: Bucket) -> None:
        super().__init__(bucket.door, bucket.prefix, 5.0)
        self.asked: Counter[str] = Counter()
        self.failing: dict[str, Exception] = {}

    def _ask(self, verb: str) -> None:
        self.asked[verb] += 1
        if verb in self.failing:
            raise self.failing[verb]

    def head(self, key: str) -> ObjectInfo:
        self._ask("head")
        return super().head(key)

    def get_range(self, key: str, offset: int, length: int, **options: Any) -> Buffer:
        self._ask("get")
        return super().get_range(key, offset, length, **options)

    def list_page(self, prefix: str, **options: Any) -> Any:
        self._ask("list")
        return super().list_page(prefix, **options)

    def put(self, key: str, data: Buffer, **options: Any) -> ObjectInfo:
        self._ask("put")
        return super().put(key, data, **options)

    def copy(self, source: str, target: str, **options: Any) -> ObjectInfo:
        self._ask("copy")
        return super().copy(source, target, **options)

    def delete(self, key: str) -> None:
        self._ask("delete")
        super().delete(key)

    def delete_many(self, keys: Sequence[str]) -> None:
        self._ask("delete many")
        super().delete_many(keys)


class Direct:
    """An object without any cache."""

    def __init__(self, bucket: Bucket, info: ObjectInfo) -> None:
        self.bucket = bucket
        self.info = info

    def read_at(self, offset: int, length: int) -> Buffer:
        info = self.info
        return self.bucket.get_range(info.key, offset, length, etag=info.etag)

    def read_ready(self, offset: int, length: int) -> None:
        return None

    def close(self) -> None: ...


class BucketRig:
    """``now`` is the clock; ``bucket`` is also what others write to."""

    def __init__(
        self,
        directory: Path,
        *,
        keys: Mapping[str, bytes] | None = None,
        door: Door | None = None,
        **rules: Any,
    ) -> None:
        self.now = 100.0
        self.bucket = Counting(Bucket(door or MemoryDoor()))
        for key, data in (keys or {}).items():
            self.others.put(key, data)
        self.state = BucketState(Rules(**rules), lambda: self.now, lambda: int(self.now * 1e9))
        staging = Staging(directory, "bucket", StagingFacts("memory"))
        self.files = BucketFiles(
            self.state, self.bucket, lambda info: Direct(self.bucket, info), staging
        )

    @property
    def others(self) -> Bucket:
        """The same bucket, uncounted."""
        return Bucket(self.bucket.door, self.bucket.prefix)

    async def find(self, path: str) -> AnyNode | None:
        node: AnyNode | None = self.state.nodes.root
        for name in filter(None, path.split("/")):
            if not isinstance(node, DirectoryNode):
                raise NotADirectoryInVolumeError(path)
            node, _ = await self.files.lookup(node.ino, name.encode())
            if node is None:
                return None
            self.state.remember(node)
        return node

    async def get(self, path: str) -> AnyNode:
        node = await self.find(path)
        if node is None:
            raise NoEntryError(path)
        return node

    async def open(self, path: str, flags: int = os.O_RDONLY) -> int:
        return (await self.files.open((await self.get(path)).ino, flags))[0]

    async def read(self, path: str) -> bytes:
        number = await self.open(path)
        try:
            return bytes(await self.files.handles.read(number, 0, 1 << 30))
        finally:
            await self.files.release(number)

    async def list(self, path: str = "") -> list[str]:
        """Names in the order in which they are told; directories with a slash."""
        ino = (await self.get(path)).ino if path else ROOT_INO
        directories = self.files.directories
        number = directories.open(ino)
        names, at = [], 2
        try:
            while (window := await directories.get_window(number, at)) is not None:
                for listed in window.entries[at - window.first :]:
                    node = directories.bind(directories.handle(number).node, listed)
                    if node is not None:
                        slash = "/" * isinstance(node, DirectoryNode)
                        names.append(listed.name.decode() + slash)
                        self.state.remember(node)
                at = window.after
        finally:
            directories.release(number)
        return names
